"""What changes or loads the live service runs as the command line's own process, beside the dashboard.

What it prints goes to a log and its exit code to a file, both in a folder of `.pedigree/`; the page
only reads them. A reload, a second tab or a dashboard that dies changes nothing for it, and the lease
of the stage (or the load test's own lock) keeps two from working at once.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from experiments.files import write_whole

_CODE = Path(__file__).resolve().parents[1]
_PASSED_ON = ("HOME", "PATH", "MLFLOW_TRACKING_URI", "LOCALAWS_ISOLATION")
# $0 is where the exit code goes; a shell writes it even if the dashboard is gone by then, or if what it
# runs is interrupted together with it.
_THEN_CODE = 'trap : INT; "$@"; echo $? > "$0.part" && mv "$0.part" "$0"'
_PEDIGREE = "from cli.main import main; main()"
_MOST_LOG_BYTES = 256 * 1024
LINES = "{lines}"
"""Among the words of a command: the file for its lines of data, `Work.lines` of what is read back."""


class Kind(StrEnum):
    """What the process does; also the name of the folder."""

    CHANGE = "changes"
    LOAD = "loads"


@dataclass(frozen=True, kw_only=True)
class Work:
    """One command beside the dashboard. `exit_code` is None while it runs, or if it was lost.

    `group` is its process group, `lines` the path of its lines of data.
    """

    name: str
    words: tuple[str, ...]
    person: str
    started_at: datetime
    running: bool
    exit_code: int | None
    log: str
    group: int
    lines: Path

    @property
    def is_lost(self) -> bool:
        """It ended without an exit code: it was killed."""
        return not self.running and self.exit_code is None


def start(home: Path, kind: Kind, words: Sequence[str], *, person: str) -> str:
    """Start `pedigree WORDS` for this home and return the work's name."""
    now = datetime.now(tz=UTC)
    name = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    folder = home / ".pedigree" / kind
    folder.mkdir(parents=True, exist_ok=True)
    lines = str(folder / f"{name}.jsonl")
    env = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    env |= {"PEDIGREE_HOME": str(home), "NO_COLOR": "1", "COLUMNS": "160"}
    said = [lines if word == LINES else word for word in words]
    command = [sys.executable, "-c", _PEDIGREE, *said]
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
        "born": _born(process.pid),
    }
    write_whole(folder / f"{name}.json", json.dumps(note).encode())
    return name


def newest(home: Path, kind: Kind) -> Work | None:
    """The work that was started last, or None before the first."""
    notes = sorted((home / ".pedigree" / kind).glob("*.json"))
    return _read(notes[-1]) if notes else None


def interrupt(work: Work) -> None:
    """Ctrl-C for the work and all that it started; nothing if it has ended."""
    if work.running:
        with suppress(ProcessLookupError):
            os.killpg(work.group, signal.SIGINT)


def _read(path: Path) -> Work:
    note = json.loads(path.read_text(encoding="utf-8"))
    # Read before the exit code: one that ends in between is seen as running, and as ended next time.
    born = _born(int(note["pid"]))
    ended = path.with_suffix(".exit")
    code = int(ended.read_text(encoding="ascii")) if ended.is_file() else None
    with path.with_suffix(".log").open("rb") as log:
        text = log.read(_MOST_LOG_BYTES).decode("utf-8", errors="replace")
    return Work(
        name=path.stem,
        words=tuple(note["words"]),
        person=str(note["person"]),
        started_at=datetime.fromisoformat(note["started_at"]),
        running=bool(born) and born == note.get("born") and code is None,
        exit_code=code,
        log=text,
        group=int(note["pid"]),
        lines=path.with_suffix(".jsonl"),
    )


def _born(pid: int) -> str:
    """When the process was started, in the kernel's ticks: a number given out again is another one.

    Empty if there is none, or only one that ended and was not waited for yet (a zombie).
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[:1] == ["Z"] else fields[19]
