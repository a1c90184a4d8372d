"""A change of what is live runs as the command line's own process, beside the dashboard.

What it prints goes to a log and its exit code to a file, both in `.pedigree/changes/`; the page only
reads them. A reload, a second tab or a dashboard that dies changes nothing for it, and the lease of
the stage keeps two from working at once.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from experiments.files import write_whole

_CODE = Path(__file__).resolve().parents[2]
_PASSED_ON = ("HOME", "PATH", "MLFLOW_TRACKING_URI", "LOCALAWS_ISOLATION")
# $0 is where the exit code goes; a shell writes it even if the dashboard is gone by then.
_THEN_CODE = '"$@"; echo $? > "$0.part" && mv "$0.part" "$0"'
_PEDIGREE = "from cli.main import main; main()"
_MOST_LOG_BYTES = 256 * 1024


@dataclass(frozen=True, kw_only=True)
class Change:
    """One command that changes what is live. `exit_code` is None while it runs, or if it was lost."""

    name: str
    words: tuple[str, ...]
    person: str
    started_at: datetime
    running: bool
    exit_code: int | None
    log: str

    @property
    def is_lost(self) -> bool:
        """It ended without an exit code: it was killed."""
        return not self.running and self.exit_code is None


def start(home: Path, words: Sequence[str], *, person: str) -> str:
    """Start `pedigree WORDS` for this home and return the change's name."""
    now = datetime.now(tz=UTC)
    name = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    folder = home / ".pedigree" / "changes"
    folder.mkdir(parents=True, exist_ok=True)
    env = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    env |= {"PEDIGREE_HOME": str(home), "NO_COLOR": "1", "COLUMNS": "160"}
    command = [sys.executable, "-c", _PEDIGREE, *words]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            ["/bin/sh", "-c", _THEN_CODE, str(folder / f"{name}.exit"), *command],
            cwd=_CODE, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    threading.Thread(target=process.wait, daemon=True).start()  # or it would stay as a zombie
    note = {
        "words": list(words),
        "person": person,
        "started_at": now.isoformat(timespec="seconds"),
        "pid": process.pid,
    }
    write_whole(folder / f"{name}.json", json.dumps(note).encode())
    return name


def newest(home: Path) -> Change | None:
    """The change that was started last, or None before the first."""
    notes = sorted((home / ".pedigree" / "changes").glob("*.json"))
    return _read(notes[-1]) if notes else None


def _read(path: Path) -> Change:
    note = json.loads(path.read_text(encoding="utf-8"))
    # Read before the exit code: one that ends in between is seen as running, and as ended next time.
    alive = _is_alive(int(note["pid"]))
    ended = path.with_suffix(".exit")
    code = int(ended.read_text(encoding="ascii")) if ended.is_file() else None
    with path.with_suffix(".log").open("rb") as log:
        text = log.read(_MOST_LOG_BYTES).decode("utf-8", errors="replace")
    return Change(
        name=path.stem,
        words=tuple(note["words"]),
        person=str(note["person"]),
        started_at=datetime.fromisoformat(note["started_at"]),
        running=alive and code is None,
        exit_code=code,
        log=text,
    )


def _is_alive(pid: int) -> bool:
    """Whether the process runs: one that ended and was not waited for yet (a zombie) does not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[:1] != ["Z"]
