"""Checkpoints on disk: written whole or not at all, verified before use, the last two kept.

One file each: a safetensors file whose metadata holds the plain facts as JSON, and whose name holds
the step and the SHA-256 of its bytes. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

_NAME: Final = re.compile(r"step-(\d{9})\.([0-9a-f]{64})\.safetensors")
_KEEP: Final = 2


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What a training needs to go on: tensors by name, and facts that JSON can carry."""

    tensors: Mapping[str, torch.Tensor]
    facts: Mapping[str, Any]


def pack(snapshot: Snapshot) -> bytes:
    """The snapshot as the bytes of a safetensors file."""
    facts = json.dumps(snapshot.facts, allow_nan=False)
    tensors = {name: value.contiguous() for name, value in snapshot.tensors.items()}
    return save(tensors, metadata={"facts": facts})


def unpack(data: bytes) -> Snapshot:
    """Undo `pack`. Raises ValueError for bytes that are no snapshot."""
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        return Snapshot(tensors=load(data), facts=json.loads(header["__metadata__"]["facts"]))
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"not a checkpoint: {error!r}") from error


@dataclass
class CheckpointStore:
    """The checkpoints of one training, in a folder of its own. `warnings` say what was skipped."""

    folder: Path
    warnings: list[str] = field(default_factory=list)

    def save(self, step: int, snapshot: Snapshot) -> Path:
        """Write, fsync, rename, fsync the folder; then forget all but the last two."""
        self.folder.mkdir(parents=True, exist_ok=True)
        data = pack(snapshot)
        path = self.folder / f"step-{step:09d}.{hashlib.sha256(data).hexdigest()}.safetensors"
        part = self.folder / ".checkpoint.part"
        with part.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
        self._sync_folder()
        for old in self._newest_first()[_KEEP:]:
            old.unlink(missing_ok=True)
        return path

    def load(self) -> Snapshot | None:
        """The newest checkpoint that is whole; None if there is none."""
        for path in self._newest_first():
            data = path.read_bytes()
            found = _NAME.fullmatch(path.name)
            if found is None or hashlib.sha256(data).hexdigest() != found[2]:
                self.warnings.append(
                    f"checkpoint {path.name[:14]} is damaged; the one before is used"
                )
                continue
            try:
                return unpack(data)
            except ValueError as error:
                self.warnings.append(f"checkpoint {path.name[:14]} cannot be read: {error}")
        return None

    def _newest_first(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        found = [path for path in self.folder.iterdir() if _NAME.fullmatch(path.name)]
        return sorted(
            found, key=lambda path: (path.name[:14], path.stat().st_mtime_ns), reverse=True
        )

    def _sync_folder(self) -> None:
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
