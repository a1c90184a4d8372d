"""Archives as SageMaker makes and reads them: gzip tar files of regular files only."""

from __future__ import annotations

import gzip
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

COPY_BYTES = 1024 * 1024


class UnsafeArchive(Exception):
    """An archive that must not be unpacked; the message says why."""


@dataclass(frozen=True, kw_only=True)
class UnpackLimits:
    """How much an archive may hold once unpacked."""

    files: int = 20_000
    total_bytes: int = 20 * 1024**3


def regular_files(folder: Path) -> dict[str, Path]:
    """Relative name -> file for every regular file below `folder`; links are left out.

    A link could point at a file of this machine that the writer of the folder could not read.
    """
    found = {}
    for parent, names, files in os.walk(folder):
        names.sort()
        for name in sorted(files):
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                found[path.relative_to(folder).as_posix()] = path
    return found


def pack(files: Mapping[str, Path], archive: Path) -> None:
    """Write a .tar.gz that depends on names, bytes and the executable bit only."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0, compresslevel=1) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name in sorted(files):
            with files[name].open("rb") as content:
                status = os.fstat(content.fileno())
                member = tarfile.TarInfo(name)
                member.size = status.st_size
                member.mode = 0o755 if status.st_mode & 0o100 else 0o644
                tar.addfile(member, content)


def unpack(archive: Path, folder: Path, limits: UnpackLimits | None = None) -> None:
    """Unpack a tar file, gzipped or not, into `folder`.

    Raises `UnsafeArchive` for links, devices, names that leave the folder, and too much content;
    what was written until then is left for the caller to remove.
    """
    bounds = limits or UnpackLimits()
    total = count = 0
    try:
        with tarfile.open(archive, "r:*") as tar:
            for member in tar:
                count += 1
                total += member.size
                if count > bounds.files or total > bounds.total_bytes:
                    raise UnsafeArchive(
                        f"it holds over {bounds.files} entries or {bounds.total_bytes} bytes"
                    )
                _write_member(tar, member, folder)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, OSError) as error:
        raise UnsafeArchive(f"it cannot be read as a tar file: {error}") from error


def _write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise UnsafeArchive(f"entry {member.name!r} leaves the folder")
    target = folder / name
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    if not member.isfile():
        raise UnsafeArchive(f"entry {member.name!r} is neither a file nor a folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as written:
        source = tar.extractfile(member)
        while source is not None and (chunk := source.read(COPY_BYTES)):
            written.write(chunk)
    target.chmod(0o755 if member.mode & 0o100 else 0o644)
