"""What one `pedigree run` was to do, kept until it has done it: so that the same command, typed again
after its launcher died, goes on and does nothing twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from experiments.files import write_whole
from experiments.following.run_log import RunLog, fingerprint
from experiments.records import LaunchPlan


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command that was begun and not finished. `runs` maps the fingerprint of each plan to its run id."""

    path: Path
    cloud: str
    runs: dict[str, str]
    lock: FileLock

    def log_of(self, plan: LaunchPlan) -> RunLog | None:
        """The log of a plan's run, if the command had begun it."""
        log = RunLog(self.path.parent / self.runs[fingerprint(plan)])
        return log if (log.folder / "intent.json").is_file() else None

    def finish(self) -> None:
        """All of it is done: the same command is a new one from now on."""
        self.path.unlink(missing_ok=True)
        self.lock.release()
        self.path.with_suffix(".lock").unlink(missing_ok=True)

    @property
    def is_done(self) -> bool:
        """Whether each of its runs is settled."""
        return all(log.is_settled for log in self._logs())

    @property
    def is_ended(self) -> bool:
        """Whether nothing of it goes on: each of its runs is settled or was never begun."""
        return all(log.is_settled for log in self._logs() if (log.folder / "intent.json").is_file())

    def _logs(self) -> list[RunLog]:
        return [RunLog(self.path.parent / run_id) for run_id in self.runs.values()]


def begin(plans: Sequence[LaunchPlan], runs: Path, cloud: str) -> Command:
    """The unfinished command over the same work whose launcher died, or else a new one; held either way.

    A command that a living process works at is left alone: the same work is then done anew.
    """
    wanted = {fingerprint(plan): plan.run_id for plan in plans}
    for command in unfinished(runs):
        if command.cloud != cloud or set(command.runs) != set(wanted):
            continue
        try:
            command.lock.acquire()
        except Timeout:
            continue
        if command.path.is_file():
            return command
        command.lock.release()
    path = runs / f"command-{plans[0].run_id}.json"
    runs.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_suffix(".lock"), timeout=0)
    lock.acquire()
    write_whole(path, json.dumps({"cloud": cloud, "runs": wanted}).encode())
    return Command(path=path, cloud=cloud, runs=wanted, lock=lock)


def unfinished(runs: Path) -> list[Command]:
    """The commands that were begun here and not finished, oldest first."""
    found = []
    for path in sorted(runs.glob("command-*.json"), key=_age):
        try:
            held = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        lock = FileLock(path.with_suffix(".lock"), timeout=0)
        found.append(Command(path=path, cloud=held["cloud"], runs=held["runs"], lock=lock))
    return found


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def forget_done(runs: Path) -> None:
    """Finish the commands whose runs were all settled by somebody else, such as `pedigree attach`."""
    for command in unfinished(runs):
        if not command.is_done:
            continue
        try:
            command.lock.acquire()
        except Timeout:
            continue
        command.finish()
