"""Deployment packages: checked on the way in, kept by digest, unpacked for running."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import stat
import tempfile
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localaws.functions.names import invalid
from localaws.storage.objects import Objects
from localaws.wire.protocol import AwsError

ZIPPED_MAX_BYTES = 52_428_800
UNZIPPED_MAX_BYTES = 262_144_000
ENTRIES_MAX = 50_000
_BROKEN = "Could not unzip uploaded file. Please check your file, then try to upload again."
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package that was admitted: base64 SHA-256 and size of the zip file in bytes."""

    sha256: str
    size: int


class CodeStore:
    """Packages in one folder: `<digest>.zip`, and beside it the unpacked tree `<digest>/`."""

    def __init__(self, folder: Path, objects: Objects) -> None:
        self._folder = folder
        self._objects = objects
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def read(self, code: Mapping[str, Any]) -> bytes:
        """The zip file that a request names: inline bytes, or an object in S3."""
        if code.get("ImageUri"):
            raise invalid("localaws runs zip packages only: send ZipFile or S3Bucket and S3Key")
        if "ZipFile" in code:
            data: bytes = code["ZipFile"]
            if len(data) > ZIPPED_MAX_BYTES:
                message = f"Zipped size must be smaller than {ZIPPED_MAX_BYTES} bytes"
                raise AwsError("RequestTooLargeException", message)
            return data
        if "S3Bucket" not in code or "S3Key" not in code:
            raise invalid("Please provide a source for function code.")
        try:
            return self._objects.get(code["S3Bucket"], code["S3Key"])
        except AwsError as error:
            raise invalid(
                f"Error occurred while GetObject. S3 Error Code: {error.code}. "
                f"S3 Error Message: {error.message}"
            ) from error

    def check(self, data: bytes) -> Package:
        """Refuse what is no safe zip file within Lambda's limits; nothing is stored."""
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                _check_entries(archive.infolist())
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise invalid(_BROKEN) from error
        digest = hashlib.sha256(data).digest()
        return Package(sha256=base64.b64encode(digest).decode(), size=len(data))

    def keep(self, data: bytes) -> Package:
        """Check and store a package; storing the same bytes again changes nothing."""
        package = self.check(data)
        path = self._path(package.sha256).with_suffix(".zip")
        if not path.exists():
            _write_durably(path, data)
        return package

    def load(self, sha256: str) -> bytes:
        """The zip file of an admitted package."""
        return self._path(sha256).with_suffix(".zip").read_bytes()

    def folder(self, sha256: str) -> Path:
        """The unpacked tree, made on first use. The caller must not write into it."""
        path = self._path(sha256)
        with self._lock:
            if not path.is_dir():
                _unpack(path.with_suffix(".zip"), path)
        return path

    def forget(self, sha256: str) -> None:
        """Remove a package that no function uses any more."""
        path = self._path(sha256)
        with self._lock:
            path.with_suffix(".zip").unlink(missing_ok=True)
            shutil.rmtree(path, ignore_errors=True)

    def _path(self, sha256: str) -> Path:
        return self._folder / base64.b64decode(sha256).hex()


def _check_entries(entries: list[zipfile.ZipInfo]) -> None:
    if not entries:
        raise invalid("Uploaded file must be a non-empty zip")
    if len(entries) > ENTRIES_MAX:
        raise invalid(f"The package has over {ENTRIES_MAX} entries")
    if sum(entry.file_size for entry in entries) >= UNZIPPED_MAX_BYTES:
        raise invalid(f"Unzipped size must be smaller than {UNZIPPED_MAX_BYTES} bytes")
    for entry in entries:
        mode = stat.S_IFMT(entry.external_attr >> 16)
        parts = Path(entry.filename).parts
        unsafe_name = ".." in parts or entry.filename.startswith("/") or "\\" in entry.filename
        if unsafe_name or mode not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise invalid(f"{entry.filename!r} is a link or leaves the package: zip plain files")
        if entry.flag_bits & 1:
            raise invalid(_BROKEN)


def _write_durably(path: Path, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)


def _unpack(archive_path: Path, target: Path) -> None:
    """All or nothing; the declared sizes are not trusted."""
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        tree = Path(scratch) / "tree"
        tree.mkdir(mode=0o755)
        left = UNZIPPED_MAX_BYTES
        with zipfile.ZipFile(archive_path) as archive:
            for entry in archive.infolist():
                left -= _unpack_entry(archive, entry, tree, left)
        tree.rename(target)


def _unpack_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, tree: Path, left: int) -> int:
    place = tree / entry.filename
    if entry.is_dir():
        place.mkdir(parents=True, exist_ok=True)
        return 0
    place.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with archive.open(entry) as source, place.open("wb") as file:
        while chunk := source.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > left:
                raise invalid(f"Unzipped size must be smaller than {UNZIPPED_MAX_BYTES} bytes")
            file.write(chunk)
    executable = (entry.external_attr >> 16) & 0o111
    place.chmod(0o755 if executable else 0o644)
    return written
