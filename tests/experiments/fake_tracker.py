"""A tracker in memory, with MLflow's rules: a run must be open, a repeated point is one point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from experiments.events import MetricPoint
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
    record: RunRecord | None = None
    cost: Cost | None = None


class FakeTracker(Tracker):
    """Keeps runs in `tracked`, by the id that `open_run` gave. `tag` fails as often as told to."""

    def __init__(self, *, failing_tags: int = 0) -> None:
        super().__init__("memory:", Path())
        self.tracked: dict[str, TrackedRun] = {}
        self._failing_tags = failing_tags

    def open_run(self, plan: LaunchPlan, *, now: datetime) -> str:
        name = f"t{len(self.tracked) + 1}"
        self.tracked[name] = TrackedRun(plan=plan, opened=now)
        return name

    def log_points(self, tracker_run_id: str, points: Sequence[MetricPoint]) -> None:
        self.tracked[tracker_run_id].points |= set(points)

    def tag(self, tracker_run_id: str, tags: Mapping[str, str]) -> None:
        if self._failing_tags:
            self._failing_tags -= 1
            raise OSError("the tracker is down")
        self.tracked[tracker_run_id].tags |= tags

    def log_params(self, tracker_run_id: str, params: Mapping[str, str]) -> None:
        self.tracked[tracker_run_id].params |= params

    def log_file(self, tracker_run_id: str, text: str, path: str) -> None:
        self.tracked[tracker_run_id].files[path] = text

    def close_run(self, tracker_run_id: str, record: RunRecord, cost: Cost) -> None:
        self.tracked[tracker_run_id].record = record
        self.tracked[tracker_run_id].cost = cost

    def of(self, run_id: str) -> TrackedRun:
        """The tracked run of a plan, by the plan's run id."""
        return next(run for run in self.tracked.values() if run.plan.run_id == run_id)
