"""The files that a notebook instance starts with: this program, its experiments, and the notebook itself."""

from __future__ import annotations

import hashlib
from pathlib import Path

from experiments.source import ROOT, Source, pack_files

_ROOMS = ("cli", "experiments", "training", "serving", "deployment", "simulator", "demo", "lambda")
_KINDS = (".py", ".sh", ".txt", ".csv", ".yaml", ".ipynb", ".json")
_TOP = ("pyproject.toml", "requirements.in", "README.md", "Dockerfile")


def pack_program(root: Path = ROOT) -> Source:
    """Everything that launching runs needs, in one tarball with reproducible bytes."""
    paths = [root / name for name in _TOP]
    for room in (*_ROOMS, "specs"):
        paths += [path for path in (root / room).rglob("*") if path.suffix in _KINDS]
    data = pack_files(root, [path for path in paths if path.is_file()])
    return Source(data=data, digest=f"sha256:{hashlib.sha256(data).hexdigest()}")
