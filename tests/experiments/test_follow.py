from __future__ import annotations

import itertools
import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from experiments import names
from experiments.errors import BusyError, CloudError
from experiments.following.follow import Interrupt, catch_up_tracker, follow
from experiments.following.run_log import RunLog, damaged_logs, fingerprint, open_logs
from experiments.leaderboard import leaderboard
from experiments.records import Basis, Cost, LaunchPlan, RunRecord, RunStatus
from tests.experiments.build import event, plan, told
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
        said = [point for point in tracked.points if not point.name.startswith("cost/")]
        assert {p.name: p.value for p in said if p.step != 1} == dict(record.metrics)
        assert tracked.files["events.jsonl"].splitlines() == [
            line for line in told() if line.startswith("{")
        ]
        assert "result" in (tmp_path / record.run_id / "output.log").read_text()
        assert open_logs(tmp_path) == []
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
    for run_id in (ONE, PLAIN):
        assert records[run_id].status is RunStatus.STOPPED
        assert "at its maximum run time" in records[run_id].reason
    assert records[PLAIN].billable_s == 20 + 1800


def test_an_instance_whose_training_hangs_is_ended_by_its_watchdog(tmp_path: Path) -> None:
    hung = Work(train_s=10**6, lines=told()[:1], listens=False)
    records = by_id(World(work={PLAIN: hung}, logs=tmp_path).run())
    assert records[PLAIN].status is RunStatus.STOPPED
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


@pytest.mark.parametrize("parallel", [1, 3])
def test_what_ctrl_c_stopped_is_done_anew_by_the_same_command(
    tmp_path: Path, parallel: int
) -> None:
    fault = Fault(operation="describe_training_job", error=KeyboardInterrupt(), nth=5)
    world = World(logs=tmp_path, faults=[fault])
    with pytest.raises(KeyboardInterrupt):
        world.run(parallel=parallel)
    begun = len(world.tracker.tracked)
    world.plans = [plan(p.run_name, f"1{p.run_id[1:]}") for p in world.plans]
    records = world.run(parallel=parallel)
    assert {record.status for record in records} == {RunStatus.SUCCEEDED}
    assert [record.run_id for record in records] == [p.run_id for p in world.plans]
    assert len(world.tracker.tracked) == begun + 3


def test_a_newer_price_book_makes_no_other_work() -> None:
    old = plan("one", ONE)
    new = replace(old, params={**old.params, "launch/price_book": "2099-01-01"})
    assert fingerprint(new) == fingerprint(old)


def test_all_are_asked_to_stop_before_any_is_waited_for(tmp_path: Path) -> None:
    fault = Fault(operation="get_log_events", error=KeyboardInterrupt(), nth=4)
    world = World(logs=tmp_path, faults=[fault])
    with pytest.raises(KeyboardInterrupt):
        world.run()
    asked = [call.operation for call in world.cloud.calls]
    stops = [at for at, name in enumerate(asked) if name in ("stop_training_job", "create_tags")]
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
    # A job that never started costs nothing; an instance is paid for from its first second.
    assert (record.cost_usd or 0) < Decimal("0.003")


def test_what_the_program_says_as_it_is_stopped_is_not_the_reason(tmp_path: Path) -> None:
    early = (event("result", 1, status="failed", message="ended by a signal"),)
    work = {run_id: Work(lines=early * 40) for run_id in (ONE, TWO, PLAIN)}
    fault = Fault(operation="get_log_events", error=KeyboardInterrupt(), nth=30)
    world = World(logs=tmp_path, work=work, faults=[fault])
    with pytest.raises(KeyboardInterrupt):
        world.run()
    reasons = {run.record.reason for run in world.tracker.tracked.values() if run.record}
    assert reasons == {"stopped by Ctrl-C"}


def test_an_instance_that_does_not_listen_is_ended(tmp_path: Path) -> None:
    fault = Fault(operation="describe_training_job", error=KeyboardInterrupt(), nth=9)
    deaf = Work(train_s=1000, listens=False)
    world = World(logs=tmp_path, work={PLAIN: deaf}, faults=[fault])
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert world.cloud.count("terminate_instances") >= 1
    assert living(world) == []
    record = world.tracker.of(PLAIN).record
    assert record is not None
    assert record.reason == "stopped by Ctrl-C"


