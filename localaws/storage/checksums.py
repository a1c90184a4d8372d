"""The checksums that S3 verifies, computed while a body streams by."""

from __future__ import annotations

import base64
import functools
import hashlib
import zlib
from collections.abc import Callable
from typing import Protocol


class Hasher(Protocol):
    """The part of hashlib's interface that is used here."""

    def update(self, data: bytes, /) -> None:
        """Add `data`."""

    def digest(self) -> bytes:
        """The checksum, big endian."""


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


@functools.cache
def _table(polynomial: int) -> tuple[int, ...]:
    def entry(value: int) -> int:
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)
        return value

    return tuple(entry(byte) for byte in range(256))


class _ReflectedCrc:
    """A table-driven CRC in plain Python: correct, but only about 10 MB/s."""

    def __init__(self, polynomial: int, width_bytes: int) -> None:
        self._table = _table(polynomial)
        self._width_bytes = width_bytes
        self._mask = (1 << (8 * width_bytes)) - 1
        self._value = self._mask

    def update(self, data: bytes, /) -> None:
        value, table = self._value, self._table
        for byte in data:
            value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
        self._value = value

    def digest(self) -> bytes:
        return (self._value ^ self._mask).to_bytes(self._width_bytes, "big")


# Reflected polynomials: Castagnoli (RFC 3720) and the NVMe specification's 64-bit CRC.
HASHERS: dict[str, Callable[[], Hasher]] = {
    "CRC32": _Crc32,
    "CRC32C": lambda: _ReflectedCrc(0x82F63B78, 4),
    "CRC64NVME": lambda: _ReflectedCrc(0x9A6C9329AC4BC9B5, 8),
    "SHA1": hashlib.sha1,
    "SHA256": hashlib.sha256,
    "SHA512": hashlib.sha512,
    "MD5": hashlib.md5,
}


def encode(digest: bytes) -> str:
    """The base64 text that S3's headers carry."""
    return base64.b64encode(digest).decode("ascii")


def checksum_of(algorithm: str, data: bytes) -> str:
    """The base64 checksum of `data`; `algorithm` is a key of `HASHERS`."""
    hasher = HASHERS[algorithm]()
    hasher.update(data)
    return encode(hasher.digest())
