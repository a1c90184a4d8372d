"""Features in clusters, for tests of the head; runnable as one host of a cluster.

`python tables.py RANK WORLD PORT OUT` is one host that trains `SETTINGS` and saves.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from training.config import TrainConfig
from training.features import FeatureTable
from training.fit.head import Head, train_head
from training.fit.progress import Epoch
from training.hosts.cluster import Cluster, Rendezvous, join, part

SETTINGS = TrainConfig(epochs=10, batch_size=25, learning_rate=0.01)


def table(
    rows: int, *, width: int = 12, classes: int = 3, seed: int = 0, views: int = 1
) -> FeatureTable:
    """Features in noisy clusters, one for each class; the clusters are the same for every seed."""
    centres = np.random.default_rng(99).normal(0, 2, (classes, width))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    features = centres[labels][:, None] + rng.normal(0, 1, (rows, views, width))
    return FeatureTable(
        features=features.astype(np.float32),
        labels=labels.astype(np.int64),
        photos=(),
        digest="",
    )


def trained(settings: TrainConfig, cluster: Cluster, told: list[Epoch] | None = None) -> Head:
    """A head on 101 rows: no batch size but 1 and 101 divides them evenly."""
    return train_head(
        table(101, seed=1),
        table(40, seed=2),
        classes=3,
        config=settings,
        cluster=cluster,
        on_epoch=(told if told is not None else []).append,
    )


def train_forever(meeting: Rendezvous, port: Callable[[], int], told: Callable[[], None]) -> None:
    """Train on all hosts for a very long time; `told` is called after the first epoch."""
    torch.set_num_threads(1)
    cluster = join(replace(meeting, port=port()))
    first = [told]

    def on_epoch(_epoch: Epoch) -> None:
        while first:
            first.pop()()

    train_head(
        table(101, seed=1),
        table(40, seed=2),
        classes=3,
        config=TrainConfig(epochs=100_000, batch_size=25),
        cluster=cluster,
        on_epoch=on_epoch,
    )


def main(argv: list[str]) -> None:
    rank, world, port, out = argv
    meeting = Rendezvous(rank=int(rank), world=int(world), master="127.0.0.1", port=int(port))
    cluster = join(meeting)
    gathered = cluster.gather(b"x" * (int(rank) * 3))
    head = trained(SETTINGS, cluster)
    np.savez(
        out,
        weight=head.weight,
        bias=head.bias,
        temperature=head.temperature,
        train_loss=head.epoch.train_loss,
        gathered=[len(data) for data in gathered],
    )
    part(cluster)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
