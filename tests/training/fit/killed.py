"""Trainings that may be killed: `python killed.py`, then one folder a line on standard input.

For each line a child is forked (torch is imported once) that trains from that folder's checkpoints
and leaves `result.json` there; its pid is printed when it starts, and `done` when it is gone. Each
batch that is learnt is a line of `samples.txt`: epoch, place, rows.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from training.fit.average import learning
from training.fit.checkpoint import CheckpointStore
from training.fit.keeper import DiskKeeper
from training.fit.loop import Group, Lesson, Loop, Recipe
from training.fit.sampler import Share
from training.fit.stop import Stop
from training.hosts.cluster import Cluster
from training.measure.basics import Labels

PHOTOS, WIDTH, CLASSES, BATCH, EPOCHS = 190, 256, 20, 25, 3


class Samples:
    """A training split that writes down what is taken from it."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(5)
        self.labels = rng.integers(0, CLASSES, PHOTOS)
        self.owners: Labels | None = None
        self._rows = torch.from_numpy(rng.normal(0, 1, (PHOTOS, WIDTH)).astype(np.float32))
        self._path = folder / "samples.txt"

    def stream(self, shares: Iterable[Share], epoch: int) -> Iterator[tuple[Share, torch.Tensor]]:
        for share in shares:
            with self._path.open("a") as log:
                log.write(f"{epoch} {' '.join(map(str, share.rows))}\n")
            yield share, self._rows[torch.from_numpy(share.rows)]


def train(folder: Path) -> None:
    torch.set_num_threads(1)
    module = torch.nn.Linear(WIDTH, CLASSES)
    torch.nn.init.zeros_(module.weight)
    torch.nn.init.zeros_(module.bias)
    samples = Samples(folder)
    valid = np.random.default_rng(6).normal(0, 1, (40, WIDTH)).astype(np.float32)
    lesson = Lesson(
        module=module,
        groups=[Group(weights=tuple(module.parameters()), learning_rate=0.01)],
        source=samples,
        judge=lambda: module(torch.from_numpy(valid)).detach().numpy(),
        valid_labels=samples.labels[:40],
        classes=CLASSES,
    )
    recipe = Recipe(
        epochs=EPOCHS,
        batch_size=BATCH,
        seed=1,
        weight_decay=0.01,
        warmup=0.1,
        label_smoothing=0.1,
        clip_norm=1.0,
        ema_decay=0.9,
        patience=0,
        balanced=True,
    )
    store = CheckpointStore(folder / "kept")
    keeper = DiskKeeper(store, every_s=0.0, stop=Stop(), clock=time.monotonic, warn=print)
    progress = Loop(
        lesson, recipe, cluster=Cluster(rank=0, world=1), keeper=keeper, clock=lambda: 0.0
    ).run()
    weights = b"".join(value.numpy().tobytes() for value in learning(module).values())
    result = {"sha256": hashlib.sha256(weights).hexdigest(), "steps": progress.step}
    (folder / "result.json").write_text(json.dumps(result))


def load_all() -> None:
    """Have torch import what a first step needs, so that no child has to."""
    torch.set_num_threads(1)
    weight = torch.nn.Parameter(torch.zeros(2))
    torch.autograd.backward(weight.sum())
    torch.optim.AdamW([weight]).step()


def main() -> None:
    load_all()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            train(Path(line.strip()))
            os._exit(0)
        print(pid, flush=True)
        os.waitpid(pid, 0)
        print("done", flush=True)


if __name__ == "__main__":
    main()
