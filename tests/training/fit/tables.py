"""Features in clusters, for tests of the head; runnable as one host of a cluster.

`python tables.py RANK WORLD PORT OUT` is one host that trains `SETTINGS` and saves.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch

from training.config import TrainConfig
from training.features import FeatureTable
from training.fit.head import Head, train_head
from training.fit.loop import Group, Lesson, Loop, read_recipe
from training.fit.progress import Epoch
from training.fit.sampler import Share
from training.graph import Floats
from training.hosts.cluster import Cluster, Rendezvous, join, part
from training.measure.basics import Labels

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


class Pictures:
    """101 small random pictures, which two hosts hold unevenly: the second has a third of them."""

    def __init__(self, cluster: Cluster) -> None:
        rng = np.random.default_rng(8)
        self.labels = rng.integers(0, 3, 101)
        self.owners: Labels | None = (np.arange(101) % 3 == 0).astype(np.int64) % cluster.world
        self._pixels = torch.from_numpy(rng.normal(0, 1, (101, 3, 8, 8)).astype(np.float32))

    def stream(self, shares: Iterable[Share], epoch: int) -> Iterator[tuple[Share, torch.Tensor]]:
        for share in shares:
            yield share, self._pixels[torch.from_numpy(share.rows)]


def tuned(cluster: Cluster) -> Floats:
    """All weights of a small convolutional network after two epochs with every option on."""
    torch.manual_seed(4)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.Flatten(),
        torch.nn.Linear(144, 3),
    ).eval()
    learns = tuple(module.parameters())
    pictures = Pictures(cluster)
    settings = TrainConfig(
        epochs=2, batch_size=25, clip_norm=0.5, ema_decay=0.9, class_weights="balanced"
    )
    lesson = Lesson(
        module=module,
        groups=[Group(weights=learns, learning_rate=0.001)],
        source=pictures,
        judge=lambda: np.zeros((101, 3), np.float32),
        valid_labels=pictures.labels,
        classes=3,
    )
    Loop(lesson, read_recipe(settings), cluster=cluster).run()
    return np.concatenate([weight.detach().numpy().ravel() for weight in learns])


def train_forever(meeting: Rendezvous, port: Callable[[], int], told: Callable[[], None]) -> None:
    """Train on all hosts for a very long time; `told` is called after the first epoch."""
    torch.set_num_threads(1)
    cluster = join(replace(meeting, port=port()))
    first = [told]

    def on_epoch(_epoch: Epoch) -> None:
        while first:
            first.pop()()
        time.sleep(0.02)  # other tests need the processor too

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
    told = [cluster.from_leader(text) for text in (b"from the leader" * (1 - cluster.rank), b"")]
    head = trained(SETTINGS, cluster)
    np.savez(
        out,
        weight=head.weight,
        bias=head.bias,
        temperature=head.temperature,
        train_loss=head.epoch.train_loss,
        gathered=[len(data) for data in gathered],
        told=[text.decode() for text in told],
        tuned=tuned(cluster),
    )
    part(cluster)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
