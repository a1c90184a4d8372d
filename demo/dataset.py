"""Writes a dataset of drawn dogs as an ImageFolder: whole, or not at all."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from demo.errors import DemoDataError
from demo.recipe import SPLITS, Recipe
from demo.workshop import JPEG_QUALITY, Progress, draw_photos

RECORD_NAME = "dataset.json"
_KIND = "drawn dog portraits"
_LARGEST_RECORD_BYTES = 100_000
_MOST_WORKERS = 64


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """A dataset on disk. `photos` counts each split; `reused` tells it was there already.

    `digest` is over every photograph's path and bytes; `recipe_digest` over what made them.
    """

    root: Path
    classes: tuple[str, ...]
    photos: dict[str, int]
    seed: int
    recipe_digest: str
    digest: str
    reused: bool


def draw_dataset(
    root: Path,
    *,
    seed: int = 7,
    breeds: int = 8,
    train: int = 60,
    valid: int = 15,
    test: int = 15,
    size_px: int = 256,
    workers: int | None = None,
    progress: Progress | None = None,
) -> DatasetSummary:
    """Write `root/{train,valid,test}/<Breed_name>/NNNN.jpg` and `root/dataset.json`.

    `train`, `valid` and `test` are photographs for each breed. The same arguments on the same
    machine give the same bytes, with any number of `workers` (processes; by default at most
    two). A whole dataset of the same recipe is kept as it is; one of another recipe is replaced;
    a folder that holds anything else is refused. Raises DemoDataError.
    """
    recipe = Recipe(seed=seed, breeds=breeds, train=train, valid=valid, test=test, size_px=size_px)
    workers = _checked_workers(workers)
    root = root.absolute().resolve()
    _refuse_foreign(root)
    with _building_place(root) as place:
        found = _existing(root, recipe)
        if found is not None:
            return found
        photos = tuple(recipe.photos())
        count = min(workers, len(photos))
        hear = progress or (lambda _drawn, _all: None)
        draw_photos(photos, place, size_px, workers=count, progress=hear)
        digest = _content_digest(place)
        _write_record(place, recipe, digest)
        _put_in_place(place, root)
    return _summary(root, recipe, digest, reused=False)


def default_test_photo(root: Path) -> Path:
    """The photograph to show first: the first of the first class in `root/test`."""
    for folder in sorted((root / "test").iterdir()):
        for photo in sorted(folder.iterdir()) if folder.is_dir() else ():
            return photo
    raise DemoDataError(f"no photograph in {root / 'test'}", fix="Draw the dataset again")


def _checked_workers(workers: int | None) -> int:
    if workers is None:
        return min(2, os.cpu_count() or 1)
    if not 1 <= workers <= _MOST_WORKERS:
        raise DemoDataError(f"workers is {workers}", fix=f"Use 1 to {_MOST_WORKERS} processes")
    return workers


def _refuse_foreign(root: Path) -> None:
    """Nothing is ever deleted that this room did not write."""
    if not root.exists():
        return
    names = {entry.name for entry in root.iterdir()} if root.is_dir() else {root.name}
    if names and (names - {RECORD_NAME, *SPLITS} or _record(root) is None):
        raise DemoDataError(
            f"{root} holds something other than a drawn dataset",
            fix="Name a folder that does not exist yet, or move this one away",
        )


@contextmanager
def _building_place(root: Path) -> Iterator[Path]:
    """An empty folder beside the root, held by one builder at a time, and gone at the end."""
    place = root.with_name(f".{root.name}.partial")
    handle: int | None = None
    try:
        handle = _hold(place)
        for entry in place.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        yield place
    finally:
        if handle is None:  # stopped while it was being made: only an empty folder goes
            with suppress(OSError):
                place.rmdir()
        else:
            if _is_still(place, handle):
                shutil.rmtree(place, ignore_errors=True)
            os.close(handle)


def _hold(place: Path) -> int:
    """Lock the folder itself: the lock dies with its holder, and moves away with the folder."""
    while True:
        try:
            place.mkdir(parents=True, exist_ok=True)
            handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise DemoDataError(
                f"{place.parent} cannot be written ({error})", fix="Choose another folder"
            ) from error
        fcntl.flock(handle, fcntl.LOCK_EX)
        if _is_still(place, handle):
            return handle
        os.close(handle)


def _is_still(place: Path, handle: int) -> bool:
    try:
        return os.path.samestat(place.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _existing(root: Path, recipe: Recipe) -> DatasetSummary | None:
    record = _record(root)
    if record is None or record.get("recipe_digest") != recipe.digest():
        return None
    digest = _content_digest(root)
    if digest != record.get("digest"):
        return None
    return _summary(root, recipe, digest, reused=True)


def _record(root: Path) -> dict[str, Any] | None:
    try:
        with (root / RECORD_NAME).open("rb") as file:
            record = json.loads(file.read(_LARGEST_RECORD_BYTES))
    except (OSError, ValueError):
        return None
    ours = isinstance(record, dict) and record.get("kind") == _KIND
    return record if ours else None


def _write_record(place: Path, recipe: Recipe, digest: str) -> None:
    record = {
        "kind": _KIND,
        "seed": recipe.seed,
        "recipe": {**asdict(recipe), "jpeg_quality": JPEG_QUALITY},
        "recipe_digest": recipe.digest(),
        "digest": digest,
    }
    (place / RECORD_NAME).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _content_digest(root: Path) -> str:
    total = hashlib.sha256()
    for split in SPLITS:
        for photo in sorted((root / split).rglob("*")):
            if photo.is_file():
                one = hashlib.sha256(photo.read_bytes()).hexdigest()
                total.update(f"{photo.relative_to(root).as_posix()} {one}\n".encode())
    return "sha256:" + total.hexdigest()


def _put_in_place(place: Path, root: Path) -> None:
    """Move the finished folder to its name; what was there is set aside first, then deleted."""
    aside = place.with_name(f".{root.name}.replaced")
    shutil.rmtree(aside, ignore_errors=True)
    if root.exists():
        root.rename(aside)
    place.rename(root)
    shutil.rmtree(aside, ignore_errors=True)


def _summary(root: Path, recipe: Recipe, digest: str, *, reused: bool) -> DatasetSummary:
    classes = tuple(sorted({photo.breed.name for photo in recipe.photos()}))
    return DatasetSummary(
        root=root,
        classes=classes,
        photos={split: getattr(recipe, split) * recipe.breeds for split in SPLITS},
        seed=recipe.seed,
        recipe_digest=recipe.digest(),
        digest=digest,
        reused=reused,
    )
