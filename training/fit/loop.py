"""The training loop: steps that can be interrupted anywhere and resumed to the bit.

With several hosts each takes its share of every batch under DistributedDataParallel. The loss is
weighted so that the gradient is the mean over the whole batch, however unevenly it divides: two
hosts give the model of one, but for the order in which floats are added. Every host holds the same
state after each step, so one checkpoint of the leading host serves them all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from training.config import TrainConfig
from training.errors import DivergedError
from training.fit.average import Average, Tensors, copied, fill, learning
from training.fit.balance import class_weights
from training.fit.checkpoint import Snapshot
from training.fit.keeper import Forgetful, Keeper
from training.fit.progress import Epoch, Progress
from training.fit.sampler import Share, epoch_shares, steps_in_epoch
from training.fit.schedule import step_factor
from training.hosts.cluster import Cluster
from training.measure.basics import Floats, Labels, log_loss, top_k
from training.measure.calibration import calibrated_loss


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train; the fields are those of TrainConfig, `deep` is true for fine-tuning."""

    epochs: int
    batch_size: int
    seed: int
    weight_decay: float
    warmup: float
    label_smoothing: float
    clip_norm: float
    ema_decay: float
    patience: int
    balanced: bool
    precision: str = "f32"
    deep: bool = False


def read_recipe(config: TrainConfig, *, deep: bool = False) -> Recipe:
    """The recipe of a run's head, or of its fine-tuning."""
    return Recipe(
        epochs=config.deep_epochs if deep else config.epochs,
        batch_size=config.batch_size,
        seed=config.seed,
        weight_decay=config.weight_decay,
        warmup=config.warmup,
        label_smoothing=config.label_smoothing,
        clip_norm=config.clip_norm,
        ema_decay=config.ema_decay,
        patience=config.patience,
        balanced=config.class_weights == "balanced",
        precision=config.deep_precision if deep else "f32",
        deep=deep,
    )


