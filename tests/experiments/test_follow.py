from __future__ import annotations

import itertools
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from experiments import names
from experiments.errors import CloudError
from experiments.following.follow import mirror
from experiments.records import Basis, RunRecord, RunStatus
from tests.experiments.build import event, told
from tests.experiments.fake_cloud import Fault
from tests.experiments.fake_runs import Work
from tests.experiments.fake_tracker import FakeTracker
from tests.experiments.world import World

ONE, TWO, PLAIN = "00000001", "00000002", "00000003"


def by_id(records: list[RunRecord]) -> dict[str, RunRecord]:
    return {record.run_id: record for record in records}


def living(world: World) -> list[str]:
    """What AWS still has running."""
    now = world.clock.now()
    jobs = [j.described(now)["TrainingJobStatus"] for j in world.cloud.jobs.values()]
    instances = [i.described(now)["State"]["Name"] for i in world.cloud.instances.values()]
    return [state for state in jobs + instances if state in ("InProgress", "pending", "running")]


def test_three_runs_succeed_and_are_settled(tmp_path: Path) -> None:
    world = World(logs=tmp_path)
    records = world.run()
    assert [record.run_id for record in records] == [ONE, TWO, PLAIN]
    assert {record.status for record in records} == {RunStatus.SUCCEEDED}
    assert all(record.metrics == {"train/loss": 0.4, "test/top1": 0.9} for record in records)
    one, two, plain = records
    # 90 s of training and 5 s of uploading; the second on two hosts; EC2 boots for 20 s
    assert one.cost_usd == Decimal("0.0060694444")  # 95 x 0.23 / 3600
    assert two.cost_usd == Decimal("0.0060694444")  # 2 x 95 x 0.115 / 3600
    assert plain.billable_s == 110
    assert plain.cost_usd == Decimal("0.0051944444") + Decimal("0.0001004566")
    assert {record.cost_basis for record in records} == {Basis.SIMULATED}
    for record in records:
        assert record.model_uri is not None
        assert record.model_uri.endswith(f"-{record.run_id}/output/model.tar.gz")
        tracked = world.tracker.of(record.run_id)
        assert tracked.record == record
        assert {point.name: point.value for point in tracked.points if point.step != 1} == (
            dict(record.metrics)
        )
        assert tracked.files["events.jsonl"].splitlines() == [
            line for line in told() if line.startswith("{")
        ]
        assert "result" in (tmp_path / f"{record.run_id}.log").read_text()
    assert living(world) == []


def test_on_aws_a_reckoned_cost_is_an_estimate(tmp_path: Path) -> None:
    world = World(logs=tmp_path)
    world.cloud.basis = Basis.BILLED
    assert {record.cost_basis for record in world.run()} == {Basis.ESTIMATED}


def test_what_the_program_says_is_what_is_reported(tmp_path: Path) -> None:
    world = World(logs=tmp_path)
    world.run()
    said = [text for name, text in world.said if name == "one"]
    assert said == [
        "submitted as dogs-one-00000001",
        "Starting",
        "Training",
        "features",
        "head",
        "Uploading",
        "Completed",
        "succeeded",
    ]
    assert world.tracker.of(ONE).tags[names.RESOURCE] == "dogs-one-00000001"


def test_a_role_that_was_just_made_is_waited_for(tmp_path: Path) -> None:
    unknown = CloudError("Could not assume role x", fix="-", code="ValidationException")
    world = World(logs=tmp_path, faults=[Fault(operation="create_training_job", error=unknown)])
    assert {record.status for record in world.run()} == {RunStatus.SUCCEEDED}
    assert [call.operation for call in world.cloud.calls].count("create_training_job") >= 2


def test_a_launch_that_aws_refuses_is_on_record_at_nothing(tmp_path: Path) -> None:
    world = World(logs=tmp_path, quota=1)
    records = by_id(world.run())
    refused = records[TWO]
    assert refused.status is RunStatus.REFUSED
    assert refused.cost_usd == 0
    assert "ResourceLimitExceeded" in refused.reason
    tracked = world.tracker.of(TWO)
    assert tracked.record == refused
    assert tracked.cost is not None
    assert tracked.cost.lines == ()
    assert records[ONE].status is records[PLAIN].status is RunStatus.SUCCEEDED
    assert ("two", f"refused: {refused.reason}") in world.said


