"""A prepared account, a tracker and simulated time: everything an executor works with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.following.follow import Surroundings, run_plans
from experiments.following.run_log import Intent, RunLog
from experiments.following.submit import submit
from experiments.foundation import observe_foundation, plan_foundation
from experiments.records import LaunchPlan, RunHandle, RunRecord
from tests.experiments.build import book, plans
from tests.experiments.fake_cloud import Clock, FakeCloud, Fault
from tests.experiments.fake_runs import Work
from tests.experiments.fake_tracker import FakeTracker


class World:
    """The three runs of the builder's experiment are planned, and their inputs are in the bucket."""

    def __init__(
        self,
        *,
        work: Mapping[str, Work] | None = None,
        faults: Sequence[Fault] = (),
        tracker: FakeTracker | None = None,
        logs: Path,
        blind_s: float = 0.0,
        quota: int = 20,
    ) -> None:
        self.clock = Clock()
        self.cloud = FakeCloud(clock=self.clock, work=work or {}, blind_s=blind_s, quota=quota)
        home, standing = observe_foundation(self.cloud)
        for call in plan_foundation(home, standing):
            self.cloud.perform(call)
        for key in ("datasets/abababababababab/photo.jpg", "code/abababababababab/source.tar.gz"):
            self.cloud.buckets.put(home.bucket, key, b"x")
        self.cloud.buckets.put(home.bucket, "weights/abababababababab/lite0.pth", b"x")
        self.cloud.calls.clear()
        self.cloud.faults = faults
        self.plans: list[LaunchPlan] = plans()
        self.tracker = tracker or FakeTracker()
        self.said: list[tuple[str, str]] = []
        self.around = Surroundings(
            cloud=self.cloud,
            tracker=self.tracker,
            book=book(),
            log_folder=logs,
            report=lambda name, text: self.said.append((name, text)),
            poll_s=2.0,
            now=self.clock.now,
            sleep=self.clock.sleep,
        )

    def launch(self, run_name: str) -> tuple[LaunchPlan, RunHandle]:
        """Launch one of the plans and nothing more."""
        found = next(p for p in self.plans if p.run_name == run_name)
        opened = Intent(plan=found, cloud="local", opened_at=self.clock.now())
        log = RunLog.create(self.around.log_folder, opened)
        resource = submit(
            found, cloud=self.cloud, log=log, now=self.clock.now(), sleep=self.clock.sleep
        )
        return found, RunHandle(
            run_id=found.run_id,
            launcher=found.launcher,
            resource_id=resource,
            submitted_at=self.clock.now(),
        )

    def run(self, *, parallel: int = 3) -> list[RunRecord]:
        """Run all plans to their end."""
        return run_plans(self.plans, parallel=parallel, around=self.around)
