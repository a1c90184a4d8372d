"""The linear head on cached features: AdamW, cosine schedule, label smoothing, the best epoch kept.

With several hosts each takes its share of every batch under DistributedDataParallel. The loss is
weighted so that the gradient is the mean over the whole batch, however unevenly it divides: two
hosts give the head of one, but for the order in which floats are added.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from training.config import TrainConfig
from training.errors import DivergedError
from training.graph import Floats
from training.hosts.cluster import Cluster
from training.measure.scores import Labels, fit_temperature, log_loss, top_k


@dataclass(frozen=True, kw_only=True)
class Table:
    """Features [N, D] and labels [N] of one split."""

    features: Floats
    labels: Labels


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """Mean losses in nats: train with label smoothing, over all hosts; valid without."""

    number: int
    train_loss: float
    valid_loss: float
    valid_top1: float


@dataclass(frozen=True, kw_only=True)
class Head:
    """logits = features @ weight.T + bias, weight [C, D], bias [C]; taken after `epoch`."""

    weight: Floats
    bias: Floats
    temperature: float
    epoch: Epoch


def head_logits(features: Floats, weight: Floats, bias: Floats) -> Floats:
    """[N, C] from features [N, D]."""
    result: Floats = features @ weight.T + bias
    return result


def batches(
    photos: int, config: TrainConfig, epoch: int, cluster: Cluster
) -> Iterator[tuple[Labels, int]]:
    """For each step of an epoch: the rows that this host takes, and the size of the whole batch.

    The order depends on the seed and the epoch only, never on the number of hosts.
    """
    order = np.random.default_rng((config.seed, epoch)).permutation(photos)
    for start in range(0, photos, config.batch_size):
        whole = order[start : start + config.batch_size]
        yield whole[cluster.rank :: cluster.world], len(whole)


class _Scale:
    """Standardises features for training; `fold` takes this back into the weights."""

    def __init__(self, features: Floats) -> None:
        std = features.std(axis=0, dtype=np.float64)
        self.mean = features.mean(axis=0, dtype=np.float64)
        self.std = np.where(std > 1e-6, std, 1.0)

    def apply(self, features: Floats) -> torch.Tensor:
        return torch.from_numpy(((features - self.mean) / self.std).astype(np.float32))

    def fold(self, linear: torch.nn.Linear) -> tuple[Floats, Floats]:
        weight = linear.weight.detach().double().numpy() / self.std
        bias = linear.bias.detach().double().numpy() - weight @ self.mean
        return weight.astype(np.float32), bias.astype(np.float32)


class _Loop:
    """The optimizer's state over one training."""

    def __init__(self, width: int, classes: int, photos: int, run: TrainConfig, cluster: Cluster):
        self.linear = torch.nn.Linear(width, classes)
        torch.nn.init.zeros_(self.linear.weight)
        torch.nn.init.zeros_(self.linear.bias)
        several = cluster.world > 1
        self._model = DistributedDataParallel(self.linear) if several else self.linear
        self._optimizer = torch.optim.AdamW(
            self.linear.parameters(), lr=run.learning_rate, weight_decay=run.weight_decay
        )
        self._run, self._cluster, self._photos = run, cluster, photos
        self._step, self._steps = 0, run.epochs * math.ceil(photos / run.batch_size)

    def epoch(self, inputs: torch.Tensor, targets: torch.Tensor, number: int) -> float:
        """One pass; returns the mean training loss over all hosts."""
        total = torch.zeros((), dtype=torch.float64)
        for rows, whole in batches(self._photos, self._run, number, self._cluster):
            picked = torch.from_numpy(rows)
            total += self._learn(inputs[picked], targets[picked], whole)
            self._check(number)
            self._optimizer.step()
        if self._cluster.world > 1:
            torch.distributed.all_reduce(total)
        return float(total) / self._photos

    def _learn(self, inputs: torch.Tensor, targets: torch.Tensor, whole: int) -> torch.Tensor:
        """Set the gradient of the mean loss over the whole batch; returns this share's loss sum."""
        for group in self._optimizer.param_groups:
            slope = 1 + math.cos(math.pi * self._step / self._steps)
            group["lr"] = self._run.learning_rate * slope / 2
        self._step += 1
        self._optimizer.zero_grad()
        loss = functional.cross_entropy(
            self._model(inputs),
            targets,
            label_smoothing=self._run.label_smoothing,
            reduction="sum",
        )
        mean = loss * self._cluster.world / whole  # because the hosts' gradients are averaged
        torch.autograd.backward(mean)
        return loss.detach()

    def _check(self, epoch: int) -> None:
        """Every host holds the same gradient here, so all of them stop in the same step."""
        gradients = [p.grad for p in self.linear.parameters() if p.grad is not None]
        if not all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
            raise DivergedError(
                f"the loss is not a finite number in epoch {epoch}, step {self._step}",
                fix=f"lower learning_rate (it is {self._run.learning_rate:g})",
            )


def train_head(
    train: Table,
    valid: Table,
    *,
    classes: int,
    config: TrainConfig,
    cluster: Cluster,
    on_epoch: Callable[[Epoch], None],
) -> Head:
    """Train on all hosts together; every host returns the same head.

    The epoch with the least validation loss wins; its temperature is fitted on valid. Raises
    DivergedError in the step in which a gradient stops being finite.
    """
    scale = _Scale(train.features)
    inputs, targets = scale.apply(train.features), torch.from_numpy(train.labels)
    loop = _Loop(inputs.shape[1], classes, len(targets), config, cluster)
    best: Head | None = None
    for number in range(1, config.epochs + 1):
        train_loss = loop.epoch(inputs, targets, number)
        weight, bias = scale.fold(loop.linear)
        epoch = _measure(head_logits(valid.features, weight, bias), valid, number, train_loss)
        on_epoch(epoch)
        if best is None or epoch.valid_loss < best.epoch.valid_loss:
            best = Head(weight=weight, bias=bias, temperature=1.0, epoch=epoch)
    if best is None:
        raise DivergedError("no epoch was trained", fix="set epochs to 1 or more")
    logits = head_logits(valid.features, best.weight, best.bias)
    return replace(best, temperature=fit_temperature(logits, valid.labels))


def _measure(logits: Floats, valid: Table, number: int, train_loss: float) -> Epoch:
    return Epoch(
        number=number,
        train_loss=train_loss,
        valid_loss=log_loss(logits, valid.labels),
        valid_top1=top_k(logits, valid.labels, 1),
    )
