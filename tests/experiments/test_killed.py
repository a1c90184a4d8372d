"""The launcher dies before or after any of its calls to AWS and is started again with the same command."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from experiments.dataset import LocalDataset, read_dataset
from experiments.following.follow import Surroundings, run_plans
from experiments.following.run_log import open_logs
from experiments.launching.plan import plan_experiment
from experiments.prepare import prepare
from experiments.records import Call, RunRecord, RunStatus
from experiments.spec import ExperimentSpec
from tests.experiments.build import book, photos, spec
from tests.experiments.fake_cloud import Clock, FakeCloud
from tests.experiments.fake_runs import Work
from tests.experiments.fake_tracker import FakeTracker


class Killed(BaseException):
    """SIGKILL: nothing of the program runs after it."""


@dataclass(kw_only=True)
class DeadlyCloud(FakeCloud):
    """Kills its caller at the `dies_at`th call, before or after its effect, and at every later one."""

    dies_at: int = 0
    dies: str = "before"
    dead: bool = False
    asked: int = 0
    _counting: threading.Lock = field(default_factory=threading.Lock)
    _mine: threading.local = field(default_factory=threading.local)

    def _strike(self, call: Call, when: str) -> None:
        if when == "before":
            with self._counting:
                self.asked += 1
                self._mine.number = self.asked
        if self.dead or (self._mine.number == self.dies_at and when == self.dies):
            self.dead = True
            raise Killed
        super()._strike(call, when)


@dataclass(kw_only=True)
class Desk:
    """What outlives a launcher: the account, the tracker, the folder, the photographs."""

    folder: Path
    data: LocalDataset
    cloud: DeadlyCloud
    tracker: FakeTracker = field(default_factory=FakeTracker)
    ids: Iterator[str] = field(default_factory=lambda: (f"{n:08x}" for n in itertools.count(1)))

    @property
    def spec(self) -> ExperimentSpec:
        return spec(weights="w.pth")

    def type_the_command(self) -> list[RunRecord]:
        """One process: prepare, plan with run ids of its own, run, settle."""
        cloud = self.cloud
        made_of = prepare(
            self.spec,
            self.data,
            cloud=cloud,
            book=book(),
            history=(),
            cache=self.folder / "cache",
            base=self.folder,
            progress=lambda *_: None,
            say=lambda _text: None,
        )
        run_ids = [next(self.ids) for _ in self.spec.runs]
        plans = plan_experiment(self.spec, run_ids=run_ids, made_of=made_of, now=cloud.clock.now())
        around = Surroundings(
            cloud=cloud,
            tracker=self.tracker,
            book=book(),
            log_folder=self.folder / "runs",
            report=lambda _name, _text: None,
            poll_s=25.0,
            now=cloud.clock.now,
            sleep=cloud.clock.sleep,
        )
        return run_plans(plans, parallel=3, around=around)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> LocalDataset:
    return read_dataset(photos(tmp_path_factory.mktemp("photos"), each=1))


def desk(folder: Path, data: LocalDataset, dies_at: int, dies: str) -> Desk:
    folder.mkdir(parents=True)
    (folder / "w.pth").write_bytes(b"weights")
    works = {f"{n:08x}": Work(train_s=40) for n in range(1, 40)}
    cloud = DeadlyCloud(clock=Clock(), work=works, dies_at=dies_at, dies=dies)
    return Desk(folder=folder, data=data, cloud=cloud)


def revived(cloud: DeadlyCloud, dies_at: int) -> DeadlyCloud:
    cloud.dead, cloud.dies_at = False, dies_at
    return cloud


def check_one_of_each(at: Desk, records: list[RunRecord]) -> None:
    cloud = at.cloud
    assert {record.status for record in records} == {RunStatus.SUCCEEDED}
    assert (len(cloud.jobs), len(cloud.instances)) == (2, 1), "one job each, never two"
    assert open_logs(at.folder / "runs") == [], "none lost"
    settled = [run for run in at.tracker.tracked.values() if run.record is not None]
    assert {run.plan.run_id for run in settled} == {record.run_id for record in records}
    assert len(at.tracker.tracked) == 3
    for job in cloud.jobs.values():
        check_tags({tag["Key"]: tag["Value"] for tag in job.request["Tags"]})
    for instance in cloud.instances.values():
        for part in instance.request["TagSpecifications"]:
            check_tags({tag["Key"]: tag["Value"] for tag in part["Tags"]})
    for role in cloud.calls:
        if role.operation in ("create_role", "create_instance_profile"):
            assert {"pedigree:owner"} <= {tag["Key"] for tag in role.params["Tags"]}
    assert all(group["Tags"] for group in cloud.groups.values())


def check_tags(tags: dict[str, str]) -> None:
    for key in ("pedigree:owner", "pedigree:run", "pedigree:expires", "pedigree:experiment"):
        assert tags[key]


def calls_of_a_quiet_day(folder: Path, data: LocalDataset) -> int:
    at = desk(folder, data, 0, "before")
    check_one_of_each(at, at.type_the_command())
    return at.cloud.asked


def kill_at(folder: Path, data: LocalDataset, numbers: range, dies: str) -> int:
    """Kill at each of these calls and run again; how many of them had a moment to die in."""
    deaths = 0
    for number in numbers:
        at = desk(folder / f"{dies}-{number}", data, number, dies)
        try:
            at.type_the_command()
        except Killed:
            deaths += 1
            revived(at.cloud, 0)
            check_one_of_each(at, at.type_the_command())
        else:  # a call that AWS refused, "there is no such bucket", has no effect to die after
            assert dies == "after"
    return deaths


@pytest.mark.parametrize("dies", ["before", "after"])
def test_killed_at_a_call_and_run_again_there_is_one_of_each_run(
    tmp_path: Path, photographs: LocalDataset, dies: str
) -> None:
    calls = calls_of_a_quiet_day(tmp_path / "quiet", photographs)
    numbers = range(2, calls + 1, 5)
    assert kill_at(tmp_path, photographs, numbers, dies) > len(numbers) // 2


@pytest.mark.soak
@pytest.mark.parametrize("dies", ["before", "after"])
def test_killed_at_any_call_and_run_again_there_is_one_of_each_run(
    tmp_path: Path, photographs: LocalDataset, dies: str
) -> None:
    calls = calls_of_a_quiet_day(tmp_path / "quiet", photographs)
    deaths = kill_at(tmp_path, photographs, range(1, calls + 1), dies)
    assert deaths == calls if dies == "before" else deaths > 60


def test_killed_again_and_again(tmp_path: Path, photographs: LocalDataset) -> None:
    at = desk(tmp_path / "often", photographs, 7, "after")
    for deaths in itertools.count(1):
        try:
            records = at.type_the_command()
        except Killed:
            # Each life gets thirty calls further than the one before.
            at.cloud = revived(at.cloud, at.cloud.asked + 30 + deaths)
        else:
            break
    assert deaths > 3
    check_one_of_each(at, records)
