from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from experiments.contract import check
from experiments.dataset import read_dataset
from experiments.errors import CloudError, DataError, PriceError, SpecError
from experiments.launching.plan import Ingredients, plan_experiment
from experiments.prepare import check_inputs, foresee, git_commit, image_id, prepare
from experiments.records import RunStatus
from experiments.spec import ExperimentSpec
from tests.experiments.build import AMI, NOW, book, photos, price, spec
from tests.experiments.fake_cloud import FakeCloud
from tests.experiments.world import World

READING = {
    "get_caller_identity",
    "get_role",
    "get_role_policy",
    "get_instance_profile",
    "head_bucket",
    "get_bucket_policy",
    "get_parameter",
    "describe_security_groups",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "w.pth").write_bytes(b"weights")
    photos(tmp_path / "photos")
    return tmp_path


def experiment(**changes: Any) -> ExperimentSpec:
    return spec(**{"weights": "w.pth", **changes})


def made(cloud: FakeCloud, folder: Path, wanted: ExperimentSpec) -> Ingredients:
    return prepare(
        wanted,
        read_dataset(folder / "photos"),
        cloud=cloud,
        book=book(),
        history=(),
        cache=folder / "cache",
        base=folder,
        progress=lambda what, done, total: None,
        say=lambda text: None,
    )


def foreseen(cloud: FakeCloud, folder: Path, wanted: ExperimentSpec) -> Ingredients:
    return foresee(
        wanted,
        read_dataset(folder / "photos"),
        cloud=cloud,
        book=book(),
        history=(),
        cache=folder / "cache",
        base=folder,
    )


def test_what_is_foreseen_is_what_is_made(folder: Path) -> None:
    cloud = FakeCloud()
    expected = foreseen(cloud, folder, experiment())
    assert {call.operation for call in cloud.calls} <= READING
    assert made(cloud, folder, experiment()) == expected
    assert foreseen(cloud, folder, experiment()) == expected


def test_a_second_preparation_sends_nothing(folder: Path) -> None:
    cloud = FakeCloud()
    first = made(cloud, folder, experiment())
    cloud.calls.clear()
    assert made(cloud, folder, experiment()) == first
    assert {call.operation for call in cloud.calls} <= READING | {"head_object"}


def test_everything_a_launch_names_is_in_the_bucket(folder: Path) -> None:
    world = World(logs=folder / "logs")
    made_of = made(world.cloud, folder, experiment())
    world.plans = list(
        plan_experiment(experiment(), run_ids=["a", "b", "c"], made_of=made_of, now=NOW)
    )
    for found in world.plans:
        check(found.calls)
    assert {record.status for record in world.run()} == {RunStatus.SUCCEEDED}


def test_weights_in_s3_are_copied_to_the_bucket_that_a_run_may_read(folder: Path) -> None:
    cloud = FakeCloud()
    cloud.buckets.create("elsewhere", place="us-east-1", region="us-east-1")
    cloud.buckets.put("elsewhere", "models/w.pth", b"weights")
    wanted = experiment(weights="s3://elsewhere/models/w.pth", weights_sha256="a" * 64)
    made_of = made(cloud, folder, wanted)
    uri = made_of.weights.uri
    assert uri == f"s3://{made_of.foundation.bucket}/weights/{'a' * 16}/w.pth"
    assert made_of.weights.digest == "sha256:" + "a" * 64
    copied = cloud.ask(
        "s3", "get_object", Bucket=made_of.foundation.bucket, Key=uri.split("/", 3)[3]
    )
    assert copied["Body"].read() == b"weights"
    assert made(cloud, folder, wanted).weights == made_of.weights
    assert [call.operation for call in cloud.calls].count("copy_object") == 1


def test_an_image_is_asked_for_only_where_an_instance_runs() -> None:
    cloud = FakeCloud()
    assert image_id(spec(), cloud) == AMI
    assert image_id(spec(runs=[spec().runs[0].model_dump()]), cloud) == ""
    assert cloud.count("get_parameter") == 1


def test_everything_that_costs_nothing_is_refused_first(folder: Path) -> None:
    root = folder / "photos"
    assert check_inputs(experiment(), root, book()).classes == ("beagle", "pug")
    with pytest.raises(PriceError):
        check_inputs(experiment(), root, book(price("ec2", "instance", "c5.xlarge", "0.17")))
    with pytest.raises(SpecError, match="epochs"):
        check_inputs(experiment(train={"epochs": 0}), root, book())
    with pytest.raises(DataError, match="no data folder"):
        check_inputs(experiment(), folder / "absent", book())


def test_the_strictest_run_decides_how_many_photos_may_be_unreadable(folder: Path) -> None:
    (folder / "photos" / "train" / "pug" / "0.png").write_bytes(b"no picture")
    lenient = {"max_unreadable_fraction": 0.5}
    runs = [run.model_dump() for run in spec().runs]
    check_inputs(experiment(train=lenient), folder / "photos", book())
    runs[1]["train"] = {"max_unreadable_fraction": 0.0}
    with pytest.raises(DataError, match=r"train/pug/0\.png"):
        check_inputs(experiment(train=lenient, runs=runs), folder / "photos", book())


def test_a_cloud_that_refuses_stops_before_anything_is_sent(folder: Path) -> None:
    cloud = FakeCloud()
    cloud.ask("s3", "create_bucket", Bucket="pedigree-123456789012-us-east-1")
    cloud.buckets.held["pedigree-123456789012-us-east-1"].owner = "999999999999"
    with pytest.raises(CloudError):
        made(cloud, folder, experiment())
    assert cloud.count("put_object") == 0


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


def test_the_commit_says_whether_the_code_was_changed_since(tmp_path: Path) -> None:
    assert git_commit(tmp_path) == ""
    git(tmp_path, "init")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "first")
    clean = git_commit(tmp_path)
    assert len(clean) == 40
    (tmp_path / "a").write_text("2")
    assert git_commit(tmp_path) == f"{clean}-dirty"
