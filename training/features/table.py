"""What the head trains on: the features of a split, on every host the same, in the same order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.features.feature_pass import KeptSquares, Spent
from training.graph import Floats
from training.manifest import Manifest, Photo


@dataclass(frozen=True, kw_only=True)
class FeatureTable:
    """The features of one split, a read-only memory map of the cache.

    `features` is float32 [N, V, D]: photo, view, feature. View 0 is the plain photo, by the very
    transform that serving applies; views 1 and up are augmented, and only the train split has them.
    `labels` is int64 [N], places in `Manifest.classes`; `photos` are in the order of the rows.
    `digest` is the SHA-256 of the features' bytes: equal digests are equal tables, on any host.
    """

    features: Floats
    labels: npt.NDArray[np.int64]
    photos: tuple[Photo, ...]
    digest: str

    @property
    def views(self) -> int:
        """V, at least 1."""
        return int(self.features.shape[1])

    @property
    def width(self) -> int:
        """D, the backbone's width."""
        return int(self.features.shape[2])

    def view(self, number: int) -> Floats:
        """One view of every photo, [N, D], without a copy."""
        chosen: Floats = self.features[:, number]
        return chosen

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, kw_only=True)
class Features:
    """The result of the feature pass. `test` has no table: it is scored by the exported artifact.

    `manifest` names the readable photos of all hosts and the dataset's digest; `test` are the places
    of its test photos in the survey's listing; `kept` are those squares of them that this host has
    decoded. `spent` is this host's; nothing of it is above 0 if all came from the cache. `damaged`
    names files of the cache that were found broken and made again.
    """

    manifest: Manifest
    train: FeatureTable
    valid: FeatureTable
    test: tuple[int, ...]
    kept: KeptSquares
    spent: Spent
    damaged: tuple[str, ...]
