from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from experiments.dataset import LocalDataset, put_dataset, put_file, read_dataset
from experiments.errors import CloudError, DataError
from tests.experiments.build import photos
from tests.experiments.fake_cloud import FakeCloud, Fault
from training.manifest import dataset_digest, scan

BUCKET = "pedigree-photos"


def with_bucket(*faults: Fault) -> FakeCloud:
    cloud = FakeCloud()
    cloud.ask("s3", "create_bucket", Bucket=BUCKET)
    cloud.faults = faults
    return cloud


def silent(what: str, done: int, total: int) -> None:
    """No progress is shown."""


def stored(cloud: FakeCloud) -> set[str]:
    return set(cloud.buckets.held[BUCKET].objects)


@pytest.fixture
def data(tmp_path: Path) -> LocalDataset:
    return read_dataset(photos(tmp_path / "photos"))


def test_the_digest_is_the_one_a_training_host_computes(data: LocalDataset) -> None:
    assert data.digest == scan(data.root, max_unreadable_fraction=0).digest
    by_hand = [
        (path.as_posix(), hashlib.sha256((data.root / path).read_bytes()).hexdigest())
        for path in data.files
    ]
    assert data.digest == dataset_digest(by_hand)


def test_what_was_read_is_described(data: LocalDataset) -> None:
    assert data.classes == ("beagle", "pug")
    assert data.images == {"train": 4, "valid": 4, "test": 4}
    assert data.size_bytes == sum((data.root / path).stat().st_size for path in data.files)
    assert data.warnings == ()


def test_photos_go_below_their_digest(data: LocalDataset) -> None:
    cloud, seen = with_bucket(), list[tuple[str, int, int]]()
    described = put_dataset(cloud, BUCKET, data, lambda *step: seen.append(step))
    short = data.digest.removeprefix("sha256:")[:16]
    assert described.uri == f"s3://{BUCKET}/datasets/{short}/"
    assert described.digest == data.digest
    prefix = f"datasets/{short}"
    assert stored(cloud) == {f"{prefix}/{p.as_posix()}" for p in data.files} | {f"{prefix}.json"}
    for path in data.files:
        sent = cloud.buckets.get(BUCKET, f"{prefix}/{path.as_posix()}", missing="404")
        assert sent.data == (data.root / path).read_bytes()
    assert seen == [("photos", at, 12) for at in range(1, 13)]


def test_photos_that_are_there_are_not_sent_again(data: LocalDataset) -> None:
    cloud = with_bucket()
    first = put_dataset(cloud, BUCKET, data, silent)
    sent = cloud.count("put_object")
    assert put_dataset(cloud, BUCKET, data, silent) == first
    assert cloud.count("put_object") == sent == 13


def test_half_an_upload_is_taken_up_and_never_taken_for_a_whole_one(data: LocalDataset) -> None:
    broken = CloudError("s3 put_object got no answer", fix="try again", code="Unreachable")
    cloud = with_bucket(Fault(operation="put_object", error=broken, about="test/pug"))
    with pytest.raises(CloudError):
        put_dataset(cloud, BUCKET, data, silent)
    there = stored(cloud)
    assert 0 < len(there) < 12
    assert not any(key.endswith(".json") for key in there)
    before, seen = cloud.count("put_object"), list[tuple[str, int, int]]()
    put_dataset(cloud, BUCKET, data, lambda *step: seen.append(step))
    assert cloud.count("put_object") - before == 12 - len(there) + 1
    assert seen[0] == ("photos", len(there) + 1, 12)
    assert len(stored(cloud)) == 13


def test_a_photo_of_another_size_is_sent_again(data: LocalDataset) -> None:
    cloud = with_bucket()
    short = data.digest.removeprefix("sha256:")[:16]
    key = f"datasets/{short}/{data.files[0].as_posix()}"
    cloud.buckets.put(BUCKET, key, b"cut off")
    put_dataset(cloud, BUCKET, data, silent)
    sent = cloud.buckets.get(BUCKET, key, missing="404").data
    assert sent == (data.root / data.files[0]).read_bytes()