def test_who_presses_ctrl_c_may_leave_the_runs_and_attach_later(tmp_path: Path) -> None:
    fault = Fault(operation="describe_training_job", error=KeyboardInterrupt(), nth=9)
    world = World(logs=tmp_path, faults=[fault])
    world.around = replace(world.around, on_interrupt=lambda _names: Interrupt.LEAVE)
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert len(living(world)) == 3
    left = open_logs(tmp_path)
    assert {log.run_id for log in left} == {ONE, TWO, PLAIN}
    assert any("pedigree attach" in text for _, text in world.said)
    records = follow(left, parallel=3, around=world.around)
    assert {record.status for record in records} == {RunStatus.SUCCEEDED}
    assert len(world.cloud.jobs) + len(world.cloud.instances) == 3
    assert len(world.tracker.tracked) == 3


def test_who_pressed_ctrl_c_by_mistake_goes_on(tmp_path: Path) -> None:
    fault = Fault(operation="describe_training_job", error=KeyboardInterrupt(), nth=9)
    world = World(logs=tmp_path, faults=[fault])
    world.around = replace(world.around, on_interrupt=lambda _names: Interrupt.GO_ON)
    assert {record.status for record in world.run()} == {RunStatus.SUCCEEDED}


def test_two_do_not_follow_one_run(tmp_path: Path) -> None:
    world = World(logs=tmp_path)
    world.launch("one")
    other = RunLog(tmp_path / ONE)
    with other.lock, pytest.raises(BusyError, match="another pedigree command follows"):
        follow([RunLog(tmp_path / ONE)], parallel=1, around=world.around)
    (record,) = follow([RunLog(tmp_path / ONE)], parallel=1, around=world.around)
    assert record.status is RunStatus.SUCCEEDED


def test_a_budget_stops_a_run_within_one_poll(tmp_path: Path) -> None:
    world = World(logs=tmp_path)
    limit = Decimal("0.002")
    seen: list[Decimal] = []

    def over(plan: LaunchPlan, so_far: Cost) -> str | None:
        if plan.run_id != ONE:
            return None
        seen.append(so_far.total_usd)
        return f"its budget of {limit} USD is spent" if so_far.total_usd >= limit else None

    world.around = replace(world.around, over_budget=over)
    records = by_id(world.run())
    assert records[ONE].status is RunStatus.STOPPED
    assert records[ONE].reason == "its budget of 0.002 USD is spent"
    assert records[TWO].status is records[PLAIN].status is RunStatus.SUCCEEDED
    price_of_a_poll = Decimal("0.23") * 2 / 3600
    assert limit <= seen[-1] < limit + price_of_a_poll
    spent = [p.value for p in world.tracker.of(ONE).points if p.name == names.COST_SO_FAR_METRIC]
    assert spent


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_launch_answer_is_found_again(tmp_path: Path, when: str) -> None:
    lost = CloudError("no answer", fix="-", code="Unreachable")
    faults = [
        Fault(operation="create_training_job", error=lost, when=when),
        Fault(operation="run_instances", error=lost, when=when),
    ]
    world = World(logs=tmp_path, faults=faults)
    assert {record.status for record in world.run()} == {RunStatus.SUCCEEDED}
    assert (len(world.cloud.jobs), len(world.cloud.instances)) == (2, 1)


def test_a_tracker_that_is_down_stops_nothing_and_is_caught_up(tmp_path: Path) -> None:
    tracker = FakeTracker(down=lambda _call: "before")
    world = World(logs=tmp_path, tracker=tracker)
    records = world.run()
    assert {record.status for record in records} == {RunStatus.SUCCEEDED}
    assert tracker.tracked == {}
    assert any("the tracker does not answer" in text for _, text in world.said)
    tracker.down = lambda _call: ""
    assert catch_up_tracker(world.around) == []
    for record in records:
        tracked = tracker.of(record.run_id)
        assert tracked.record == record
        assert {p.name for p in tracked.points} >= {"train/loss", "test/top1"}
        assert tracked.files["events.jsonl"]
    asked = tracker.asked
    assert catch_up_tracker(world.around) == []
    assert tracker.asked == asked, "what is there is not written again"


