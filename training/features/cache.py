"""The features on disk: chunks while the pass runs, one table for each split when it is done.

A folder for each key; the key names everything that the features follow from, so nothing in it ever
goes stale. Files that are damaged are removed, told of and computed again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from serving.preprocess import Transform
from training.features.array_file import (
    ArrayFile,
    ArrayWriter,
    DamagedFileError,
    open_array,
    write_array,
)
from training.features.survey import Chunk, Survey
from training.graph import Floats

VERSION: Final = 1


@dataclass(frozen=True, kw_only=True)
class CacheKey:
    """All that decides the features' bytes, but for the processor's own rounding."""

    dataset_digest: str
    weights_digest: str
    backbone: str
    transform: Transform
    engine: str
    views: int
    augment: str
    seed: int

    def name(self) -> str:
        """The folder's name: 24 hex digits. With one view neither augment nor seed matter."""
        plain = self.views == 1
        content = {
            "version": VERSION,
            "dataset": self.dataset_digest,
            "weights": self.weights_digest,
            "backbone": self.backbone,
            "transform": self.transform.to_dict(),
            "engine": self.engine,
            "views": self.views,
            "augment": "" if plain else self.augment,
            "seed": 0 if plain else self.seed,
        }
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A chunk's features [n, V, D], with rows of zeros for the photos in `faults` (by place)."""

    features: Floats
    faults: Mapping[int, str]


class FeatureCache:
    """One key's folder. `damaged` collects the names of files that had to go."""

    def __init__(self, root: Path, key: CacheKey) -> None:
        self.folder = root / key.name()
        self.damaged: list[str] = []

    def chunk(self, chunk: Chunk, survey: Survey) -> Rows | None:
        """What was computed of these photos before, if it is whole."""
        found = self._open(self._chunk_path(chunk, survey))
        if found is None or len(found.array) != len(chunk.places):
            return None
        faults = {chunk.places[int(i)]: text for i, text in found.about["faults"].items()}
        return Rows(features=found.array, faults=faults)

    def save_chunk(self, chunk: Chunk, survey: Survey, rows: Rows) -> None:
        """Write a chunk so that a killed pass need not compute it again."""
        at = {place: i for i, place in enumerate(chunk.places)}
        faults = {str(at[place]): text for place, text in rows.faults.items()}
        write_array(self._chunk_path(chunk, survey), rows.features, {"faults": faults})

    def table(self, split: str) -> ArrayFile | None:
        """A finished split, if it is whole: [N, V, D] of the readable photos, in order."""
        return self._open(self.folder / f"{split}.table")

    def table_writer(self, split: str, shape: tuple[int, ...]) -> ArrayWriter:
        """Where a finished split is put together."""
        return ArrayWriter(self.folder / f"{split}.table", shape)

    def drop_chunks(self) -> None:
        """Remove the chunks, which the tables now hold."""
        for path in self.folder.glob("*.chunk"):
            path.unlink(missing_ok=True)
        for path in self.folder.glob(".*.part"):  # of a pass that was killed while it wrote
            path.unlink(missing_ok=True)

    def _chunk_path(self, chunk: Chunk, survey: Survey) -> Path:
        total = hashlib.sha256(chunk.split.encode())
        for place in chunk.places:
            total.update(survey.listing.photos[place].path.encode("utf-8", "surrogateescape"))
            total.update(b"\0" + survey.inspections[place].sha256.encode() + b"\n")
        return self.folder / f"{chunk.split}-{total.hexdigest()[:24]}.chunk"

    def _open(self, path: Path) -> ArrayFile | None:
        try:
            return open_array(path)
        except FileNotFoundError:
            return None
        except (DamagedFileError, OSError, ValueError):
            self.damaged.append(path.name)
            path.unlink(missing_ok=True)
            return None


def empty_rows(photos: int, views: int, width: int) -> Floats:
    """Room for a chunk: float32 zeros [photos, views, width]."""
    return np.zeros((photos, views, width), np.float32)


def faults_of(about: Mapping[str, Any]) -> dict[int, str]:
    """The unreadable photos that a table's file names, by place in the listing."""
    return {int(place): text for place, text in about["faults"].items()}


def places_of(
    survey: Survey, split: str, unreadable: Sequence[int] | Mapping[int, str]
) -> list[int]:
    """The readable photos of a split, by place, in the order of a table's rows."""
    return [
        place
        for place, photo in enumerate(survey.listing.photos)
        if photo.split == split and place not in unreadable
    ]