def test_a_failed_run_says_why_in_its_own_words(tmp_path: Path) -> None:
    lines = told(status="failed", message="no photo of class 'pug' can be read")
    silent = Work(train_s=30, lines=("Killed",), exit_code=137, failure="AlgorithmError: 137")
    work = {ONE: Work(lines=lines, exit_code=1), TWO: silent, PLAIN: Work(lines=lines, exit_code=1)}
    records = by_id(World(work=work, logs=tmp_path).run())
    assert {record.status for record in records.values()} == {RunStatus.FAILED}
    assert records[ONE].reason == records[PLAIN].reason == "no photo of class 'pug' can be read"
    assert records[TWO].reason == "AlgorithmError: 137"
    assert all(record.model_uri is None for record in records.values())
    assert all(record.cost_usd for record in records.values())


def test_a_run_at_its_maximum_run_time_is_stopped_and_paid_for(tmp_path: Path) -> None:
    endless = Work(train_s=10**6, lines=told()[:1])
    world = World(work={ONE: endless, PLAIN: endless}, logs=tmp_path)
    records = by_id(world.run())
    assert records[ONE].status is records[PLAIN].status is RunStatus.STOPPED
    assert "maximum run time" in records[ONE].reason
    # EC2 does not say when an instance ended that ended itself: up to when it was seen ended.
    assert records[PLAIN].billable_s == pytest.approx(20 + 1800 + 120 + 8, abs=2.5)
    assert (records[PLAIN].cost_usd or 0) > Decimal("0.09")


@pytest.mark.parametrize("parallel", [1, 2, 3])
def test_no_more_run_at_once_than_allowed(tmp_path: Path, parallel: int) -> None:
    world = World(logs=tmp_path)
    most = [0]

    def count(seconds: float) -> None:
        most.append(len(living(world)))
        world.clock.sleep(seconds)

    world.around = replace(world.around, sleep=count)
    records = world.run(parallel=parallel)
    assert len(records) == 3
    assert max(most) == parallel


@pytest.mark.parametrize("calls", [3, 5, 9, 20])
def test_ctrl_c_stops_and_settles_everything(tmp_path: Path, calls: int) -> None:
    fault = Fault(operation="describe_training_job", error=KeyboardInterrupt(), nth=calls)
    world = World(logs=tmp_path, faults=[fault])
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert living(world) == []
    assert len(world.tracker.tracked) == 3
    for tracked in world.tracker.tracked.values():
        assert tracked.record is not None
        assert tracked.record.status is RunStatus.STOPPED
        assert tracked.record.reason == "stopped by Ctrl-C"
        assert tracked.record.model_uri is None
    instance = world.tracker.of(PLAIN).record
    assert instance is not None
    assert instance.cost_usd


def test_all_are_asked_to_stop_before_any_is_waited_for(tmp_path: Path) -> None:
    fault = Fault(operation="get_log_events", error=KeyboardInterrupt(), nth=4)
    world = World(logs=tmp_path, faults=[fault])
    with pytest.raises(KeyboardInterrupt):
        world.run()
    asked = [call.operation for call in world.cloud.calls]
    stops = [
        at for at, name in enumerate(asked) if name in ("stop_training_job", "terminate_instances")
    ]
    assert len(stops) == 3
    assert stops == list(range(stops[0], stops[0] + 3))


