"""The linear head on cached features: standardised for training, folded back for serving."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch

from training.config import TrainConfig
from training.fit.keeper import Keeper
from training.fit.loop import Group, Lesson, Loop, read_recipe
from training.fit.progress import Epoch
from training.fit.sampler import Share
from training.graph import Floats
from training.hosts.cluster import Cluster
from training.measure.basics import Labels
from training.measure.calibration import fit_temperature

_ROWS_AT_ONCE = 4096
_READY_BYTES = 500_000_000


class Table(Protocol):
    """Features float32 [N, V, D], view 0 being the plain photo, and labels int64 [N] of a split."""

    @property
    def features(self) -> Floats: ...

    @property
    def labels(self) -> Labels: ...


@dataclass(frozen=True, kw_only=True)
class Head:
    """logits = features @ weight.T + bias, weight [C, D], bias [C]; taken after `epoch`."""

    weight: Floats
    bias: Floats
    temperature: float
    epoch: Epoch
    history: tuple[Epoch, ...] = ()


def head_logits(features: Floats, weight: Floats, bias: Floats) -> Floats:
    """[N, C] from features [N, D]."""
    result: Floats = features @ weight.T + bias
    return result


class Scale:
    """Standardises features for training; `fold` takes this back into the weights."""

    def __init__(self, features: Floats) -> None:
        flat = features.reshape(-1, features.shape[-1])
        self.mean = flat.mean(axis=0, dtype=np.float64)
        squares = np.zeros_like(self.mean)
        for start in range(0, len(flat), _ROWS_AT_ONCE):  # a large cache stays on disk
            squares += ((flat[start : start + _ROWS_AT_ONCE] - self.mean) ** 2).sum(axis=0)
        std = np.sqrt(squares / len(flat))
        self.std = np.where(std > 1e-6, std, 1.0)
        self._shift = self.mean.astype(np.float32)
        self._factor = (1 / self.std).astype(np.float32)

    def apply(self, features: Floats) -> Floats:
        scaled: Floats = (features - self._shift) * self._factor
        return scaled

    def fold(self, linear: torch.nn.Linear) -> tuple[Floats, Floats]:
        weight = linear.weight.detach().double().numpy() / self.std
        bias = linear.bias.detach().double().numpy() - weight @ self.mean
        return weight.astype(np.float32), bias.astype(np.float32)


class _Views:
    """The training features: each photo goes through its views, one an epoch. A table that fits into
    memory is standardised once, a larger one batch by batch."""

    owners: Labels | None

    def __init__(self, table: Table, scale: Scale, seed: int) -> None:
        self.labels, self.owners = table.labels, None
        self._scale = scale
        self._ready = table.features.nbytes <= _READY_BYTES
        self._features = scale.apply(table.features) if self._ready else table.features
        self._count = table.features.shape[1]
        self._first = np.random.default_rng(seed).integers(0, self._count, len(table.labels))

    def stream(self, shares: Iterable[Share], epoch: int) -> Iterator[tuple[Share, torch.Tensor]]:
        for share in shares:
            views = (self._first[share.rows] + epoch) % self._count
            picked = self._features[share.rows, views]
            yield share, torch.from_numpy(picked if self._ready else self._scale.apply(picked))


def new_linear(width: int, classes: int) -> torch.nn.Linear:
    """A head that knows nothing: zeros."""
    linear = torch.nn.Linear(width, classes)
    torch.nn.init.zeros_(linear.weight)
    torch.nn.init.zeros_(linear.bias)
    return linear


def train_head(
    train: Table,
    valid: Table,
    *,
    classes: int,
    config: TrainConfig,
    cluster: Cluster,
    on_epoch: Callable[[Epoch], None],
    keeper: Keeper | None = None,
    scale: Scale | None = None,
    **options: Any,
) -> Head:
    """Train on all hosts together; every host returns the same head.

    The epoch with the least calibrated validation loss wins; its temperature is fitted on valid. Raises what
    `Loop.run` raises. `scale` is `Scale(train.features)` where it is known; `options` go to the loop.
    """
    scale = scale or Scale(train.features)
    linear = new_linear(train.features.shape[2], classes)
    plain: Floats = np.ascontiguousarray(valid.features[:, 0])
    lesson = Lesson(
        module=linear,
        groups=[Group(weights=tuple(linear.parameters()), learning_rate=config.learning_rate)],
        source=_Views(train, scale, config.seed),
        judge=lambda: head_logits(plain, *scale.fold(linear)),
        valid_labels=valid.labels,
        classes=classes,
    )
    loop = Loop(
        lesson, read_recipe(config), cluster=cluster, keeper=keeper, on_epoch=on_epoch, **options
    )
    progress = loop.run()
    weight, bias = scale.fold(linear)
    head = Head(
        weight=weight,
        bias=bias,
        temperature=1.0,
        epoch=progress.best_epoch,
        history=tuple(progress.history),
    )
    return calibrated(head, head_logits(plain, weight, bias), valid.labels)


def calibrated(head: Head, valid_logits: Floats, valid_labels: Labels) -> Head:
    """The head with the temperature that fits its validation logits best."""
    return replace(head, temperature=fit_temperature(valid_logits, valid_labels))
