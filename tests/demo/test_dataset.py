"""A dataset on disk: repeatable to the byte, whole or absent, and never over foreign files."""

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from demo import (
    BREEDS,
    DatasetSummary,
    DemoDataError,
    default_test_photo,
    draw_dataset,
)

pytestmark = pytest.mark.slow


def draw_small(root: Path, **changes: Any) -> DatasetSummary:
    arguments: dict[str, Any] = {
        "seed": 3,
        "breeds": 2,
        "train": 2,
        "valid": 1,
        "test": 1,
        "size_px": 48,
        "workers": 1,
    }
    return draw_dataset(root, **{**arguments, **changes})


def contents(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_the_layout_is_an_image_folder_with_its_record(tmp_path: Path) -> None:
    summary = draw_small(tmp_path / "dogs")
    expected = {"dataset.json"}
    for breed in BREEDS[:2]:
        expected |= {f"train/{breed.name}/{number:04d}.jpg" for number in range(2)}
        expected |= {f"{split}/{breed.name}/0000.jpg" for split in ("valid", "test")}
    assert set(contents(tmp_path / "dogs")) == expected
    assert summary.classes == tuple(breed.name for breed in BREEDS[:2])
    assert summary.photos == {"train": 4, "valid": 2, "test": 2}
    assert not summary.reused
    with Image.open(default_test_photo(tmp_path / "dogs")) as photo:
        assert (photo.format, photo.mode, photo.size) == ("JPEG", "RGB", (48, 48))


def test_the_record_names_recipe_seed_and_digest(tmp_path: Path) -> None:
    summary = draw_small(tmp_path / "dogs", seed=5)
    record = json.loads((tmp_path / "dogs" / "dataset.json").read_text())
    assert record["seed"] == record["recipe"]["seed"] == 5
    assert record["recipe"]["train"] == 2
    assert record["recipe_digest"] == summary.recipe_digest
    assert record["digest"] == summary.digest


def test_one_process_and_two_draw_the_same_bytes(tmp_path: Path) -> None:
    one = draw_small(tmp_path / "one", workers=1)
    two = draw_small(tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert one.digest == two.digest


def test_another_seed_draws_other_photographs(tmp_path: Path) -> None:
    first, second = draw_small(tmp_path / "a", seed=1), draw_small(tmp_path / "b", seed=2)
    assert first.digest != second.digest
    assert first.recipe_digest != second.recipe_digest


def test_more_photographs_leave_the_others_as_they_are(tmp_path: Path) -> None:
    draw_small(tmp_path / "few")
    draw_small(tmp_path / "many", breeds=3, train=3)
    few, many = contents(tmp_path / "few"), contents(tmp_path / "many")
    few.pop("dataset.json")
    assert few.items() <= many.items()


def test_no_photograph_appears_twice(tmp_path: Path) -> None:
    draw_small(tmp_path / "dogs", breeds=3, train=4, valid=2, test=2)
    digests = list(contents(tmp_path / "dogs").values())
    assert len(set(digests)) == len(digests)


def test_a_whole_dataset_is_kept(tmp_path: Path) -> None:
    first = draw_small(tmp_path / "dogs")
    photo = default_test_photo(tmp_path / "dogs")
    written_ns = photo.stat().st_mtime_ns
    second = draw_small(tmp_path / "dogs")
    assert second.reused
    assert second.digest == first.digest
    assert photo.stat().st_mtime_ns == written_ns


@pytest.mark.parametrize("damage", ["changed", "missing", "added", "record"])
def test_a_damaged_dataset_is_drawn_again(tmp_path: Path, damage: str) -> None:
    root = tmp_path / "dogs"
    draw_small(root)
    before = contents(root)
    photo = default_test_photo(root)
    if damage == "changed":
        photo.write_bytes(photo.read_bytes()[:-1])
    elif damage == "missing":
        photo.unlink()
    elif damage == "added":
        photo.with_name("extra.jpg").write_bytes(photo.read_bytes())
    else:
        record = json.loads((root / "dataset.json").read_text())
        (root / "dataset.json").write_text(json.dumps({**record, "digest": "sha256:0"}))
    assert not draw_small(root).reused
    assert contents(root) == before


def test_another_recipe_replaces_the_dataset(tmp_path: Path) -> None:
    draw_small(tmp_path / "dogs", breeds=3)
    summary = draw_small(tmp_path / "dogs", breeds=2)
    assert not summary.reused
    assert {folder.name for folder in (tmp_path / "dogs" / "train").iterdir()} == set(
        summary.classes
    )
    assert [path.name for path in tmp_path.iterdir()] == ["dogs"]


@pytest.mark.parametrize("name", ["notes.txt", "train/Poodle/1.jpg", "dataset.json"])
def test_foreign_files_are_never_touched(tmp_path: Path, name: str) -> None:
    mine = tmp_path / "dogs" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("{}")
    with pytest.raises(DemoDataError, match="does not exist yet") as caught:
        draw_small(tmp_path / "dogs")
    assert caught.value.fix
    assert contents(tmp_path / "dogs").keys() == {name}
    assert mine.read_text() == "{}"


def test_a_file_beside_the_splits_is_not_deleted_with_an_old_dataset(tmp_path: Path) -> None:
    draw_small(tmp_path / "dogs")
    (tmp_path / "dogs" / "labels.csv").write_text("mine")
    with pytest.raises(DemoDataError, match="something other"):
        draw_small(tmp_path / "dogs", seed=4)
    assert (tmp_path / "dogs" / "labels.csv").read_text() == "mine"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "dogs").mkdir()
    assert draw_small(tmp_path / "dogs").photos["train"] == 4


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interruption_leaves_nothing(
    tmp_path: Path, error: type[BaseException], workers: int
) -> None:
    def stop(drawn: int, photos: int) -> None:
        raise error

    with pytest.raises(error):
        draw_small(tmp_path / "dogs", workers=workers, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_the_old_dataset(tmp_path: Path) -> None:
    def stop(drawn: int, photos: int) -> None:
        raise KeyboardInterrupt

    draw_small(tmp_path / "dogs")
    before = contents(tmp_path / "dogs")
    with pytest.raises(KeyboardInterrupt):
        draw_small(tmp_path / "dogs", seed=4, progress=stop)
    assert contents(tmp_path / "dogs") == before
    assert [path.name for path in tmp_path.iterdir()] == ["dogs"]


def test_what_a_killed_builder_left_is_cleared(tmp_path: Path) -> None:
    left = tmp_path / ".dogs.partial" / "train" / "Half"
    left.mkdir(parents=True)
    (left / "0000.jpg").write_bytes(b"half")
    draw_small(tmp_path / "dogs")
    assert [path.name for path in tmp_path.iterdir()] == ["dogs"]
    assert not (tmp_path / "dogs" / "train" / "Half").exists()


def test_two_builders_at_once_draw_it_once(tmp_path: Path) -> None:
    summaries: list[DatasetSummary] = []
    builders = [
        threading.Thread(target=lambda: summaries.append(draw_small(tmp_path / "dogs")))
        for _ in range(2)
    ]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join(60)
    assert sorted(summary.reused for summary in summaries) == [False, True]
    assert [path.name for path in tmp_path.iterdir()] == ["dogs"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1},
        {"breeds": 1},
        {"breeds": len(BREEDS) + 1},
        {"train": 0},
        {"valid": -2},
        {"test": 0},
        {"size_px": 8},
        {"workers": 0},
    ],
)
def test_a_number_out_of_range_is_named_with_its_fix(tmp_path: Path, wrong: dict[str, int]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(DemoDataError, match=f"{name} is {value}") as caught:
        draw_small(tmp_path / "dogs", **wrong)
    assert caught.value.fix.startswith("Use ")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DemoDataError, match="Choose another folder"):
        draw_small(tmp_path / "file" / "dogs")


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_counts_every_photograph(tmp_path: Path, workers: int) -> None:
    heard: list[tuple[int, int]] = []
    draw_small(
        tmp_path / "dogs", workers=workers, progress=lambda drawn, of: heard.append((drawn, of))
    )
    assert heard == [(drawn, 8) for drawn in range(1, 9)]


def test_no_test_photo_is_an_error_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "test" / "Empty").mkdir(parents=True)
    with pytest.raises(DemoDataError, match="Draw the dataset again"):
        default_test_photo(tmp_path)
