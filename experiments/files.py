"""Files on this machine: digests, and writes that are whole or not there at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_BLOCK = 1 << 20


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's bytes as `sha256:<hex>`."""
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def write_whole(path: Path, data: bytes, *, outlives_power: bool = True) -> None:
    """Write `path` so that a reader or a crash finds the old file or the new one, never a part.

    Without `outlives_power` a power cut may leave it empty, which whoever reads it must take for nothing
    known; a program that dies still leaves one of the two.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with part.open("wb") as out:
        out.write(data)
        if outlives_power:
            out.flush()
            os.fsync(out.fileno())
    part.replace(path)
