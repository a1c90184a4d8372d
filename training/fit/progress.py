"""How far a training is, as facts that JSON can carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """Mean losses in nats: train with label smoothing, over all hosts; valid without, as it is and
    with the temperature that suits it best. The last decides which epoch is kept: label smoothing
    makes the plain loss rise long after the model has ceased to get worse.

    `at` is when it ended, in seconds since 1970.
    """

    number: int
    train_loss: float
    valid_loss: float
    valid_calibrated: float
    valid_top1: float
    at: float = 0.0


@dataclass(kw_only=True)
class Progress:
    """`epoch` is the one under way, from 1; `batch` counts its finished steps, `step` all of them.

    `stale` counts the epochs since the best one, whose place in `history` is `best` (from 0).
    """

    epoch: int = 1
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    stale: int = 0
    best: int = 0
    history: list[Epoch] = field(default_factory=list)

    def end_step(self, loss: float) -> None:
        """Count a step; `loss` is the sum over its batch."""
        self.step += 1
        self.batch += 1
        self.loss_sum += loss

    def end_epoch(self, epoch: Epoch) -> bool:
        """Count an epoch; whether it is the best so far: the least calibrated validation loss."""
        least = self.history[self.best].valid_calibrated if self.history else float("inf")
        is_best = not self.history or epoch.valid_calibrated < least
        self.stale = 0 if is_best else self.stale + 1
        self.best = len(self.history) if is_best else self.best
        self.history.append(epoch)
        self.epoch, self.batch, self.loss_sum = self.epoch + 1, 0, 0.0
        return is_best

    def is_over(self, epochs: int, patience: int) -> bool:
        """Whether all epochs are done, or too many since the best one (`patience` 0: never)."""
        return self.epoch > epochs or 0 < patience <= self.stale

    @property
    def best_epoch(self) -> Epoch:
        """The epoch with the least calibrated validation loss."""
        return self.history[self.best]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; floats survive JSON to the bit."""
        return asdict(self)

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Self:
        """Undo `to_dict`; other keys are left alone."""
        names = ("epoch", "batch", "step", "loss_sum", "stale", "best")
        history = [Epoch(**epoch) for epoch in facts["history"]]
        return cls(**{name: facts[name] for name in names}, history=history)
