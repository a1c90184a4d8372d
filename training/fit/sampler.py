"""Which photos each step takes. The order follows from the seed and the epoch alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from training.hosts.cluster import Cluster
from training.measure.basics import Labels


@dataclass(frozen=True, kw_only=True)
class Share:
    """One step: the `rows` of this host, and those of the `whole` batch over all hosts.

    A batch smaller than the number of hosts leaves some without rows. Such a host works on the
    batch's first row for the sake of the others, and `counts` is false: its loss weighs nothing.
    """

    rows: Labels
    whole: Labels
    counts: bool


def steps_in_epoch(photos: int, batch_size: int) -> int:
    """Batches in one pass; the last one may be smaller."""
    return math.ceil(photos / batch_size)


def epoch_shares(
    photos: int,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    cluster: Cluster,
    skip: int = 0,
    owners: Labels | None = None,
) -> Iterator[Share]:
    """The steps of an epoch on this host but for the first `skip`, which were done before.

    Every photo is in exactly one batch, and each row of it on exactly one host: the one that
    `owners` [photos] names, where the hosts hold different photos.
    """
    order = np.random.default_rng((seed, epoch)).permutation(photos)
    for start in range(skip * batch_size, photos, batch_size):
        whole = order[start : start + batch_size]
        mine = whole[cluster.rank :: cluster.world]
        if owners is not None:
            mine = whole[owners[whole] == cluster.rank]
        counts = len(mine) > 0
        yield Share(rows=mine if counts else whole[:1], whole=whole, counts=counts)