@pytest.mark.parametrize("operation", ["create_training_job", "run_instances"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_ctrl_c_during_a_launch_leaves_nothing_running(
    tmp_path: Path, operation: str, when: str
) -> None:
    fault = Fault(operation=operation, error=KeyboardInterrupt(), when=when)
    world = World(logs=tmp_path, faults=[fault])
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert living(world) == []
    hit = ONE if operation == "create_training_job" else PLAIN
    record = world.tracker.of(hit).record
    assert record is not None
    assert (record.status, record.reason) == (RunStatus.STOPPED, "stopped by Ctrl-C")
    assert record.cost_usd == 0  # no time has passed


def test_what_the_program_says_as_it_is_stopped_is_not_the_reason(tmp_path: Path) -> None:
    early = (event("result", 1, status="failed", message="ended by a signal"),)
    work = {run_id: Work(lines=early * 40) for run_id in (ONE, TWO, PLAIN)}
    fault = Fault(operation="get_log_events", error=KeyboardInterrupt(), nth=30)
    world = World(logs=tmp_path, work=work, faults=[fault])
    with pytest.raises(KeyboardInterrupt):
        world.run()
    reasons = {run.record.reason for run in world.tracker.tracked.values() if run.record}
    assert reasons == {"stopped by Ctrl-C"}


def test_a_tracker_that_breaks_after_a_launch_leaves_nothing_running(tmp_path: Path) -> None:
    world = World(logs=tmp_path, tracker=FakeTracker(failing_tags=1))
    with pytest.raises(OSError, match="the tracker is down"):
        world.run()
    assert len(world.cloud.jobs) == 1
    assert living(world) == []
    record = world.tracker.of(ONE).record
    assert record is not None
    assert record.reason.startswith("stopped because following it broke: OSError")


def test_a_run_that_ends_just_before_it_is_stopped_keeps_its_result(tmp_path: Path) -> None:
    world = World(logs=tmp_path)
    ticks = itertools.count()

    def sleep(seconds: float) -> None:
        world.clock.sleep(seconds)
        if next(ticks) == 20:
            world.clock.sleep(1000)
            raise KeyboardInterrupt

    world.around = replace(world.around, sleep=sleep)
    with pytest.raises(KeyboardInterrupt):
        world.run()
    for tracked in world.tracker.tracked.values():
        assert tracked.record is not None
        assert (tracked.record.status, tracked.record.reason) == (RunStatus.SUCCEEDED, "")
        assert tracked.record.cost_usd


def test_one_run_that_cannot_be_settled_holds_up_no_other(tmp_path: Path) -> None:
    faults = [
        Fault(operation="get_log_events", error=KeyboardInterrupt(), nth=3),
        Fault(operation="get_object", error=OSError("broken off"), about="output.tar.gz"),
    ]
    world = World(logs=tmp_path, faults=faults)
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert living(world) == []
    closed = [run for run in world.tracker.tracked.values() if run.record is not None]
    assert len(closed) == 2
    assert any("could not be settled" in text for _, text in world.said)


def test_a_status_unknown_to_us_stops_what_was_started(tmp_path: Path) -> None:
    fault = Fault(
        operation="describe_training_job",
        error=CloudError("no answer", fix="wait", code="ThrottlingException"),
        nth=6,
    )
    world = World(logs=tmp_path, faults=[fault])
    with pytest.raises(CloudError):
        world.run()
    assert living(world) == []
    reasons = {run.record.reason for run in world.tracker.tracked.values() if run.record}
    assert reasons == {"stopped because following it broke: no answer"}


def test_an_instance_that_ec2_does_not_know_yet_is_waited_for(tmp_path: Path) -> None:
    records = by_id(World(logs=tmp_path, blind_s=15).run())
    assert records[PLAIN].status is RunStatus.SUCCEEDED


def test_an_instance_that_never_shows_up_is_an_error(tmp_path: Path) -> None:
    world = World(logs=tmp_path, blind_s=10**6)
    with pytest.raises(CloudError, match="InvalidInstanceID"):
        world.run()


def test_a_damaged_output_does_not_lose_what_was_mirrored(tmp_path: Path) -> None:
    world = World(logs=tmp_path, work={ONE: Work(keeps_files=False)})
    found = world.plans[0]
    bucket, _, key = found.output_uri.removeprefix("s3://").partition("/")
    world.cloud.buckets.put(bucket, f"{key}output.tar.gz", b"half an upload")
    record = by_id(world.run())[ONE]
    assert record.status is RunStatus.SUCCEEDED
    assert "output.tar.gz is damaged" in record.reason
    assert {point.name for point in world.tracker.of(ONE).points} == {"train/loss", "test/top1"}


def test_mirroring_again_changes_nothing(tmp_path: Path) -> None:
    world = World(logs=tmp_path)
    tracked = world.tracker.open_run(world.plans[0], now=world.clock.now())
    lines = [*told(), event("metric", 9, name="bad name\n", value=1)]
    for part in (lines[:4], lines, lines[2:]):
        mirror(ONE, tracked, part, world.around)
    assert len(world.tracker.tracked[tracked].points) == 3