def test_odd_names_arrive_as_they_are(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos")
    odd = root / "train" / "pug" / "ünïcöde  spaces;&$(id).png"
    (root / "train" / "pug" / "0.png").rename(odd)
    cloud = with_bucket()
    put_dataset(cloud, BUCKET, read_dataset(root), silent)
    assert any(key.endswith(f"train/pug/{odd.name}") for key in stored(cloud))


def test_a_missing_folder_names_the_layout(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_dataset(tmp_path / "absent")
    assert str(tmp_path / "absent") in caught.value.message
    assert "train/, valid/ and test/" in caught.value.fix


def test_what_a_training_host_would_refuse_is_refused_here(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos")
    (root / "valid" / "poodle").mkdir()
    (root / "valid" / "poodle" / "a.png").write_bytes((root / "test/pug/0.png").read_bytes())
    with pytest.raises(DataError) as caught:
        read_dataset(root)
    assert "class 'poodle' is in valid/ but not in train/" in caught.value.message
    assert caught.value.exit_code == 2


def test_an_unreadable_photo_is_named(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", each=3)
    (root / "train" / "pug" / "1.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"train/pug/1\.png"):
        read_dataset(root)
    allowed = read_dataset(root, max_unreadable_fraction=0.1)
    assert allowed.images["train"] == 5
    assert len(allowed.files) == 18, "the digest covers it, so it is sent too"
    assert "train/pug/1.png" in allowed.warnings[0]


@pytest.mark.parametrize("as_bytes", [True, False])
def test_a_file_is_put_once(tmp_path: Path, as_bytes: bool) -> None:
    cloud = with_bucket()
    path = tmp_path / "w.pth"
    path.write_bytes(b"weights")
    for _ in range(2):
        uri = put_file(cloud, BUCKET, "weights/w.pth", b"weights" if as_bytes else path)
    assert uri == f"s3://{BUCKET}/weights/w.pth"
    assert cloud.count("put_object") == 1
    assert cloud.buckets.get(BUCKET, "weights/w.pth", missing="404").data == b"weights"


def test_a_bucket_that_is_not_there_is_an_error() -> None:
    with pytest.raises(CloudError):
        put_file(FakeCloud(), "nowhere", "key", b"x")


def test_a_photo_that_changed_after_the_check_leaves_no_record(data: LocalDataset) -> None:
    cloud = with_bucket()
    changed = data.root / data.files[3]
    was = changed.read_bytes()
    changed.write_bytes(was[:-1] + bytes([was[-1] ^ 1]))
    with pytest.raises(DataError, match="changed after it was checked"):
        put_dataset(cloud, BUCKET, data, silent)
    assert stored(cloud) == set()
    changed.write_bytes(was)
    put_dataset(cloud, BUCKET, data, silent)


@dataclass(kw_only=True)
class Meanwhile(FakeCloud):
    """While photos are sent, somebody writes to one that is not sent yet."""

    victim: Path

    def ask(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        if operation == "put_object":
            self.victim.write_bytes(b"something else")
        return super().ask(service, operation, **params)


def test_a_photo_that_changes_while_it_is_sent_is_refused_by_s3(data: LocalDataset) -> None:
    cloud = Meanwhile(victim=data.root / data.files[-1])
    cloud.ask("s3", "create_bucket", Bucket=BUCKET)
    with pytest.raises(DataError, match="changed after it was checked"):
        put_dataset(cloud, BUCKET, data, silent)
    short = data.digest.removeprefix("sha256:")[:16]
    objects = cloud.buckets.held[BUCKET].objects
    assert f"datasets/{short}.json" not in objects
    assert b"something else" not in {stored.data for stored in objects.values()}
