"""What one launched run left on this machine: the truth from which everything else can be written again.

A folder for each run, `<runs>/<run id>/`:

| file | what it holds |
|---|---|
| intent.json | the plan with its exact requests, written before any of them is sent |
| journal.jsonl | what the launcher did, one fsynced JSON object a line: asked, launched, stop, settled |
| output.log | every line the run printed and was read here, fsynced |
| cursor.json | how far AWS's own log has been read |
| mirrored.json | how far the tracker has it |
| settled.json | the settled record and its cost |
| files/ | the tables and pictures of its output |
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from experiments.errors import RunError
from experiments.files import write_whole
from experiments.following.output import Cursor
from experiments.records import Cost, LaunchPlan, RunRecord

_NOT_THE_WORK = {"code/git_commit", "launch/price_book"}


@dataclass(frozen=True, kw_only=True)
class Intent:
    """What was decided before anything was asked. `cloud` is the name it was decided for."""

    plan: LaunchPlan
    cloud: str
    opened_at: datetime


@dataclass(frozen=True, kw_only=True)
class Settled:
    """How a run ended and what it cost; `at` is when its account was closed."""

    record: RunRecord
    cost: Cost
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What the journal says: was AWS asked, what did it answer, why was the run stopped."""

    asked: bool = False
    resource: str = ""
    launched_at: datetime | None = None
    stop_why: str = ""


