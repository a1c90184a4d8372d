from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from experiments.errors import RunError
from experiments.following.observe import (
    EC2_STATUS,
    SAGEMAKER_STATUS,
    ended_by,
    find_complaint,
    find_launched,
    observe,
    read_instance,
    read_training_job,
    settle_instance,
    translate,
)
from experiments.following.output import Cursor, live_lines, output_files, output_texts, read_object
from experiments.following.settle import make_record
from experiments.records import LaunchPlan, Observation, RunStatus
from tests.experiments.build import NOW, archive, event, plan, told, usage
from tests.experiments.fake_cloud import FakeCloud
from tests.experiments.fake_runs import Work
from tests.experiments.fake_tracker import FakeTracker
from tests.experiments.world import World


def enum(service: str, shape: str) -> set[str]:
    return set(botocore.session.get_session().get_service_model(service).shape_for(shape).enum)


def test_every_status_of_aws_has_a_word_of_ours() -> None:
    assert set(SAGEMAKER_STATUS) == enum("sagemaker", "TrainingJobStatus")
    assert set(EC2_STATUS) == enum("ec2", "InstanceStateName")


@pytest.mark.parametrize("table", [SAGEMAKER_STATUS, EC2_STATUS])
def test_a_status_not_known_here_is_an_error(table: dict[str, RunStatus]) -> None:
    with pytest.raises(RunError, match="'Hibernating'"):
        translate(table, "Hibernating")


def test_a_completed_job_has_its_model_and_its_bill() -> None:
    seen = read_training_job(
        {
            "TrainingJobStatus": "Completed",
            "SecondaryStatus": "Completed",
            "TrainingStartTime": NOW,
            "TrainingEndTime": NOW + timedelta(seconds=95),
            "BillableTimeInSeconds": 95,
            "ModelArtifacts": {"S3ModelArtifacts": "s3://b/model.tar.gz"},
        },
        hosts=2,
    )
    assert seen.status is RunStatus.SUCCEEDED
    assert seen.model_uri == "s3://b/model.tar.gz"
    assert seen.usage is not None
    assert (seen.usage.billable_s, seen.usage.hosts) == (Decimal(95), 2)


@pytest.mark.parametrize("status", ["Failed", "Stopped", "InProgress"])
def test_a_job_that_did_not_complete_has_no_model(status: str) -> None:
    answer = {
        "TrainingJobStatus": status,
        "ModelArtifacts": {"S3ModelArtifacts": "s3://b/model.tar.gz"},
        "FailureReason": "AlgorithmError: exit code: 1",
    }
    seen = read_training_job(answer, hosts=1)
    assert seen.model_uri is None
    assert seen.reason == "AlgorithmError: exit code: 1"


def test_a_job_stopped_at_its_limit_says_so() -> None:
    answer = {"TrainingJobStatus": "Stopped", "SecondaryStatus": "MaxRuntimeExceeded"}
    assert "maximum run time" in read_training_job(answer, hosts=1).reason


def move(status: str, from_s: float, to_s: float | None) -> dict[str, Any]:
    end = {} if to_s is None else {"EndTime": NOW + timedelta(seconds=to_s)}
    return {"Status": status, "StartTime": NOW + timedelta(seconds=from_s), **end}


def test_fetching_the_photos_is_told_once_it_is_over() -> None:
    moves = [move("Starting", 0, 20), move("Downloading", 20, 32.5), move("Training", 32.5, 60)]
    again = [
        move("Interrupted", 60, 90),
        move("Downloading", 90, 100),
        move("Downloading", 200, None),
    ]
    answer = {"TrainingJobStatus": "InProgress", "SecondaryStatusTransitions": [*moves, *again]}
    seen = read_training_job(answer, hosts=1)
    assert seen.usage is not None and seen.usage.download_s == Decimal("22.5")
    early = read_training_job({**answer, "SecondaryStatusTransitions": moves[:1]}, hosts=1)
    assert early.usage is not None and early.usage.download_s is None


def instance(state: str, reason: str = "") -> dict[str, Any]:
    return {"State": {"Name": state}, "LaunchTime": NOW, "StateTransitionReason": reason}


def test_an_instance_s_end_is_read_from_its_transition() -> None:
    seen = read_instance(instance("terminated", "User initiated (2026-11-01 12:05:00 GMT)"))
    assert seen.status is RunStatus.STOPPED
    assert seen.usage is not None
    assert seen.usage.billable_s == 300
    assert seen.usage.ended_at == NOW + timedelta(minutes=5)


