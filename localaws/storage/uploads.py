"""Multipart uploads in progress: their parts on disk, and the step that makes them one object."""

from __future__ import annotations

import base64
import hashlib
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from localaws.storage.blobs import CHUNK_BYTES, Blob, Blobs
from localaws.storage.checksums import HASHERS, encode
from localaws.store import Store
from localaws.wire.protocol import AwsError

MIN_PART_BYTES = 5 << 20


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One upload. `described` are the `Entry` fields of the object to be."""

    upload_id: str
    bucket: str
    key: str
    described: Mapping[str, Any]
    started: float
    algorithm: str | None
    checksum_type: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part; `md5` is hex, `checksums` are base64."""

    number: int
    blob_id: str
    size: int
    md5: str
    checksums: Mapping[str, str]
    last_modified: float


def no_such_upload(upload_id: str) -> AwsError:
    """S3's error for an upload that is unknown, completed or aborted."""
    text = (
        "The specified upload does not exist. The upload ID may be invalid, or the upload may "
        "have been aborted or completed."
    )
    return AwsError("NoSuchUpload", text, status=404, fields={"UploadId": upload_id})


class Uploads:
    """Uploads and parts survive a crash like objects do."""

    def __init__(self, path: Path, blobs: Blobs) -> None:
        self._store = Store(path)
        self._uploads = self._store.table("uploads")
        self._parts = self._store.table("parts")
        self._blobs = blobs
        self._lock = threading.Lock()

    def create(self, **fields: Any) -> Upload:
        """A new upload; `fields` are those of `Upload` without the id."""
        upload = Upload(upload_id=uuid.uuid4().hex, **fields)
        doc = asdict(upload)
        self._uploads.put(upload.upload_id, doc)
        return upload

    def find(self, bucket: str, key: str, upload_id: str) -> Upload:
        """Raises `AwsError` NoSuchUpload."""
        doc = self._uploads.get(upload_id)
        if doc is None or (doc["bucket"], doc["key"]) != (bucket, key):
            raise no_such_upload(upload_id)
        return Upload(**doc)

    def list_all(self, bucket: str) -> list[Upload]:
        """The bucket's uploads, by key and start."""
        found = [Upload(**doc) for _, doc in self._uploads.items() if doc["bucket"] == bucket]
        return sorted(found, key=lambda upload: (upload.key, upload.started))

    def keep_part(self, upload: Upload, number: int, blob: Blob, now: float) -> Part:
        """Put a received part in place; it replaces one with the same number."""
        part = Part(
            number=number,
            blob_id=blob.blob_id,
            size=blob.size,
            md5=blob.md5,
            checksums=blob.checksums,
            last_modified=now,
        )
        name = f"{upload.upload_id}/{number:05d}"
        self._blobs.keep(blob.blob_id)
        with self._lock:
            if self._uploads.get(upload.upload_id) is None:
                self._blobs.discard(blob.blob_id)
                raise no_such_upload(upload.upload_id)
            old = self._parts.get(name)
            self._parts.put(name, asdict(part))
        if old is not None:
            self._blobs.discard(old["blob_id"])
        return part

    def parts(self, upload: Upload) -> list[Part]:
        """The upload's parts, by number."""
        return [Part(**doc) for _, doc in self._parts.items(f"{upload.upload_id}/")]

    def forget(self, upload: Upload) -> None:
        """Remove the upload and its parts. Raises `AwsError` NoSuchUpload when it is gone."""
        with self._lock:
            if not self._uploads.delete(upload.upload_id):
                raise no_such_upload(upload.upload_id)
            parts = self.parts(upload)
            for part in parts:
                self._parts.delete(f"{upload.upload_id}/{part.number:05d}")
        for part in parts:
            self._blobs.discard(part.blob_id)

    def blob_ids(self) -> list[str]:
        """All blobs that parts point to."""
        return [doc["blob_id"] for _, doc in self._parts.items()]

    def assemble(self, upload: Upload, parts: Sequence[Part]) -> Blob:
        """One blob of all parts, with the multipart ETag as `md5` and the upload's checksum."""
        whole = upload.algorithm is not None and upload.checksum_type == "FULL_OBJECT"
        algorithms = {upload.algorithm} if whole and upload.algorithm else set()
        try:
            with ExitStack() as stack:
                source = _Joined(self._blobs, parts, stack)
                blob = self._blobs.receive(source.read, algorithms)
        except FileNotFoundError as error:
            raise no_such_upload(upload.upload_id) from error
        checksums = dict(blob.checksums)
        if upload.algorithm is not None and not whole:
            checksums[upload.algorithm] = _composite(upload.algorithm, parts)
        digests = b"".join(bytes.fromhex(part.md5) for part in parts)
        etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"
        return Blob(blob_id=blob.blob_id, size=blob.size, md5=etag, checksums=checksums)

    def close(self) -> None:
        """Close the file."""
        self._store.close()


class _Joined:
    def __init__(self, blobs: Blobs, parts: Sequence[Part], stack: ExitStack) -> None:
        self._chunks = self._read_all(blobs, parts, stack)

    def read(self, size: int) -> bytes:
        return next(self._chunks, b"")

    @staticmethod
    def _read_all(blobs: Blobs, parts: Sequence[Part], stack: ExitStack) -> Iterator[bytes]:
        # All parts are opened first: an abort meanwhile must not cut the object short.
        files: list[BinaryIO] = [stack.enter_context(blobs.open(part.blob_id)) for part in parts]
        for file in files:
            while data := file.read(CHUNK_BYTES):
                yield data


def _composite(algorithm: str, parts: Sequence[Part]) -> str:
    hasher = HASHERS[algorithm]()
    for part in parts:
        hasher.update(base64.b64decode(part.checksums[algorithm]))
    return f"{encode(hasher.digest())}-{len(parts)}"


def chosen_parts(have: Sequence[Part], wanted: Sequence[Mapping[str, Any]]) -> list[Part]:
    """The parts that CompleteMultipartUpload names. Raises `AwsError` as S3 does."""
    if not wanted:
        text = "The XML you provided was not well-formed or did not validate against our schema"
        raise AwsError("MalformedXML", text)
    numbers = [item.get("PartNumber", 0) for item in wanted]
    if numbers != sorted(set(numbers)):
        text = "The list of parts was not in ascending order. Parts must be ordered by part number."
        raise AwsError("InvalidPartOrder", text)
    by_number = {part.number: part for part in have}
    parts = []
    for item in wanted:
        part = by_number.get(item.get("PartNumber", 0))
        if part is None or not _agrees(part, item):
            text = (
                "One or more of the specified parts could not be found. The part may not have "
                "been uploaded, or the specified entity tag may not match the part's entity tag."
            )
            raise AwsError("InvalidPart", text, fields={"PartNumber": item.get("PartNumber")})
        parts.append(part)
    for part in parts[:-1]:
        if part.size < MIN_PART_BYTES:
            text = "Your proposed upload is smaller than the minimum allowed size"
            fields = {"ProposedSize": part.size, "MinSizeAllowed": MIN_PART_BYTES}
            raise AwsError("EntityTooSmall", text, fields=fields)
    return parts


def _agrees(part: Part, item: Mapping[str, Any]) -> bool:
    if item.get("ETag", "").strip('"') != part.md5:
        return False
    return all(
        item.get(f"Checksum{name}", value) == value for name, value in part.checksums.items()
    )
