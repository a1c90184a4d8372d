"""Immutable files by id: an object's bytes, on disk before anyone is told."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from localaws.storage.checksums import HASHERS, encode

CHUNK_BYTES = 1 << 20
_FICLONE = 0x40049409


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A file that is written and synced, but not yet in place. `checksums` are base64."""

    blob_id: str
    size: int
    md5: str
    checksums: Mapping[str, str]


def sync_dir(path: Path) -> None:
    """Make renames and unlinks in the folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Blobs:
    """Files under `root/blobs/<xx>/<id>`; half-written ones live under `root/incoming`."""

    def __init__(self, root: Path) -> None:
        self._incoming = root / "incoming"
        self._kept = root / "blobs"
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir(parents=True)
        if not (self._kept / "ff").is_dir():
            for number in range(256):
                (self._kept / f"{number:02x}").mkdir(parents=True, exist_ok=True)
            sync_dir(self._kept)
        sync_dir(root)

    def receive(self, read: Callable[[int], bytes], algorithms: Collection[str] = ()) -> Blob:
        """Write what `read` gives until it is empty, and sync it. The file is not in place yet."""
        blob_id = uuid.uuid4().hex
        hashers = {name: HASHERS[name]() for name in algorithms}
        md5 = hashlib.md5(usedforsecurity=False)
        size = 0
        try:
            with (self._incoming / blob_id).open("xb", buffering=0) as file:
                while data := read(CHUNK_BYTES):
                    md5.update(data)
                    for hasher in hashers.values():
                        hasher.update(data)
                    size += len(data)
                    _write_all(file.fileno(), data)
                os.fsync(file.fileno())
        except BaseException:
            self.discard(blob_id)
            raise
        checksums = {name: encode(hasher.digest()) for name, hasher in hashers.items()}
        return Blob(blob_id=blob_id, size=size, md5=md5.hexdigest(), checksums=checksums)

    def keep(self, blob_id: str) -> None:
        """Move a received blob into place; durable on return."""
        target = self.path(blob_id)
        (self._incoming / blob_id).rename(target)
        sync_dir(target.parent)

    def discard(self, blob_id: str) -> None:
        """Remove a blob, in place or not. Those who have it open can read on."""
        for path in (self._incoming / blob_id, self.path(blob_id)):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def path(self, blob_id: str) -> Path:
        """Where a kept blob lies."""
        return self._kept / blob_id[:2] / blob_id

    def open(self, blob_id: str) -> BinaryIO:
        """Raises FileNotFoundError when the blob was discarded."""
        return self.path(blob_id).open("rb")

    def sweep(self, known: Iterable[str]) -> int:
        """Remove blobs that nothing points to (a crash came between two steps); their count."""
        wanted = set(known)
        strays = [p for p in self._kept.glob("??/*") if p.name not in wanted]
        for path in strays:
            path.unlink()
        return len(strays)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def copy_out(source: BinaryIO, target: Path) -> None:
    """Write a private copy to `target`: sharing blocks where the file system can, else bytes."""
    with target.open("wb") as sink:
        try:
            fcntl.ioctl(sink.fileno(), _FICLONE, source.fileno())
        except OSError:
            shutil.copyfileobj(source, sink, CHUNK_BYTES)
