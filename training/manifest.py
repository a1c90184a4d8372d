"""What is trained on: the photos of an ImageFolder, their classes and their digest.

Layout: `<split>/<class>/<photo>`, splits train, valid and test. Imports no torch, so that anything
may compute the same digest.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from serving.preprocess import DEFAULT_LIMITS, IMAGE_SUFFIXES, ImageError, Limits, decode
from training.errors import DataError

SPLITS: Final = ("train", "valid", "test")
_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Photo:
    """One file; `path` is relative to the data folder, with `/`."""

    path: str
    split: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The files before any is opened, sorted by path. `skipped` are paths that are no photos."""

    root: Path
    classes: tuple[str, ...]
    photos: tuple[Photo, ...]
    skipped: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """One opened file: the SHA-256 of its bytes, and why it cannot be read (empty if it can)."""

    sha256: str
    fault: str = ""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The readable photos, sorted by path; the digest covers the unreadable ones too."""

    root: Path
    classes: tuple[str, ...]
    photos: tuple[Photo, ...]
    digest: str
    unreadable: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]

    def of(self, split: str) -> tuple[Photo, ...]:
        """The photos of one split, in order."""
        return tuple(photo for photo in self.photos if photo.split == split)


def dataset_digest(files: Iterable[tuple[str, str]]) -> str:
    """The digest of a data set: `sha256:…` over `path NUL sha256-hex LF`, sorted by path.

    `files` are all listed photos as (relative path with `/`, hex SHA-256 of the bytes).
    """
    total = hashlib.sha256()
    for path, sha256 in sorted(files):
        total.update(path.encode("utf-8", "surrogateescape") + b"\0" + sha256.encode() + b"\n")
    return f"sha256:{total.hexdigest()}"


def list_photos(root: Path) -> Listing:
    """Find the photos. Raises DataError for a missing folder, split or class, naming it."""
    listing = find_photos(root)
    for split in SPLITS:
        if not (root / split).is_dir():
            raise DataError(
                f"the data folder {root} has no {split}/",
                fix=f"add {split}/<class>/<photo>.jpg; train, valid and test are all needed",
            )
    check_classes(listing)
    return listing


def find_photos(root: Path) -> Listing:
    """Whatever photos are there, which on one host of several may be a share of the whole.

    Raises DataError only if there is no folder.
    """
    if not root.is_dir():
        raise DataError(f"there is no data folder {root}", fix="give --data an ImageFolder")
    paths: list[str] = []
    skipped: list[str] = []
    for split in SPLITS:
        for path in _files(root / split):
            parts = path.relative_to(root).parts
            wanted = len(parts) == 3 and path.suffix.lower() in IMAGE_SUFFIXES
            (paths if wanted else skipped).append("/".join(parts))
    return listing_of(root, paths, skipped)


def listing_of(root: Path, paths: Iterable[str], skipped: Iterable[str] = ()) -> Listing:
    """The listing of paths `<split>/<class>/<photo>`, sorted; the classes are those of train."""
    photos = tuple(_photo(path) for path in sorted(paths))
    classes = tuple(sorted({photo.label for photo in photos if photo.split == "train"}))
    return Listing(root=root, classes=classes, photos=photos, skipped=tuple(sorted(skipped)))


def _photo(path: str) -> Photo:
    split, label, _ = path.split("/")
    return Photo(path=path, split=split, label=label)


def _files(folder: Path) -> Iterator[Path]:
    """Every file below `folder` but hidden ones (the desktop's own, half-downloaded ones)."""
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.is_file():
            yield path


def check_classes(listing: Listing) -> None:
    """Raise DataError for an empty split, a class that train lacks, or fewer than two classes."""
    photos, classes = listing.photos, listing.classes
    for split in SPLITS:
        if not any(photo.split == split for photo in photos):
            raise DataError(f"{split}/ holds no photos", fix="put JPEG, PNG or WebP files in it")
    unknown = sorted(
        {(p.split, p.label) for p in photos} - {(s, c) for s in SPLITS for c in classes}
    )
    if unknown:
        split, label = unknown[0]
        raise DataError(
            f"class {label!r} is in {split}/ but not in train/",
            fix=f"add train/{label}/ with photos, or remove {split}/{label}/",
        )
    if len(classes) < 2:
        raise DataError(f"train/ has one class, {classes[0]!r}", fix="add a second class")


def inspect(root: Path, photo: Photo, limits: Limits = DEFAULT_LIMITS) -> Inspection:
    """Read and decode one file; never raises for what is wrong with it."""
    path = root / photo.path
    try:
        with path.open("rb") as stream:
            data = stream.read(limits.max_bytes + 1)
            total = hashlib.sha256(data)
            while chunk := stream.read(1 << 20):
                total.update(chunk)
        decode(data, limits)
    except ImageError as error:
        return Inspection(sha256=total.hexdigest(), fault=f"{error.code}: {error.message}")
    except OSError as error:
        return Inspection(sha256=hashlib.sha256().hexdigest(), fault=f"unreadable: {error}")
    return Inspection(sha256=total.hexdigest())


def inspect_all(root: Path, photos: Sequence[Photo], *, threads: int) -> list[Inspection]:
    """`inspect` each photo, in order, on several threads."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda photo: inspect(root, photo), photos))


def assemble(
    listing: Listing, inspections: Sequence[Inspection], *, max_unreadable_fraction: float
) -> Manifest:
    """The manifest, from one inspection for each listed photo.

    Raises DataError when more than the given fraction is unreadable, or none of a train class is
    left, naming files and counts.
    """
    pairs = list(zip(listing.photos, inspections, strict=True))
    unreadable = tuple((photo.path, seen.fault) for photo, seen in pairs if seen.fault)
    check_unreadable(unreadable, len(pairs), max_unreadable_fraction)
    readable = tuple(photo for photo, seen in pairs if not seen.fault)
    left = {(photo.split, photo.label) for photo in readable}
    for label in listing.classes:
        if ("train", label) not in left:
            raise DataError(
                f"no photo of class {label!r} in train/ can be read", fix="replace these photos"
            )
    return Manifest(
        root=listing.root,
        classes=listing.classes,
        photos=readable,
        digest=dataset_digest((photo.path, seen.sha256) for photo, seen in pairs),
        unreadable=unreadable,
        warnings=tuple(_warnings(listing, pairs, unreadable, left)),
    )


def scan(root: Path, *, max_unreadable_fraction: float, threads: int = 2) -> Manifest:
    """List, inspect and assemble on one host."""
    listing = list_photos(root)
    inspections = inspect_all(root, listing.photos, threads=threads)
    return assemble(listing, inspections, max_unreadable_fraction=max_unreadable_fraction)


def check_unreadable(unreadable: Sequence[tuple[str, str]], total: int, allowed: float) -> None:
    """Raise DataError, naming files and counts, if more than the allowed fraction is unreadable."""
    if len(unreadable) <= allowed * total:
        return
    raise DataError(
        f"{len(unreadable)} of {total} photos cannot be read, {allowed:.2%} are allowed: "
        + _some([f"{path} ({fault})" for path, fault in unreadable]),
        fix="replace or remove these files, or raise max_unreadable_fraction",
    )


def _warnings(
    listing: Listing,
    pairs: Sequence[tuple[Photo, Inspection]],
    unreadable: Sequence[tuple[str, str]],
    left: set[tuple[str, str]],
) -> Iterator[str]:
    if listing.skipped:
        yield f"{len(listing.skipped)} files are not photos: {_some(listing.skipped)}"
    if unreadable:
        named = _some([f"{path} ({fault})" for path, fault in unreadable])
        yield f"{len(unreadable)} photos are left out because they cannot be read: {named}"
    for split in ("valid", "test"):
        missing = [label for label in listing.classes if (split, label) not in left]
        if missing:
            yield f"{split}/ has no photo of {len(missing)} classes: {_some(missing)}"
    train = {seen.sha256 for photo, seen in pairs if photo.split == "train"}
    leaked = [p.path for p, seen in pairs if p.split != "train" and seen.sha256 in train]
    if leaked:
        counts = Counter(path.partition("/")[0] for path in leaked)
        shares = " and ".join(f"{count} of {split}" for split, count in sorted(counts.items()))
        yield f"{shares} are byte for byte in train/ too, so the scores flatter: {_some(leaked)}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
