"""Launch what was planned, watch it to its end, and settle the account.

Nothing that goes wrong here stops a run: a poll or a tracker that fails is tried again, and a launcher that
must give up leaves the run to its own limit and to `pedigree attach`. Only a person or a budget stops one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from experiments.aws import Cloud
from experiments.errors import BusyError
from experiments.following.command import Command, begin, forget_done
from experiments.following.followed import Followed
from experiments.following.mirror import catch_up_all
from experiments.following.run_log import Intent, RunLog, is_followed, open_logs
from experiments.following.settle import Ledger
from experiments.prices import PriceBook
from experiments.records import Cost, LaunchPlan, RunRecord
from experiments.tracking import Tracker

Report = Callable[[str, str], None]
"""Called with a run's name and what it is doing now."""


class Interrupt(StrEnum):
    """What a person who pressed Ctrl-C wants of the runs that go on."""

    STOP = "stop"
    LEAVE = "leave"
    GO_ON = "go on"


def _no_limit(_plan: LaunchPlan, _so_far: Cost) -> str | None:
    return None


def _stop(_names: Sequence[str]) -> Interrupt:
    return Interrupt.STOP


def _unheard(_name: str, _lines: Sequence[str]) -> None:
    """Nobody listens to the lines themselves."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What an executor works with: the two doors, the prices, the folder of runs, people, and time.

    `over_budget` gets a plan and its cost so far at every poll and returns why the run must stop, or
    None. A run that cannot be asked after for `give_up_s` is left to itself.
    """

    cloud: Cloud
    tracker: Tracker
    book: PriceBook
    log_folder: Path
    report: Report
    poll_s: float
    cloud_name: str = "local"
    give_up_s: float = 900.0
    on_interrupt: Callable[[Sequence[str]], Interrupt] = _stop
    on_lines: Callable[[str, Sequence[str]], None] = _unheard
    over_budget: Callable[[LaunchPlan, Cost], str | None] = _no_limit
    now: Callable[[], datetime] = lambda: datetime.now(tz=UTC)
    sleep: Callable[[float], None] = time.sleep

    @property
    def ledger(self) -> Ledger:
        """What costs are reckoned with here."""
        return Ledger(book=self.book, cloud=self.cloud.basis)


@dataclass(kw_only=True)
class _Work:
    waiting: list[LaunchPlan | RunLog]
    parallel: int
    held: list[RunLog] = field(default_factory=list)
    active: list[Followed] = field(default_factory=list)
    records: dict[str, RunRecord] = field(default_factory=dict)


def run_plans(
    plans: Sequence[LaunchPlan], *, parallel: int, around: Surroundings
) -> list[RunRecord]:
    """Run every plan, at most `parallel` at a time, and return their records in order.

    A plan whose work a launcher that died had begun is taken up where it was left. A launch that AWS
    refuses becomes a run of status `refused` at $0. On Ctrl-C `around.on_interrupt` decides whether what
    runs is stopped and settled, or left; then the interrupt goes on. After a stop the same command is
    a new one.
    """
    if not plans:
        return []
    command = begin(plans, around.log_folder, around.cloud_name)
    try:
        work = [_taken_up(command, plan, around) for plan in plans]
        _tell_of_others(plans[0].experiment, set(command.runs.values()), around)
        records = follow(work, parallel=parallel, around=around)
        if command.is_done:
            command.finish()
        return records
    except KeyboardInterrupt:
        if command.is_ended:
            command.finish()
        raise
    finally:
        command.lock.release()


def _tell_of_others(experiment: str, ours: set[str], around: Surroundings) -> None:
    """Runs of the experiment that were left open by a command over other work than this one's."""
    for log in open_logs(around.log_folder):
        plan = log.intent().plan
        if plan.experiment == experiment and log.run_id not in ours and not is_followed(log):
            text = f"an earlier command left run {log.run_id} open"
            around.report(plan.run_name, f"{text}; `pedigree attach {log.run_id}` settles it")


