"""What is trained on, and every way in which a photo folder can be wrong."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.serving.builders import shared_data
from tests.training.builders import write_photos
from training.errors import DataError
from training.manifest import Manifest, dataset_digest, inspect, list_photos, scan


def scanned(root: Path, allowed: float = 0.01) -> Manifest:
    return scan(root, max_unreadable_fraction=allowed)


def refusal(root: Path, allowed: float = 0.01) -> str:
    with pytest.raises(DataError) as caught:
        scanned(root, allowed)
    return str(caught.value)


def test_a_good_folder(tmp_path: Path) -> None:
    found = scanned(write_photos(tmp_path))
    assert found.classes == ("blue", "green", "red")
    assert [len(found.of(split)) for split in ("train", "valid", "test")] == [18, 9, 9]
    assert found.warnings == () and found.unreadable == ()
    assert [photo.path for photo in found.photos] == sorted(photo.path for photo in found.photos)


def test_the_digest_is_of_sorted_paths_and_bytes(tmp_path: Path) -> None:
    root = write_photos(tmp_path)
    files = sorted(p for p in root.rglob("*.jpg"))
    text = b"".join(
        p.relative_to(root).as_posix().encode()
        + b"\0"
        + hashlib.sha256(p.read_bytes()).hexdigest().encode()
        + b"\n"
        for p in files
    )
    assert scanned(root).digest == f"sha256:{hashlib.sha256(text).hexdigest()}"


def test_the_digest_changes_with_one_byte_and_with_a_name(tmp_path: Path) -> None:
    root = write_photos(tmp_path)
    first = scanned(root).digest
    photo = root / "train/red/000.jpg"
    photo.write_bytes(photo.read_bytes() + b"\0")
    second = scanned(root).digest
    photo.rename(photo.with_name("renamed.jpg"))
    assert len({first, second, scanned(root).digest}) == 3


@given(st.dictionaries(st.text(min_size=1), st.text("0123456789abcdef", min_size=64, max_size=64)))
def test_the_digest_does_not_depend_on_order(files: dict[str, str]) -> None:
    pairs = list(files.items())
    assert dataset_digest(pairs) == dataset_digest(reversed(pairs))


def test_a_missing_folder_or_split_is_named(tmp_path: Path) -> None:
    assert "there is no data folder" in refusal(tmp_path / "none")
    write_photos(tmp_path, counts={"train": 2, "test": 2})
    assert "has no valid/" in refusal(tmp_path)
    (tmp_path / "valid").mkdir()
    assert "valid/ holds no photos" in refusal(tmp_path)


def test_a_class_that_is_not_in_train_is_named(tmp_path: Path) -> None:
    root = write_photos(tmp_path)
    (root / "valid/red").rename(root / "valid/poodle")
    assert "class 'poodle' is in valid/ but not in train/" in refusal(root)


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    assert "add a second class" in refusal(write_photos(tmp_path, classes=("red",)))


def test_unreadable_photos_are_named_and_counted(tmp_path: Path) -> None:
    root = write_photos(tmp_path)
    photo = root / "train/red/000.jpg"
    photo.write_bytes(photo.read_bytes()[:300])
    text = refusal(root)
    assert "1 of 36 photos cannot be read" in text
    assert "train/red/000.jpg (undecodable" in text and "max_unreadable_fraction" in text
    found = scanned(root, allowed=0.05)
    assert [path for path, _ in found.unreadable] == ["train/red/000.jpg"]
    assert len(found.photos) == 35
    assert "1 photos are left out" in found.warnings[0]
    assert found.digest != scanned(write_photos(tmp_path)).digest


def test_a_class_left_without_photos_is_named(tmp_path: Path) -> None:
    root = write_photos(tmp_path)
    for photo in (root / "train/red").iterdir():
        photo.write_text("no photo")
    assert "no photo of class 'red'" in refusal(root, allowed=1.0)


def test_what_is_no_photo_is_warned_of_and_hidden_files_are_not(tmp_path: Path) -> None:
    root = write_photos(tmp_path)
    (root / "train/notes.txt").write_text("x")
    (root / "train/red/anim.gif").write_text("x")
    (root / "train/red/.DS_Store").write_text("x")
    (root / "train/red/deeper").mkdir()
    (root / "train/red/deeper/000.jpg").write_text("x")
    (root / "README.md").write_text("beside the splits")
    found = scanned(root)
    assert len(found.photos) == 36
    assert found.warnings == (
        "3 files are not photos: train/notes.txt, train/red/anim.gif, train/red/deeper/000.jpg",
    )


def test_upper_case_suffixes_and_strange_names_are_photos(tmp_path: Path) -> None:
    root = write_photos(tmp_path)
    (root / "train/red/000.jpg").rename(root / "train/red/ünï $(id);&.JPG")
    assert len(scanned(root).photos) == 36


def test_a_class_missing_from_valid_is_warned_of(tmp_path: Path) -> None:
    root = write_photos(tmp_path)
    for photo in (root / "valid/red").iterdir():
        photo.unlink()
    assert scanned(root).warnings == ("valid/ has no photo of 1 classes: red",)


def test_photos_shared_between_splits_are_warned_of(tmp_path: Path) -> None:
    root = write_photos(tmp_path)
    (root / "test/red/leak.jpg").write_bytes((root / "train/red/000.jpg").read_bytes())
    (warning,) = scanned(root).warnings
    assert warning.startswith("1 of test are byte for byte in train/") and "leak.jpg" in warning


def test_a_file_that_cannot_be_opened_is_a_fault_and_no_crash(tmp_path: Path) -> None:
    root = write_photos(tmp_path)
    photo = list_photos(root).photos[0]
    (root / photo.path).unlink()
    assert inspect(root, photo).fault.startswith("unreadable")


@pytest.mark.slow
def test_the_shared_dogs(tmp_path: Path) -> None:
    found = scanned(shared_data() / "dogs")
    assert len(found.classes) == 20
    assert [len(found.of(split)) for split in ("train", "valid", "test")] == [1896, 405, 405]
    assert found.warnings == ()
