"""The code that ships to an instance: one tarball with reproducible bytes; its digest is its version."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_PATTERNS = (
    "training/**/*.py",
    "training/*.sh",
    "training/*.txt",
    "serving/__init__.py",
    "serving/preprocess.py",
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """The tarball's bytes and their digest (`sha256:…`)."""

    data: bytes
    digest: str


def pack_files(root: Path, paths: Sequence[Path]) -> bytes:
    """A gzipped tarball of `paths` under `root`, the same bytes for the same content anywhere.

    Order, times, owners and modes are fixed; only regular files go in.
    """
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(paths):
            entry = tarfile.TarInfo(path.relative_to(root).as_posix())
            data = path.read_bytes()
            entry.size = len(data)
            entry.mode = 0o755 if path.suffix == ".sh" else 0o644
            tar.addfile(entry, io.BytesIO(data))
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, filename="") as gz:
        gz.write(raw.getvalue())
    return packed.getvalue()


def pack_source(root: Path = ROOT) -> Source:
    """Pack the training program and the one definition of decode and transform."""
    paths = [path for pattern in _PATTERNS for path in root.glob(pattern) if path.is_file()]
    data = pack_files(root, paths)
    return Source(data=data, digest=f"sha256:{hashlib.sha256(data).hexdigest()}")
