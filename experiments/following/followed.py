"""One run as it is followed: launched, polled, mirrored, stopped, settled."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from experiments import names
from experiments.errors import CloudError, PedigreeError
from experiments.events import latest_phase, metric_line
from experiments.following.mirror import Mirror
from experiments.following.observe import observe
from experiments.following.output import live_lines
from experiments.following.settle import LAUNCHER, close, make_record, settle
from experiments.following.stop import POLITE_S, ask_to_stop, end_now
from experiments.following.submit import BUSY, LOST, find, submit
from experiments.records import LaunchPlan, Observation, RunHandle, RunRecord, RunStatus

if TYPE_CHECKING:
    from experiments.following.follow import Surroundings
    from experiments.following.run_log import RunLog

_COST_EVERY_S = 60.0
_LONGEST_WAIT_S = 60.0
_LAST_MIRROR_WAITS_S = (1.0, 2.0, 4.0, 8.0)


@dataclass(kw_only=True)
class Followed:
    """A run that this process follows. `poll` is called again and again until it gives a record."""

    log: RunLog
    around: Surroundings
    plan: LaunchPlan = field(init=False)
    mirror: Mirror = field(init=False)
    handle: RunHandle | None = None
    _phase: str = ""
    _cloud_phase: str = ""
    _status: RunStatus = RunStatus.SUBMITTED
    _stop_why: str = ""
    _asked_at: datetime | None = None
    _failing_since: datetime | None = None
    _failures: int = 0
    _not_before: datetime | None = None
    _cost_told_at: datetime | None = None

    def __post_init__(self) -> None:
        self.plan = self.log.intent().plan
        self.mirror = Mirror(
            log=self.log, tracker=self.around.tracker, now=self.around.now, tell=self._tell
        )
        past = self.log.progress()
        self._stop_why = past.stop_why
        if past.resource and past.launched_at:
            self.handle = self._handle(past.resource, past.launched_at)

    @property
    def name(self) -> str:
        return self.plan.run_name

    def _tell(self, text: str) -> None:
        self.around.report(self.name, text)

    def _handle(self, resource: str, at: datetime) -> RunHandle:
        return RunHandle(
            run_id=self.plan.run_id,
            launcher=self.plan.launcher,
            resource_id=resource,
            submitted_at=at,
        )

    def poll(self) -> RunRecord | None:
        """Look once. The record when the run is settled, or when it has to be left to itself.

        What goes wrong is tried again after 1, 2, 4, ... 60 s; KeyboardInterrupt passes through.
        """
        now = self.around.now()
        if self._not_before is not None and now < self._not_before:
            return None
        try:
            record = self._step()
        except Exception as error:
            return self._failed(error, now)
        if self._failures:
            self._tell("can be asked after again")
        self._failures, self._failing_since, self._not_before = 0, None, None
        return record

    def _failed(self, error: Exception, now: datetime) -> RunRecord | None:
        self._failures += 1
        self._failing_since = self._failing_since or now
        wait_s = min(2.0 ** (self._failures - 1), _LONGEST_WAIT_S)
        self._not_before = now + timedelta(seconds=wait_s)
        said = error.message if isinstance(error, PedigreeError) else repr(error)
        if self._failures == 1:
            self._tell(f"cannot be asked after, it is tried again: {said}")
        if (now - self._failing_since).total_seconds() < self.around.give_up_s:
            return None
        self._tell(f"is left to itself; `pedigree attach {self.log.run_id}` takes it up again")
        reason = f"not followed any more, it may go on: {said}"
        seen = Observation(status=self._status, phase=self._phase, reason=reason)
        return make_record(self.plan, seen, None, tracker_run_id=self.mirror.run_id)

    def _step(self) -> RunRecord | None:
        self._stop_why = (
            self._stop_why or self.log.progress().stop_why
        )  # another process may note it
        if self.handle is None:
            record = self._launch()
            if record is not None or self.handle is None:
                return record
        self._press_on_stopping()
        seen = observe(self.around.cloud, self.handle, self.plan, self.around.now())
        self._read_lines(seen)
        if seen.status.settled:
            return self._settle(seen)
        self._reckon(seen)
        self.mirror.catch_up()
        return None

    def _launch(self) -> RunRecord | None:
        self.mirror.catch_up()  # opened first, so that a refusal is on record too
        if self._stop_why and not self._find():
            seen = Observation(status=RunStatus.STOPPED, phase="", reason=self._stop_why)
            return self._close_unlaunched(seen)
        if self.handle is not None:
            return None
        cloud, now = self.around.cloud, self.around.now
        try:
            resource = submit(
                self.plan, cloud=cloud, log=self.log, now=now(), sleep=self.around.sleep
            )
        except CloudError as error:
            if error.code in (*LOST, *BUSY):
                raise
            seen = Observation(status=RunStatus.REFUSED, phase="", reason=error.message)
            return self._close_unlaunched(seen)
        self._launched(resource)
        return None

    def _find(self) -> bool:
        """Look for a run whose launch was begun and whose answer was never read."""
        if self.log.progress().asked:
            found = find(self.plan, self.around.cloud, self.around.sleep)
            if found is not None:
                self._launched(found)
        return self.handle is not None

    def _launched(self, resource: str) -> None:
        at = self.around.now()
        self.log.note("launched", at=at, resource=resource)
        self.handle = self._handle(resource, at)
        self.mirror.live[names.RESOURCE] = resource
        self._tell(f"submitted as {resource}")

    def _close_unlaunched(self, seen: Observation) -> RunRecord:
        around = self.around
        record = close(self.log, seen, [], {}, ledger=around.ledger, now=around.now())
        self._mirror_to_the_end()
        self._tell(f"{seen.status.value}: {seen.reason}")
        return record

    def _read_lines(self, seen: Observation) -> None:
        handle = self.handle
        assert handle is not None  # noqa: S101
        lines, cursor = live_lines(self.around.cloud, handle, self.plan, self.log.cursor())
        if lines:
            self.log.keep(lines, cursor)
            self.around.on_lines(self.name, lines)
        # What the program said last stands until AWS has something new to say.
        said = latest_phase(lines)
        phase = said or (self._phase if seen.phase == self._cloud_phase else seen.phase)
        self._cloud_phase = seen.phase
        self._status = RunStatus.RUNNING if seen.status.settled else seen.status
        if phase != self._phase:
            self._phase = phase
            self._tell(phase)
        self.mirror.live |= {names.PHASE: phase, names.STATUS: self._status.value}

    def _reckon(self, seen: Observation) -> None:
        now = self.around.now()
        cost = self.around.ledger.so_far(self.plan, seen.usage, now)
        told = self._cost_told_at
        if cost.lines and (told is None or (now - told).total_seconds() >= _COST_EVERY_S):
            self._cost_told_at = now
            usd = float(cost.total_usd)
            line = metric_line(names.COST_SO_FAR_METRIC, usd, t=now.timestamp(), host=LAUNCHER)
            self.log.keep([line], self.log.cursor())
        why = None if self._stop_why else self.around.over_budget(self.plan, cost)
        if why:
            self._tell(f"is stopped: {why}")
            self.stop(why)

    def stop(self, why: str) -> None:
        """Ask the run to stop; `poll` goes on until it has, and ends an instance that does not."""
        if not self._stop_why:
            self.log.note("stop", at=self.around.now(), why=why)
        self._stop_why = self._stop_why or why
        self._not_before = None
        if self.handle is None:
            return
        self._tell("stopping")
        try:
            self._ask_to_stop()
        except PedigreeError as error:  # it may have ended by itself
            self._tell(error.message)

    def _ask_to_stop(self) -> None:
        assert self.handle is not None  # noqa: S101
        self._asked_at = self.around.now()
        ask_to_stop(self.around.cloud, self.handle, self._stop_why)

    def _press_on_stopping(self) -> None:
        """A run that was to stop and that was not asked is asked; one that did not listen is ended."""
        if not self._stop_why or self.handle is None:
            return
        if self._asked_at is None:
            self.stop(self._stop_why)
        elif (self.around.now() - self._asked_at).total_seconds() > POLITE_S:
            end_now(self.around.cloud, self.handle)

    def _settle(self, seen: Observation) -> RunRecord:
        around = self.around
        record = settle(self.log, seen, cloud=around.cloud, ledger=around.ledger, now=around.now())
        self._mirror_to_the_end()
        self._tell(f"{record.status.value} {record.reason}".strip())
        return record

    def _mirror_to_the_end(self) -> None:
        for wait_s in _LAST_MIRROR_WAITS_S:
            if self.mirror.catch_up(at_once=True):
                return
            self.around.sleep(wait_s)
        if not self.mirror.catch_up(at_once=True):
            self._tell("the tracker lacks this run; the next pedigree command brings it up to date")