def _taken_up(command: Command, plan: LaunchPlan, around: Surroundings) -> LaunchPlan | RunLog:
    log = command.log_of(plan)
    if log is None:
        return plan
    if log.run_id != plan.run_id:
        around.report(plan.run_name, f"taken up again where it was left, as run {log.run_id}")
    return log


def follow(
    work: Sequence[LaunchPlan | RunLog], *, parallel: int, around: Surroundings
) -> list[RunRecord]:
    """Launch plans and take up runs that were begun; their records in order.

    Raises BusyError if another process follows one of the runs.
    """
    doing = _Work(waiting=[], parallel=parallel)
    try:
        for item in work:
            settled = item.settled() if isinstance(item, RunLog) else None
            if settled is not None:
                doing.records[item.run_id] = settled.record
                continue
            doing.waiting.append(item)
            if isinstance(item, RunLog):
                _hold(item, doing)
        while doing.waiting or doing.active:
            try:
                _turn(doing, around)
            except KeyboardInterrupt:
                if not _go_on(doing, around):
                    raise
    finally:
        for log in doing.held:
            log.lock.release()
        forget_done(around.log_folder)
    return [doing.records[item.run_id] for item in work]


def _hold(log: RunLog, work: _Work) -> None:
    from filelock import Timeout

    try:
        log.lock.acquire()
    except Timeout:
        raise BusyError(
            f"another pedigree command follows run {log.run_id}",
            fix="watch it there, or end that command (it asks) and try again",
        ) from None
    work.held.append(log)


def _turn(work: _Work, around: Surroundings) -> None:
    while work.waiting and len(work.active) < work.parallel:
        # In `active` before anything is sent: an interrupt finds it there.
        work.active.append(Followed(log=_begun(work.waiting[0], work, around), around=around))
        work.waiting.pop(0)
    for run in list(work.active):
        record = run.poll()
        if record is not None:
            work.records[run.log.run_id] = record
            work.active.remove(run)
    if work.active:
        around.sleep(around.poll_s)


def _begun(item: LaunchPlan | RunLog, work: _Work, around: Surroundings) -> RunLog:
    if isinstance(item, RunLog):
        return item
    opened = Intent(plan=item, cloud=around.cloud_name, opened_at=around.now())
    log = RunLog.create(around.log_folder, opened)
    _hold(log, work)
    return log


def _go_on(work: _Work, around: Surroundings) -> bool:
    names = [run.name for run in work.active]
    try:
        wish = around.on_interrupt(names) if names else Interrupt.STOP
    except KeyboardInterrupt:  # pressed again while being asked
        wish = Interrupt.STOP
    if wish is Interrupt.LEAVE:
        for run in work.active:
            around.report(run.name, f"goes on; `pedigree attach {run.log.run_id}` follows it again")
    if wish is Interrupt.STOP:
        stop_all(work.active, "stopped by Ctrl-C", around)
    return wish is Interrupt.GO_ON


def stop_all(runs: Sequence[Followed], why: str, around: Surroundings) -> list[RunRecord]:
    """Ask every run to stop before waiting for any; one that cannot be settled holds up no other."""
    left = list(runs)
    records = []
    for run in left:
        run.stop(why)
    while left:
        for run in list(left):
            record = run.poll()
            if record is not None:
                records.append(record)
                left.remove(run)
        if left:
            around.sleep(around.poll_s)
    return records


def stop_runs(logs: Sequence[RunLog], why: str, *, around: Surroundings) -> list[RunRecord]:
    """Stop runs and settle them. One that another process follows is only noted: that process stops it."""
    work = _Work(waiting=[], parallel=len(logs))
    mine = []
    for log in logs:
        try:
            _hold(log, work)
        except BusyError:
            log.note("stop", at=around.now(), why=why)
        else:
            mine.append(Followed(log=log, around=around))
    try:
        return stop_all(mine, why, around)
    finally:
        for log in work.held:
            log.lock.release()
        forget_done(around.log_folder)


def catch_up_tracker(around: Surroundings) -> list[str]:
    """Give the tracker the settled runs that it missed while it was down; the ids of those it still lacks."""
    return catch_up_all(around.log_folder, around.tracker, now=around.now)
