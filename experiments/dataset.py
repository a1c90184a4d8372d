"""The photographs: checked on this machine, then put into the private bucket under their digest."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.aws import Cloud, is_code
from experiments.errors import CloudError, DataError
from experiments.files import file_digest
from experiments.records import Dataset

if TYPE_CHECKING:
    from training.manifest import Manifest

SPLITS = ("train", "valid", "test")
Progress = Callable[[str, int, int], None]
_WRITERS = 8


@dataclass(frozen=True, kw_only=True)
class LocalDataset:
    """An ImageFolder on this machine that passed every check a training host would make."""

    root: Path
    digest: str
    classes: tuple[str, ...]
    files: tuple[Path, ...]
    images: dict[str, int]
    size_bytes: int
    warnings: tuple[str, ...]


def read_dataset(root: Path, *, max_unreadable_fraction: float = 0.01) -> LocalDataset:
    """Scan an ImageFolder with train/, valid/ and test/ and refuse it here, where it costs nothing.

    Every photo is decoded once. Raises DataError naming the folder, class or photo and the fix.
    """
    from training.errors import TrainingError
    from training.manifest import scan

    if not root.is_dir():
        raise DataError(
            f"there is no data folder {root}",
            fix="give a folder with train/, valid/ and test/, each with one folder for each class",
        )
    try:
        manifest = scan(root, max_unreadable_fraction=max_unreadable_fraction)
    except TrainingError as error:
        raise DataError(error.message, fix=error.fix) from error
    return _local(root, manifest)


def _local(root: Path, manifest: Manifest) -> LocalDataset:
    unreadable = [path for path, _ in manifest.unreadable]
    files = tuple(Path(path) for path in sorted([p.path for p in manifest.photos] + unreadable))
    return LocalDataset(
        root=root,
        digest=manifest.digest,
        classes=manifest.classes,
        files=files,
        images={split: len(manifest.of(split)) for split in SPLITS},
        size_bytes=sum((root / path).stat().st_size for path in files),
        warnings=manifest.warnings,
    )


def _missing(cloud: Cloud, bucket: str, prefix: str, data: LocalDataset) -> Iterator[Path]:
    listed = cloud.pages("s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=prefix)
    there = {item["Key"].removeprefix(prefix): item["Size"] for item in listed}
    for path in data.files:
        if there.get(path.as_posix()) != (data.root / path).stat().st_size:
            yield path


def put_dataset(cloud: Cloud, bucket: str, data: LocalDataset, progress: Progress) -> Dataset:
    """Put the photos under `datasets/<digest>/`; those already there are not sent again.

    A record of the whole set is written last, so that half an upload is never taken for a whole one.
    """
    short = data.digest.removeprefix("sha256:")[:16]
    prefix, record = f"datasets/{short}/", f"datasets/{short}.json"
    described = Dataset(
        uri=f"s3://{bucket}/{prefix}",
        digest=data.digest,
        classes=data.classes,
        images=data.images,
        size_bytes=data.size_bytes,
    )
    if is_there(cloud, bucket, record):
        return described
    checksums = _checksums(data)
    missing = list(_missing(cloud, bucket, prefix, data))
    total = len(data.files)
    done = total - len(missing)

    def put(path: Path) -> None:
        key = f"{prefix}{path.as_posix()}"
        _put_photo(cloud, bucket, key, data.root / path, checksums[path])

    with ThreadPoolExecutor(_WRITERS) as pool:
        for _ in pool.map(put, missing):
            done += 1
            progress("photos", done, total)
    summary: dict[str, Any] = {"digest": data.digest, "images": data.images, "files": total}
    body = json.dumps(summary, sort_keys=True).encode()
    cloud.ask("s3", "put_object", Bucket=bucket, Key=record, Body=body)
    return described


def _checksums(data: LocalDataset) -> dict[Path, str]:
    """The SHA-256 of each photo as S3 wants it. Raises DataError if they are not those that were checked."""
    from training.manifest import dataset_digest

    with ThreadPoolExecutor(_WRITERS) as pool:
        digests = list(pool.map(lambda path: _sha256(data.root / path), data.files))
    pairs = zip(data.files, digests, strict=True)
    if dataset_digest([(path.as_posix(), digest) for path, digest in pairs]) != data.digest:
        raise _changed(data.root)
    return {
        path: base64.b64encode(bytes.fromhex(digest)).decode()
        for path, digest in zip(data.files, digests, strict=True)
    }


def _sha256(path: Path) -> str:
    try:
        return file_digest(path).removeprefix("sha256:")
    except OSError as error:
        raise _changed(path) from error


def _changed(what: Path) -> DataError:
    return DataError(
        f"{what} changed after it was checked",
        fix="let nothing write to the photographs and run the command again",
    )


def _put_photo(cloud: Cloud, bucket: str, key: str, path: Path, checksum: str) -> None:
    """Send one photo; S3 itself refuses other bytes than those of the checksum."""
    try:
        with path.open("rb") as body:
            cloud.ask(
                "s3", "put_object", Bucket=bucket, Key=key, Body=body, ChecksumSHA256=checksum
            )
    except OSError as error:
        raise _changed(path) from error
    except CloudError as error:
        if is_code(error, "BadDigest", "InvalidRequest", "XAmzContentSHA256Mismatch"):
            raise _changed(path) from error
        raise


def is_there(cloud: Cloud, bucket: str, key: str) -> bool:
    """Whether an object is in the bucket."""
    try:
        cloud.ask("s3", "head_object", Bucket=bucket, Key=key)
    except CloudError as error:
        if is_code(error, "404", "NoSuchKey", "NotFound"):
            return False
        raise
    return True


def put_file(cloud: Cloud, bucket: str, key: str, path: Path | bytes) -> str:
    """Put one file (or bytes) unless the key is there already; keys name their content. S3 URI."""
    if not is_there(cloud, bucket, key):
        if isinstance(path, bytes):
            cloud.ask("s3", "put_object", Bucket=bucket, Key=key, Body=path)
        else:
            with path.open("rb") as body:
                cloud.ask("s3", "put_object", Bucket=bucket, Key=key, Body=body)
    return f"s3://{bucket}/{key}"