def settled(end: dict[str, Any] | None, reason: str = "") -> Observation:
    seen = read_instance(instance("terminated", reason))
    return settle_instance(seen, end, model_uri="s3://b/model.tar.gz")


def end_note(exit_code: int, after_s: float) -> dict[str, Any]:
    stamp = int(NOW.timestamp())
    return {"exit_code": exit_code, "started_at": stamp, "ended_at": stamp + after_s}


def test_an_instance_whose_script_succeeded() -> None:
    seen = settled(end_note(0, 100))
    assert (seen.status, seen.reason) == (RunStatus.SUCCEEDED, "")
    assert seen.model_uri == "s3://b/model.tar.gz"
    assert seen.usage is not None
    assert seen.usage.billable_s == 100


def test_an_instance_s_script_tells_how_long_it_fetched() -> None:
    fetched = settled({**end_note(0, 100), "fetched_at": int(NOW.timestamp()) + 12})
    assert fetched.usage is not None and fetched.usage.download_s == 12
    assert make_record(plan(), fetched, None).metrics == {"time/download_s": 12.0}
    assert make_record(plan(), settled(end_note(0, 100)), None).metrics == {}


def test_an_instance_whose_script_failed() -> None:
    seen = settled(end_note(137, 100))
    assert seen.status is RunStatus.FAILED
    assert seen.model_uri is None
    assert "exit code 137" in seen.reason
    assert seen.usage is not None
    assert seen.usage.billable_s == 100


def test_aws_s_own_end_counts_before_the_script_s() -> None:
    seen = settled(end_note(0, 100), "User initiated (2026-11-01 12:05:00 GMT)")
    assert seen.usage is not None
    assert seen.usage.billable_s == 300


def test_an_instance_that_ended_before_its_script() -> None:
    seen = settled(None)
    assert seen.status is RunStatus.STOPPED
    assert seen.model_uri is None
    assert seen.reason == "the instance ended before its script did"


def test_an_instance_that_could_not_leave_a_note_is_explained_by_its_console() -> None:
    console = "booting\nupload failed: ./end.json An error occurred (AccessDenied)\x1b\nPower off\n"
    assert find_complaint(console) == "upload failed: ./end.json An error occurred (AccessDenied)"
    assert find_complaint("booting\nPower off\n") == ""
    assert len(find_complaint("failed " * 100)) == 300
    seen = read_instance(instance("terminated", "User initiated (2026-11-01 12:05:00 GMT)"))
    told = settle_instance(seen, None, model_uri="s3://b/m", complaint=find_complaint(console))
    assert told.reason.startswith("User initiated (2026-11-01 12:05:00 GMT); it left no note")
    assert told.reason.endswith("(AccessDenied)")


def test_a_clock_that_runs_backwards_bills_nothing() -> None:
    seen = settled(end_note(0, -50))
    assert seen.usage is not None
    assert seen.usage.billable_s == 0


def test_an_instance_with_no_end_on_record_is_billed_until_it_was_seen_ended() -> None:
    later = NOW + timedelta(minutes=10)
    seen = ended_by(settled(None), later)
    assert seen.usage is not None
    assert seen.usage.billable_s == 600
    assert seen.usage.ended_at == later
    known = settled(end_note(0, 100))
    assert ended_by(known, later) == known
    never = Observation(status=RunStatus.REFUSED, phase="")
    assert ended_by(never, later) == never


@pytest.mark.parametrize("name", ["one", "two", "plain"])
def test_live_lines_come_once_and_in_order(tmp_path: Path, name: str) -> None:
    world = World(logs=tmp_path)
    found, handle = world.launch(name)
    cursor, lines = Cursor(), list[str]()
    while not observe(world.cloud, handle, found, world.clock.now()).status.settled:
        more, cursor = live_lines(world.cloud, handle, found, cursor)
        lines += more
        world.clock.sleep(7)
    more, cursor = live_lines(world.cloud, handle, found, cursor)
    lines += more
    events = [line for line in lines if line.startswith("{")]
    assert events == [line for line in told() if line.startswith("{")]
    assert live_lines(world.cloud, handle, found, cursor) == ([], cursor)