@cache
def _adapter(kind: type) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def fingerprint(plan: LaunchPlan) -> str:
    """Names the work of a plan: what is trained, on what, where. Two plans of one run of an
    experiment file that did not change have the same one."""
    params = {k: v for k, v in plan.params.items() if k not in _NOT_THE_WORK}
    text = json.dumps([plan.experiment, plan.run_name, plan.launcher, params], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class RunLog:
    """One run's folder. `output.log` and the journal only ever grow; the other files are whole or absent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = FileLock(folder / "lock", timeout=0)
        """Held by whoever follows the run; raises filelock.Timeout when somebody else does."""

    @classmethod
    def create(cls, runs: Path, intent: Intent) -> RunLog:
        """Begin a run's log, on disk before this returns."""
        log = cls(runs / intent.plan.run_id)
        log._write("intent.json", Intent, intent)
        return log

    @property
    def run_id(self) -> str:
        return self.folder.name

    def intent(self) -> Intent:
        """What was decided. Raises RunError if the file is not readable any more."""
        found: Intent | None = self._read("intent.json", Intent)
        if found is None:
            raise RunError(
                f"{self.folder} holds no run that can be read",
                fix="end what AWS still has of it by hand, and move the folder away",
            )
        return found

    @property
    def run_name(self) -> str:
        """The run's name in its experiment, or nothing if that cannot be read any more."""
        found: Intent | None = self._read("intent.json", Intent)
        return found.plan.run_name if found else ""

    def note(self, what: str, *, at: datetime, **body: str) -> None:
        """Add one line to the journal, on disk before this returns."""
        entry = json.dumps({"what": what, "at": at.isoformat(), **body})
        _append(self.folder / "journal.jsonl", [entry])

    def progress(self) -> Progress:
        """The journal, read from its start. A line that a crash cut short is as if never written."""
        seen = Progress()
        for entry in _entries(self.folder / "journal.jsonl"):
            seen = _after(seen, entry)
        return seen

    def keep(self, lines: Iterable[str], cursor: Cursor) -> None:
        """Keep lines that were read, then how far they were read; a crash between repeats lines."""
        _append(self.folder / "output.log", lines)
        data = _adapter(Cursor).dump_json(cursor)
        write_whole(self.folder / "cursor.json", data, outlives_power=False)  # or lines come again

    def cursor(self) -> Cursor:
        """How far AWS's log was read."""
        return self._read("cursor.json", Cursor) or Cursor()

    def lines(self, start: int = 0, most: int = 1 << 30) -> tuple[list[str], int]:
        """The whole lines from byte `start` on, at most about `most` bytes, and where they end."""
        path = self.folder / "output.log"
        if not path.is_file():
            return [], start
        with path.open("rb") as log:
            log.seek(start)
            data = log.read(most)
            if data and not data.endswith(b"\n"):
                data += log.readline()
        whole = data[: data.rfind(b"\n") + 1]
        return whole.decode("utf-8", "replace").splitlines(), start + len(whole)

    def settle(self, settled: Settled, files: Mapping[str, bytes]) -> None:
        """Keep how the run ended; after this returns its account is closed."""
        for name, data in files.items():
            write_whole(self.folder / "files" / Path(name).name, data)
        self.note("settled", at=settled.at, status=settled.record.status.value)
        self._write("settled.json", Settled, settled)

    @property
    def is_settled(self) -> bool:
        """Whether the run's account is closed."""
        return (self.folder / "settled.json").is_file()

    def settled(self) -> Settled | None:
        """How the run ended, if its account is closed."""
        found: Settled | None = self._read("settled.json", Settled)
        return found

    def files(self) -> dict[str, bytes]:
        """The tables and pictures of the run's output."""
        folder = self.folder / "files"
        paths = sorted(folder.iterdir()) if folder.is_dir() else []
        return {path.name: path.read_bytes() for path in paths if path.name[0] != "."}

    def mirrored(self) -> dict[str, Any]:
        """What is known of the tracker's copy; empty if there is none yet. Of a damaged file only that
        the tracker was asked: it may hold the run, and gets everything once more, which changes nothing."""
        try:
            found = json.loads((self.folder / "mirrored.json").read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            found = None
        return found if isinstance(found, dict) else {"asked": True}

    def write_mirrored(self, state: Mapping[str, Any]) -> None:
        """Keep how far the tracker has it."""
        data = json.dumps(dict(state)).encode()
        write_whole(self.folder / "mirrored.json", data, outlives_power=False)

    def _write(self, name: str, kind: type, value: Any) -> None:
        write_whole(self.folder / name, _adapter(kind).dump_json(value))

    def _read(self, name: str, kind: type) -> Any:
        try:
            return _adapter(kind).validate_json((self.folder / name).read_bytes())
        except (OSError, ValueError):
            return None


def _append(path: Path, lines: Iterable[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    if not text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as log:
        if log.tell() and not _ends_whole(path):
            log.write(b"\n")  # what a crash cut short stays a line of its own
        log.write(text.encode("utf-8", "replace"))
        log.flush()
        os.fsync(log.fileno())


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as log:
        log.seek(-1, os.SEEK_END)
        return log.read(1) == b"\n"


def _entries(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    found = []
    for line in path.read_text("utf-8", "replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            found.append(entry)
    return found


def _after(seen: Progress, entry: Mapping[str, Any]) -> Progress:
    what = entry.get("what")
    if what == "asked":
        return replace(seen, asked=True)
    if what == "launched":
        at = datetime.fromisoformat(str(entry["at"])).astimezone(UTC)
        return replace(seen, asked=True, resource=str(entry["resource"]), launched_at=at)
    if what == "stop":
        return replace(seen, stop_why=seen.stop_why or str(entry.get("why", "")))
    return seen


def all_logs(runs: Path) -> list[RunLog]:
    """Every run that was begun in this folder, oldest first."""
    folders = [path.parent for path in runs.glob("*/intent.json")] if runs.is_dir() else []
    return [
        RunLog(folder)
        for folder in sorted(folders, key=lambda f: (f / "intent.json").stat().st_mtime)
    ]


def open_logs(runs: Path) -> list[RunLog]:
    """The runs whose account is not closed, without those that cannot be read: see `damaged_logs`."""
    return [log for log in all_logs(runs) if not log.is_settled and log.run_name]


def damaged_logs(runs: Path) -> list[RunLog]:
    """The runs whose account is not closed and that cannot be followed: their intent is unreadable."""
    return [log for log in all_logs(runs) if not log.is_settled and not log.run_name]


def held_up(runs: Path, tracker_uri: str) -> list[RunLog]:
    """The settled runs that this tracker should have and does not have whole."""
    found = []
    for log in all_logs(runs):
        state = log.mirrored() if log.is_settled else {"closed": True}
        is_ours = state.get("tracker", tracker_uri) == tracker_uri
        if not state.get("closed") and is_ours and log.run_name:
            found.append(log)
    return found


def is_followed(log: RunLog) -> bool:
    """Whether another process, or this one, holds the run at this moment."""
    probe = FileLock(log.folder / "lock", timeout=0)
    try:
        with probe:
            return False
    except Timeout:
        return True
