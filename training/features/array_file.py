"""One array in one file that knows whether it is whole: the bytes, what they mean, and a digest.

Layout: the array's bytes (little-endian, C order), JSON, and a footer of 64 bytes: magic, length of
the JSON, and the SHA-256 of all before it. Written beside its place, fsynced and renamed, so that a
kill at any moment leaves the old file, the new one, or none. No pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from training.files import sync_folder

_MAGIC: Final = b"PEDIGREE-ARRAY-1"
_MARK: Final = struct.Struct("<16sQQ")
_FOOTER_BYTES: Final = _MARK.size + 32
_MAX_JSON_BYTES: Final = 256_000_000
_DTYPES: Final = ("<f4", "|u1")


class DamagedFileError(ValueError):
    """The file is cut short, changed, or of another kind."""


@dataclass(frozen=True, kw_only=True)
class ArrayFile:
    """A verified file: `array` is a read-only memory map, `digest` is `sha256:…` of its content."""

    array: npt.NDArray[Any]
    about: Mapping[str, Any]
    digest: str


class ArrayWriter:
    """Fills an array on disk piece by piece; `finish` makes it a file, anything else leaves none."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str = "<f4") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._shape, self._dtype = shape, np.dtype(dtype)
        self._bytes = int(np.prod(shape)) * self._dtype.itemsize
        with self._part.open("wb") as stream:
            stream.truncate(self._bytes)
        self.array: npt.NDArray[Any] = _mapped(self._part, shape, self._dtype, "r+")

    def finish(self, about: Mapping[str, Any]) -> None:
        """Seal and publish the file. `about` is plain JSON."""
        content = {**about, "shape": list(self._shape), "dtype": self._dtype.str}
        text = json.dumps(content, sort_keys=True, allow_nan=False).encode()
        if isinstance(self.array, np.memmap):
            self.array.flush()
        with self._part.open("r+b") as stream:
            total = _hash(stream, self._bytes)
            end = text + _MARK.pack(_MAGIC, len(text), self._bytes)
            total.update(end)
            stream.seek(self._bytes)
            stream.write(end + total.digest())
            stream.flush()
            os.fsync(stream.fileno())
        self._part.replace(self._path)
        sync_folder(self._path.parent)


def write_array(path: Path, array: npt.NDArray[Any], about: Mapping[str, Any]) -> None:
    """Write a float32 or uint8 array whole or not at all."""
    writer = ArrayWriter(path, array.shape, array.dtype.str)
    writer.array[...] = array
    writer.finish(about)


def open_array(path: Path) -> ArrayFile:
    """Verify every byte, then map. Raises DamagedFileError, and FileNotFoundError for no file."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        text, array_bytes = _read_tail(stream, size)
        total = _hash(stream, size - 32)
        if total.digest() != stream.read(32):
            raise DamagedFileError(f"{path.name} does not hash to what it says")
    about = json.loads(text)
    shape, dtype = tuple(about.pop("shape")), np.dtype(about.pop("dtype"))
    if dtype.str not in _DTYPES or int(np.prod(shape)) * dtype.itemsize != array_bytes:
        raise DamagedFileError(f"{path.name} holds {size} bytes, not {dtype.str} of shape {shape}")
    array = _mapped(path, shape, dtype, "r")
    return ArrayFile(array=array, about=about, digest=f"sha256:{total.hexdigest()}")


def _read_tail(stream: BinaryIO, size: int) -> tuple[bytes, int]:
    """The JSON, and how many bytes the array before it has."""
    stream.seek(max(0, size - _FOOTER_BYTES))
    mark = stream.read(_MARK.size)
    magic, length, array_bytes = _MARK.unpack(mark.ljust(_MARK.size, b"\0"))
    whole = array_bytes + length + _FOOTER_BYTES == size
    if magic != _MAGIC or length > _MAX_JSON_BYTES or not whole:
        raise DamagedFileError("the file does not end in a footer of this format")
    stream.seek(array_bytes)
    return stream.read(length), array_bytes


def _hash(stream: BinaryIO, length: int) -> Any:
    total = hashlib.sha256()
    stream.seek(0)
    while length > 0:
        chunk = stream.read(min(length, 1 << 22))
        if not chunk:
            break
        total.update(chunk)
        length -= len(chunk)
    return total


def _mapped(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], mode: str
) -> npt.NDArray[Any]:
    if 0 in shape:  # an empty file cannot be mapped
        return np.empty(shape, dtype)
    kind: Any = mode
    return np.memmap(path, dtype, kind, shape=shape)