def test_a_reader_that_comes_late_gets_all_pages_at_once(tmp_path: Path) -> None:
    world = World(logs=tmp_path)
    found, handle = world.launch("two")
    world.clock.sleep(1000)
    lines, _ = live_lines(world.cloud, handle, found, Cursor())
    assert [line for line in lines if line.startswith("{")] == [
        line for line in told() if line.startswith("{")
    ]
    assert lines.count("a host wakes up") == 2


def test_before_the_first_word_there_are_no_lines(tmp_path: Path) -> None:
    world = World(logs=tmp_path)
    for name in ("one", "plain"):
        found, handle = world.launch(name)
        assert live_lines(world.cloud, handle, found, Cursor())[0] == []


@pytest.mark.parametrize("name", ["one", "plain"])
def test_a_launch_is_found_again_and_one_never_made_is_not(tmp_path: Path, name: str) -> None:
    world = World(logs=tmp_path)
    other = plan(name, "ffffffff")
    found, handle = world.launch(name)
    assert find_launched(world.cloud, found) == handle.resource_id
    assert find_launched(world.cloud, other) is None


def put_output(cloud: FakeCloud, found: LaunchPlan, data: bytes) -> None:
    bucket, _, key = found.output_uri.removeprefix("s3://").partition("/")
    cloud.buckets.put(bucket, f"{key}output.tar.gz", data)


def test_the_output_files_are_the_tables_and_pictures_at_the_archive_s_top(tmp_path: Path) -> None:
    world = World(logs=tmp_path)
    found = world.plans[0]
    assert output_files(world.cloud, found) == {}
    lines = "\n".join([event("phase", 1, name="features", state="start"), event("result", 2)])
    files = {
        "other.bin": b"x",
        "./events.jsonl": lines.encode(),
        "confusion.json": b"[]",
        "confusion.png": b"picture",
        "deep/predictions.jsonl": b"{}",
    }
    put_output(world.cloud, found, archive(files))
    texts = {"events.jsonl": lines, "confusion.json": "[]"}
    expected = {name: text.encode() for name, text in texts.items()} | {"confusion.png": b"picture"}
    assert output_files(world.cloud, found) == expected
    assert output_texts(world.cloud, found.output_uri) == texts


def test_links_in_an_archive_are_not_followed(tmp_path: Path) -> None:
    world = World(logs=tmp_path)
    found = world.plans[0]
    data = archive({}, [("events.jsonl", "/etc/hostname"), ("./events.jsonl", "other.txt")])
    put_output(world.cloud, found, data)
    assert output_files(world.cloud, found) == {}


@pytest.mark.parametrize(
    "data", [b"no archive", archive({"events.jsonl": b"x" * 99_999})[:-40], b"\x1f\x8b\x08junk"]
)
def test_a_damaged_archive_is_an_error_that_says_so(tmp_path: Path, data: bytes) -> None:
    world = World(logs=tmp_path)
    put_output(world.cloud, world.plans[0], data)
    with pytest.raises(RunError, match=r"output\.tar\.gz is damaged"):
        output_files(world.cloud, world.plans[0])


def test_an_object_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    world = World(logs=tmp_path)
    bucket = next(iter(world.cloud.buckets.held))
    world.cloud.buckets.put_hollow(bucket, "huge", 256 * 1024**2 + 1)
    with pytest.raises(RunError, match="over 256 MiB"):
        read_object(world.cloud, f"s3://{bucket}/huge")
    assert read_object(world.cloud, f"s3://{bucket}/absent") is None


def test_a_stamp_in_a_transition_is_utc() -> None:
    seen = read_instance(instance("terminated", "User initiated (2026-11-01 12:05:00 GMT)"))
    assert seen.usage is not None
    assert isinstance(seen.usage.ended_at, datetime)
    assert seen.usage.ended_at.utcoffset() == timedelta(0)


def test_work_is_seen_to_end(tmp_path: Path) -> None:
    world = World(
        logs=tmp_path, work={"00000003": Work(train_s=10, exit_code=3)}, tracker=FakeTracker()
    )
    found, handle = world.launch("plain")
    world.clock.sleep(1000)
    seen = observe(world.cloud, handle, found, world.clock.now())
    assert seen.status is RunStatus.FAILED
    assert seen.usage is not None
    assert seen.usage.billable_s == usage(30).billable_s
    note = read_object(world.cloud, f"{found.output_uri}end.json")
    assert note is not None
    assert json.loads(note)["exit_code"] == 3