@pytest.mark.parametrize("seed", range(8))
def test_a_tracker_that_comes_and_goes_has_all_of_it_once(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    tracker = FakeTracker(down=lambda _call: chance.choice(["", "before", "after"]))
    world = World(logs=tmp_path, tracker=tracker)
    records = world.run()
    while catch_up_tracker(world.around):
        world.clock.sleep(1)
    assert len(tracker.tracked) == 3
    for record in records:
        tracked = tracker.of(record.run_id)
        assert tracked.record is not None
        assert tracked.record.metrics == record.metrics
        said = [p for p in tracked.points if not p.name.startswith("cost/")]
        assert len(said) == 3


def test_what_the_hosts_warn_of_is_on_the_run(tmp_path: Path) -> None:
    warned = (*told(), event("warning", 20, message="class 'pug' has two photos"))
    world = World(logs=tmp_path, work={ONE: Work(lines=warned)})
    records = world.run()
    assert world.tracker.of(ONE).tags[names.WARNINGS] == "class 'pug' has two photos"
    assert names.WARNINGS not in world.tracker.of(TWO).tags
    assert records[0].warnings == ("class 'pug' has two photos",)
    assert records[1].warnings == ()
    rows = {row.run_id: row.as_dict() for row in leaderboard(records)}
    assert (rows[ONE]["warnings"], rows[TWO]["warnings"]) == (["class 'pug' has two photos"], [])


def test_a_run_that_cannot_be_read_holds_up_no_other(tmp_path: Path) -> None:
    tracker = FakeTracker(down=lambda _call: "before")
    world = World(logs=tmp_path, tracker=tracker)
    world.run()
    (tmp_path / ONE / "intent.json").write_text("{")
    tracker.down = lambda _call: ""
    assert catch_up_tracker(world.around) == []
    assert {run.plan.run_id for run in tracker.tracked.values()} == {TWO, PLAIN}
    (tmp_path / ONE / "settled.json").unlink()
    assert open_logs(tmp_path) == []
    assert [log.run_id for log in damaged_logs(tmp_path)] == [ONE]


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


def test_a_poll_that_fails_is_tried_again(tmp_path: Path) -> None:
    faults = [
        Fault(operation=name, error=error, nth=nth)
        for name, error in (
            ("describe_training_job", CloudError("busy", fix="-", code="ThrottlingException")),
            ("describe_instances", CloudError("no answer", fix="-", code="Unreachable")),
            ("get_log_events", OSError("broken off")),
            ("get_object", OSError("broken off")),
        )
        for nth in (1, 4, 9)
    ]
    world = World(logs=tmp_path, faults=faults)
    assert {record.status for record in world.run()} == {RunStatus.SUCCEEDED}
    assert world.cloud.count("stop_training_job") == 0
    assert any("it is tried again" in text for _, text in world.said)


def test_a_run_that_cannot_be_asked_after_is_left_and_not_stopped(tmp_path: Path) -> None:
    down = Fault(operation="describe_training_job", error=CloudError("down", fix="-", code="500"))
    faults = [replace(down, nth=nth) for nth in range(6, 400)]
    world = World(logs=tmp_path, faults=faults)
    records = by_id(world.run())
    assert records[PLAIN].status is RunStatus.SUCCEEDED
    for run_id in (ONE, TWO):
        assert records[run_id].status is RunStatus.RUNNING
        assert records[run_id].reason == "not followed any more, it may go on: down"
    assert world.cloud.count("stop_training_job") == 0
    world.cloud.faults = ()
    again = follow(open_logs(tmp_path), parallel=2, around=world.around)
    assert {record.status for record in again} == {RunStatus.SUCCEEDED}


def test_an_instance_that_ec2_does_not_know_yet_is_waited_for(tmp_path: Path) -> None:
    records = by_id(World(logs=tmp_path, blind_s=15).run())
    assert records[PLAIN].status is RunStatus.SUCCEEDED


def test_an_instance_that_never_shows_up_is_left(tmp_path: Path) -> None:
    records = by_id(World(logs=tmp_path, blind_s=10**6).run())
    assert records[PLAIN].status is RunStatus.SUBMITTED
    assert "InvalidInstanceID" in records[PLAIN].reason


def test_an_instance_that_ec2_forgot_is_settled_by_its_note(tmp_path: Path) -> None:
    world = World(logs=tmp_path)
    world.launch("plain")
    log = RunLog(tmp_path / PLAIN)
    log.note("launched", at=world.clock.now(), resource=next(iter(world.cloud.instances)))
    world.clock.sleep(4000)
    world.cloud.ask("ec2", "describe_instances", InstanceIds=[*world.cloud.instances])
    world.cloud.instances.clear()
    (record,) = follow([log], parallel=1, around=world.around)
    assert record.status is RunStatus.SUCCEEDED
    assert record.billable_s == 20 + 90


def test_a_damaged_output_does_not_lose_what_was_mirrored(tmp_path: Path) -> None:
    world = World(logs=tmp_path, work={ONE: Work(keeps_files=False)})
    found = world.plans[0]
    bucket, _, key = found.output_uri.removeprefix("s3://").partition("/")
    world.cloud.buckets.put(bucket, f"{key}output.tar.gz", b"half an upload")
    record = by_id(world.run())[ONE]
    assert record.status is RunStatus.SUCCEEDED
    assert "output.tar.gz is damaged" in record.reason
    seen = {point.name for point in world.tracker.of(ONE).points}
    assert seen >= {"train/loss", "test/top1"}