class Source(Protocol):
    """The training split. `labels` int64 [N]; `owners` int64 [N] are the ranks that hold each photo,
    None where every host holds all."""

    labels: Labels
    owners: Labels | None

    def stream(self, shares: Iterable[Share], epoch: int) -> Iterator[tuple[Share, torch.Tensor]]:
        """The model's input for each share, in order; the same for the same epoch and row. What a
        share that does not count gets is of no account, but for its shape."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Weights that share a first step size."""

    weights: tuple[torch.nn.Parameter, ...]
    learning_rate: float


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What is learnt: the module's weights, in groups, from `source`; `judge` gives the logits
    [N, C] of the validation split for the weights that the module has when it is called."""

    module: torch.nn.Module
    groups: Sequence[Group]
    source: Source
    judge: Callable[[], Floats]
    valid_labels: Labels
    classes: int


class Loop:
    """One training from its first step, or from where a checkpoint left it."""

    def __init__(
        self,
        lesson: Lesson,
        recipe: Recipe,
        *,
        cluster: Cluster,
        keeper: Keeper | None = None,
        on_epoch: Callable[[Epoch], None] = lambda _epoch: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._lesson, self._recipe, self._cluster = lesson, recipe, cluster
        self._keeper = keeper or Forgetful()
        self._on_epoch, self._clock = on_epoch, clock
        self._weights = [weight for group in lesson.groups for weight in group.weights]
        self._optimizer = torch.optim.AdamW(
            [{"params": group.weights, "lr": group.learning_rate} for group in lesson.groups],
            weight_decay=recipe.weight_decay,
            # One call where a dozen took as long as the rest of a head's step. It takes memory as it
            # lies, so not for a network whose layers lie channels last and its restored state not.
            fused=not recipe.deep,
        )
        self._average = Average(lesson.module, recipe.ema_decay)
        self._progress = Progress()
        self._best: Tensors = {}
        labels = lesson.source.labels
        self._in_epoch = steps_in_epoch(len(labels), recipe.batch_size)
        self._targets = torch.from_numpy(labels)
        self._class_weights = class_weights(labels, lesson.classes, balanced=recipe.balanced)

    def run(self) -> Progress:
        """Train to the end; the module then has the weights of the epoch that was best on valid.

        Raises DivergedError in the step in which a gradient stops being finite, and StoppedError
        after a checkpoint if the run is told to stop.
        """
        found = self._keeper.resume(self._cluster)
        if found is not None:
            self._restore(found)
        model = self._on_all_hosts()
        while not self._progress.is_over(self._recipe.epochs, self._recipe.patience):
            self._pass(model)
            self._end_epoch()
        fill(self._lesson.module, self._best)
        return self._progress

    def _on_all_hosts(self) -> torch.nn.Module:
        if self._cluster.world == 1:
            return self._lesson.module
        return DistributedDataParallel(self._lesson.module)

    def _pass(self, model: torch.nn.Module) -> None:
        """The steps of an epoch that are left."""
        now = self._progress
        shares = epoch_shares(
            len(self._targets),
            batch_size=self._recipe.batch_size,
            seed=self._recipe.seed,
            epoch=now.epoch,
            cluster=self._cluster,
            skip=now.batch,
            owners=self._lesson.source.owners,
        )
        for share, inputs in self._lesson.source.stream(shares, now.epoch):
            loss = self._learn(model, inputs, share)
            self._check()
            self._optimizer.step()
            self._average.update()
            total, stopping = self._agree(loss)
            now.end_step(total)
            self._keeper.after_step(now.step, self._snapshot, stopping=stopping)

    def _learn(self, model: torch.nn.Module, inputs: torch.Tensor, share: Share) -> float:
        """Set the gradient of the mean loss over the whole batch; returns this share's loss sum."""
        self._set_step_size()
        self._optimizer.zero_grad()
        targets = self._targets[torch.from_numpy(share.rows)]
        bf16 = torch.autocast(inputs.device.type, torch.bfloat16)
        with bf16 if self._recipe.precision == "bf16" else nullcontext():
            logits = model(inputs)
        losses = functional.cross_entropy(
            logits.float().cpu(),
            targets,
            label_smoothing=self._recipe.label_smoothing,
            reduction="none",
        )
        loss = (losses * self._class_weights[targets]).sum() * float(share.counts)
        # The hosts' gradients are averaged, so the sum over the hosts is divided once only.
        torch.autograd.backward(loss * self._cluster.world / len(share.whole))
        return float(loss.detach())

    def _set_step_size(self) -> None:
        steps = self._recipe.epochs * self._in_epoch
        factor = step_factor(self._progress.step, steps=steps, warmup=self._recipe.warmup)
        for group, known in zip(self._optimizer.param_groups, self._lesson.groups, strict=True):
            group["lr"] = known.learning_rate * factor

    def _check(self) -> None:
        """Every host holds the same gradient here, so all of them stop in the same step."""
        limit = self._recipe.clip_norm or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(self._weights, limit)
        if not bool(torch.isfinite(norm)):
            setting = "deep_learning_rate" if self._recipe.deep else "learning_rate"
            raise DivergedError(
                "the loss is not a finite number in"
                f" epoch {self._progress.epoch}, step {self._progress.step + 1}",
                fix=f"lower {setting} (it is {self._lesson.groups[0].learning_rate:g})",
            )

    def _agree(self, loss: float) -> tuple[float, bool]:
        """The loss sum over all hosts, and whether any of them was told to stop."""
        if self._cluster.world == 1:
            return loss, self._keeper.stop_asked
        mine = torch.tensor([loss, float(self._keeper.stop_asked)], dtype=torch.float64)
        torch.distributed.all_reduce(mine)
        return float(mine[0]), bool(mine[1] > 0)

    def _end_epoch(self) -> None:
        now, lesson = self._progress, self._lesson
        with self._average.applied():
            logits = lesson.judge()
            epoch = Epoch(
                number=now.epoch,
                train_loss=now.loss_sum / len(self._targets),
                valid_loss=log_loss(logits, lesson.valid_labels),
                valid_calibrated=calibrated_loss(logits, lesson.valid_labels),
                valid_top1=top_k(logits, lesson.valid_labels, 1),
                at=self._clock(),
            )
            if now.end_epoch(epoch):
                self._best = copied(learning(lesson.module))
        self._on_epoch(epoch)
        if now.is_over(self._recipe.epochs, self._recipe.patience):
            self._keeper.finish(now.step, self._snapshot)

    def _snapshot(self) -> Snapshot:
        tensors = {"rng.torch": torch.get_rng_state()}
        parts = {
            "now": learning(self._lesson.module),
            "average": self._average.weights,
            "best": self._best,
        }
        for part, weights in parts.items():
            tensors |= {f"{part}.{name}": value.detach().cpu() for name, value in weights.items()}
        for place, state in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{place}.{key}": value.cpu() for key, value in state.items()}
        facts = {**self._progress.to_dict(), "averaged": self._average.updates}
        return Snapshot(tensors=tensors, facts=facts)

    def _restore(self, found: Snapshot) -> None:
        self._progress = Progress.from_dict(found.facts)
        self._average.updates = int(found.facts["averaged"])
        torch.set_rng_state(found.tensors["rng.torch"])
        fill(self._lesson.module, _part(found, "now"))
        self._average.weights = _part(found, "average")
        self._best = _part(found, "best")
        state: dict[int, dict[str, Any]] = {}
        for name, value in _part(found, "optimizer").items():
            place, _, key = name.partition(".")
            state.setdefault(int(place), {})[key] = value
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state, "param_groups": groups})
        for epoch in self._progress.history:
            self._on_epoch(epoch)


def _part(found: Snapshot, part: str) -> Tensors:
    start = f"{part}."
    return {n.removeprefix(start): v for n, v in found.tensors.items() if n.startswith(start)}
