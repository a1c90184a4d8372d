"""Bring the tracker up to date with a run's log, whenever the tracker lets it.

The log is the truth; the tracker's copy can be written again from it at any time. Every write carries the
time of the thing itself and changes nothing when it is repeated, so a launcher or a tracker may die
between any two of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from experiments import names
from experiments.events import (
    Event,
    environment,
    metric_points,
    read_events,
    trials_in,
    warnings_in,
)
from experiments.following.run_log import RunLog, held_up
from experiments.tracking import Tracker

_PORTION_BYTES = 1 << 20
_LONGEST_WAIT_S = 60.0
_PAUSE_S, _LONG_PAUSE_S = 1.0, 5.0
_VALUES_PER_S = 100
"""Above this flow values wait for each other longer than a second: small writes cost the most."""


@dataclass(kw_only=True)
class Mirror:
    """Writes one run's log to the tracker. A tracker that fails is tried again after 1, 2, 4, ... 60 s."""

    log: RunLog
    tracker: Tracker
    now: Callable[[], datetime]
    tell: Callable[[str], None]
    live: dict[str, str] = field(default_factory=dict)
    """Tags of the run as it is now; the newest value counts."""
    _state: dict[str, Any] | None = None
    _failures: int = 0
    _not_before: datetime | None = None
    _written: int = 0
    """Values of the last writing."""

    @property
    def run_id(self) -> str:
        """The tracker's id of the run; empty until the tracker has opened it."""
        return str(self._known().get("run", ""))

    def catch_up(self, *, at_once: bool = False) -> bool:
        """Write what the tracker lacks. True when it has everything that is there now.

        Never raises for a failing tracker. Within its waiting time, or a second after the last write
        (up to five when values come fast), nothing is done unless `at_once`.
        """
        if not at_once and self._not_before is not None and self.now() < self._not_before:
            return False
        try:
            self._write()
        except Exception as error:  # whatever breaks in a tracker must not reach the run
            self._failures += 1
            wait_s = min(2.0 ** (self._failures - 1), _LONGEST_WAIT_S)
            self._not_before = self.now() + timedelta(seconds=wait_s)
            if self._failures == 1:
                self.tell(f"the tracker does not answer, the run goes on: {_first_line(error)}")
            return False
        if self._failures:
            self.tell("the tracker answers again and has everything")
        # Values that come more often are written together: fewer writes, less taken from the run.
        pause_s = min(max(_PAUSE_S, self._written / _VALUES_PER_S), _LONG_PAUSE_S)
        self._failures, self._not_before = 0, self.now() + timedelta(seconds=pause_s)
        return True

    def _known(self) -> dict[str, Any]:
        if self._state is None:
            found = self.log.mirrored()
            same = found.get("tracker", self.tracker.uri) == self.tracker.uri
            self._state = found if same else {}
        return self._state

    def _remember(self, **changes: Any) -> None:
        self._state = {**self._known(), "tracker": self.tracker.uri, **changes}
        self.log.write_mirrored(self._state)

    def _write(self) -> None:
        if self._known().get("closed"):
            return
        self._open()
        self._written = 0
        while self._write_portion():
            pass
        changed = {k: v for k, v in self.live.items() if self._known().get("tags", {}).get(k) != v}
        if changed:
            self.tracker.tag(self.run_id, changed)
            self._remember(tags={**self._known().get("tags", {}), **changed})
        self._close()

    def _open(self) -> None:
        if self.run_id:
            return
        intent = self.log.intent()
        # Only a tracker that was asked before can hold the run already; looking for it takes a search.
        again = bool(self._known().get("asked"))
        self._remember(asked=True)
        self._remember(run=self.tracker.open_run(intent.plan, now=intent.opened_at, again=again))

    def _write_portion(self) -> bool:
        start = int(self._known().get("bytes", 0))
        lines, end = self.log.lines(start, _PORTION_BYTES)
        if end == start:
            return False
        events = read_events(lines)
        points = metric_points(events)
        self.tracker.log_points(self.run_id, points)
        self._written += len(points)
        trials = trials_in(events)
        if trials:
            self.tracker.log_trials(self.run_id, trials)
        params = environment(events)
        if params:
            self.tracker.log_params(self.run_id, params)
        self._warn(events)
        self._remember(bytes=end)
        return True

    def _warn(self, events: Iterable[Event]) -> None:
        before = self._known().get("warnings", [])
        told = list(warnings_in(events, before))
        if told != before:
            self.tracker.tag(self.run_id, {names.WARNINGS: "\n".join(told)})
            self._remember(warnings=told)

    def _close(self) -> None:
        settled = self.log.settled()
        if settled is None:
            return
        for name, data in self.log.files().items():
            self.tracker.log_file(self.run_id, data, name)
        self.tracker.close_run(self.run_id, settled.record, settled.cost, now=settled.at)
        self._remember(closed=True)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _utc_now() -> datetime:
    return datetime.now(tz=UTC)


def catch_up_all(
    runs: Path, tracker: Tracker, *, now: Callable[[], datetime] = _utc_now
) -> list[str]:
    """Write the settled runs of a folder that the tracker missed; the ids of those it still lacks."""
    late = held_up(runs, tracker.uri)
    for at, log in enumerate(late):
        mirror = Mirror(log=log, tracker=tracker, now=now, tell=lambda _text: None)
        if not mirror.catch_up():  # the next would wait for the same tracker
            return [log.run_id for log in late[at:]]
    return []
