"""Objects on disk, for code inside this process; `s3` speaks the same to the network."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from localaws.clock import Clock, Timer
from localaws.storage.blobs import Blob, Blobs, copy_out
from localaws.storage.object_index import Check, Entry, ObjectIndex, accept
from localaws.storage.uploads import Uploads
from localaws.wire.protocol import AwsError

FIRST_SCAN_ROWS = 16
SCAN_ROWS = 1000
_READ_ATTEMPTS = 10
_LAST_CHARACTER = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


@dataclass(frozen=True, kw_only=True)
class ObjectInfo:
    """One listed object. `etag` has no quotes; `last_modified` is epoch seconds."""

    key: str
    size: int
    etag: str
    last_modified: float


def no_such_bucket(bucket: str) -> AwsError:
    """S3's error for a bucket that does not exist."""
    text = "The specified bucket does not exist"
    return AwsError("NoSuchBucket", text, status=404, fields={"BucketName": bucket})


def no_such_key(key: str) -> AwsError:
    """S3's error for an object that does not exist."""
    text = "The specified key does not exist."
    return AwsError("NoSuchKey", text, status=404, fields={"Key": key})


class Objects:
    """All objects of this cloud, under one folder. Safe to use from many threads.

    What `put` and `commit` have answered survives kill -9 and power loss; readers see the old or
    the new object, never a mixture. `bucket_exists` says which buckets there are (all, if absent).
    """

    def __init__(
        self,
        root: Path,
        *,
        clock: Timer | None = None,
        bucket_exists: Callable[[str], bool] = lambda bucket: True,
    ) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.blobs = Blobs(root)
        self.index = ObjectIndex(root / "index.sqlite3")
        self.uploads = Uploads(root / "uploads.sqlite3", self.blobs)
        self.blobs.sweep([*self.index.blob_ids(), *self.uploads.blob_ids()])
        self._clock = clock or Clock()
        self._bucket_exists = bucket_exists

    def get(self, bucket: str, key: str) -> bytes:
        """The object's bytes. Raises `AwsError` NoSuchKey or NoSuchBucket."""
        _, file = self.open(bucket, key)
        with file:
            return file.read()

    def put(
        self,
        bucket: str,
        key: str,
        data: bytes | Path,
        *,
        content_type: str = "binary/octet-stream",
    ) -> str:
        """Store the bytes, or a copy of the file; the ETag, without quotes."""
        self.require_bucket(bucket)
        with _source(data) as source:
            blob = self.blobs.receive(source.read)
        entry = self.entry_for(bucket, key, blob, headers={"ContentType": content_type})
        return self.commit(entry).etag

    def list(self, bucket: str, prefix: str) -> list[ObjectInfo]:
        """Every object whose key starts with `prefix`, sorted by key."""
        self.require_bucket(bucket)
        return [
            ObjectInfo(key=e.key, size=e.size, etag=e.etag, last_modified=e.last_modified)
            for e in self.walk(bucket, prefix)
        ]

    def download(self, bucket: str, key: str, path: Path) -> None:
        """Write the object to `path` as a private copy; its folder is made when missing."""
        _, file = self.open(bucket, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with file:
            copy_out(file, path)

    def exists(self, bucket: str, key: str) -> bool:
        """Whether there is such an object; False also when there is no such bucket."""
        return self.index.get(bucket, key) is not None

    def require_bucket(self, bucket: str) -> None:
        """Raises `AwsError` NoSuchBucket."""
        if not self._bucket_exists(bucket):
            raise no_such_bucket(bucket)

    def open(self, bucket: str, key: str) -> tuple[Entry, BinaryIO]:
        """The entry and its open bytes, which belong together whatever is written meanwhile."""
        for _ in range(_READ_ATTEMPTS):
            entry = self.find(bucket, key)
            try:
                return entry, self.blobs.open(entry.blob_id)
            except FileNotFoundError:
                continue  # Replaced between the two steps: look again.
        raise AwsError("InternalError", f"the bytes of {bucket}/{key} are missing", status=501)

    def find(self, bucket: str, key: str) -> Entry:
        """The entry. Raises `AwsError` NoSuchKey or NoSuchBucket."""
        entry = self.index.get(bucket, key)
        if entry is None:
            self.require_bucket(bucket)
            raise no_such_key(key)
        return entry

    def entry_for(self, bucket: str, key: str, blob: Blob, *, headers: Mapping[str, str]) -> Entry:
        """A new entry for a received blob, stamped with the present time."""
        return Entry(
            bucket=bucket,
            key=key,
            blob_id=blob.blob_id,
            size=blob.size,
            etag=blob.md5,
            last_modified=round(self._clock.now(), 3),
            headers=headers,
            checksums=blob.checksums,
        )

    def commit(self, entry: Entry, check: Check = accept) -> Entry:
        """Put a received blob in place under `entry`, unless `check(old entry)` raises."""
        try:
            self.blobs.keep(entry.blob_id)
            with self.index.exclusive():
                self.require_bucket(entry.bucket)
                old = self.index.replace(entry, check)
        except BaseException:
            self.blobs.discard(entry.blob_id)
            raise
        if old is not None:
            self.blobs.discard(old.blob_id)
        return entry

    def retag(self, bucket: str, key: str, tags: Mapping[str, str]) -> None:
        """Replace the object's tags."""
        with self.index.exclusive():
            self.index.replace(replace(self.find(bucket, key), tags=tags))

    def remove(self, bucket: str, key: str, check: Check = accept) -> None:
        """Remove the object if it exists, unless `check(old entry)` raises."""
        self.require_bucket(bucket)
        old = self.index.remove(bucket, key, check)
        if old is not None:
            self.blobs.discard(old.blob_id)

    def walk(self, bucket: str, prefix: str, start: str = "") -> Iterator[Entry]:
        """Entries with this prefix and key >= `start`, sorted, read in batches."""
        position = max(prefix, start)
        rows = FIRST_SCAN_ROWS
        while True:
            batch = self.index.scan(bucket, position, rows)
            for entry in batch:
                if not entry.key.startswith(prefix):
                    return
                yield entry
            if len(batch) < rows:
                return
            position = batch[-1].key + "\0"
            rows = min(4 * rows, SCAN_ROWS)

    def is_empty(self, bucket: str) -> bool:
        """Whether the bucket holds no object."""
        return not self.index.scan(bucket, "", 1)

    def close(self) -> None:
        """Close the files."""
        self.index.close()
        self.uploads.close()


def after_prefix(prefix: str) -> str | None:
    """The smallest key above every key that starts with `prefix`; None when there is none."""
    for end in range(len(prefix), 0, -1):
        code = ord(prefix[end - 1]) + 1
        if code in _SURROGATES:
            code = _SURROGATES.stop
        if code <= _LAST_CHARACTER:
            return prefix[: end - 1] + chr(code)
    return None


@contextmanager
def _source(data: bytes | Path) -> Iterator[BinaryIO]:
    if isinstance(data, Path):
        with data.open("rb") as file:
            yield file
    else:
        yield io.BytesIO(data)
