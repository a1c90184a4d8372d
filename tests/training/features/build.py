"""Surveys, lenses and caches for the tests of the feature pass; the network is a cheap one."""

from pathlib import Path
from typing import Any

import numpy as np

from serving.preprocess import Transform
from tests.training.builders import config
from training.features.cache import CacheKey, FeatureCache
from training.features.compute import compute_features
from training.features.feature_pass import Lens
from training.features.survey import Survey, survey_photos
from training.features.table import Features
from training.graph import Floats
from training.hosts.cluster import Cluster
from training.manifest import find_photos

ALONE = Cluster(rank=0, world=1)
TRANSFORM = Transform(resize=40, crop=32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
WIDTH = 6


class Network:
    """Means and deviations of the channels: [n, 3, H, W] to [n, 6]. Counts its pictures."""

    def __init__(self, fail_after: int | None = None) -> None:
        self.pictures = 0
        self._fail_after = fail_after

    def __call__(self, batch: Floats) -> Floats:
        if self._fail_after is not None and self.pictures >= self._fail_after:
            raise KeyboardInterrupt
        self.pictures += len(batch)
        parts = [batch.mean(axis=(2, 3)), batch.std(axis=(2, 3))]
        return np.concatenate(parts, axis=1).astype(np.float32)


def lens(network: Any, **changes: Any) -> Lens:
    settings = {"transform": TRANSFORM, "network": network, "batch": 4, "width": WIDTH, **changes}
    return Lens(**settings)


def survey(root: Path, cluster: Cluster = ALONE, **changes: Any) -> Survey:
    return survey_photos(find_photos(root), config(**changes), cluster, threads=1)


def cache(root: Path, seen: Survey, **changes: Any) -> FeatureCache:
    settings = {
        "dataset_digest": seen.digest,
        "weights_digest": "sha256:" + "1" * 64,
        "backbone": "efficientnet_lite0",
        "transform": TRANSFORM,
        "engine": "f32",
        "views": 1,
        "augment": "trivialaugment",
        "seed": 0,
        **changes,
    }
    return FeatureCache(root, CacheKey(**settings))


def features(
    photos: Path,
    place: Path,
    network: Any,
    cluster: Cluster = ALONE,
    *,
    allowed: float = 0.01,
    **look: Any,
) -> Features:
    """One whole pass; `look` are changes of the lens."""
    seen = survey(photos, cluster, max_unreadable_fraction=allowed)
    shape = {name: look[name] for name in ("views", "augment", "seed") if name in look}
    return compute_features(
        seen,
        lens(network, **look),
        cache(place, seen, **shape),
        cluster,
        threads=1,
        max_unreadable_fraction=allowed,
    )
