"""A tracker in memory, with MLflow's rules: a run must be open, a repeated point is one point."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from experiments.events import MetricPoint, Trial
from experiments.records import Cost, LaunchPlan, RunRecord
from experiments.tracking import Tracker


@dataclass(kw_only=True)
class TrackedRun:
    """What was written of one run."""

    plan: LaunchPlan
    opened: datetime
    tags: dict[str, str] = field(default_factory=dict)
    points: set[MetricPoint] = field(default_factory=set)
    params: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    trials: dict[int, Trial] = field(default_factory=dict)
    record: RunRecord | None = None
    cost: Cost | None = None


class FakeTracker(Tracker):
    """Keeps runs in `tracked`, by the id that `open_run` gave.

    `down` says, for each call's number from 1, whether it fails, and when: before its effect or after it.
    """

    def __init__(self, *, down: Callable[[int], str] = lambda _call: "") -> None:
        super().__init__("memory:", Path())
        self.tracked: dict[str, TrackedRun] = {}
        self.asked = 0
        self.down = down
        self._failing = ""

    def _call(self) -> None:
        self.asked += 1
        self._failing = self.down(self.asked)
        if self._failing == "before":
            raise OSError("the tracker is down")

    def _answer(self) -> None:
        if self._failing == "after":
            raise OSError("the tracker's answer was lost")

    def open_run(self, plan: LaunchPlan, *, now: datetime, again: bool = False) -> str:
        self._call()
        known = [name for name, run in self.tracked.items() if run.plan.run_id == plan.run_id]
        if not (again and known):
            known = [f"t{len(self.tracked) + 1}"]
            self.tracked[known[0]] = TrackedRun(plan=plan, opened=now)
        self._answer()
        return known[0]

    def log_points(self, tracker_run_id: str, points: Sequence[MetricPoint]) -> None:
        self._call()
        self.tracked[tracker_run_id].points |= set(points)
        self._answer()

    def log_trials(self, tracker_run_id: str, trials: Sequence[Trial]) -> None:
        self._call()
        for trial in trials:
            self.tracked[tracker_run_id].trials.setdefault(trial.number, trial)
        self._answer()

    def tag(self, tracker_run_id: str, tags: Mapping[str, str]) -> None:
        self._call()
        self.tracked[tracker_run_id].tags |= tags
        self._answer()

    def log_params(self, tracker_run_id: str, params: Mapping[str, str]) -> None:
        self._call()
        self.tracked[tracker_run_id].params |= params
        self._answer()

    def log_file(self, tracker_run_id: str, data: bytes, name: str) -> None:
        self._call()
        self.tracked[tracker_run_id].files[name] = data.decode("utf-8", "replace")
        self._answer()

    def close_run(
        self, tracker_run_id: str, record: RunRecord, cost: Cost, *, now: datetime
    ) -> None:
        self._call()
        self.tracked[tracker_run_id].record = record
        self.tracked[tracker_run_id].cost = cost
        self._answer()

    def of(self, run_id: str) -> TrackedRun:
        """The tracked run of a plan, by the plan's run id."""
        (found,) = [run for run in self.tracked.values() if run.plan.run_id == run_id]
        return found
