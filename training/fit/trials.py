"""Many heads on the same features: Optuna proposes, validation decides, the best one is kept.

The sampler is seeded anew for each trial, from the run's seed and the trial's number, so that a
search that was interrupted proposes what it would have proposed. Every host tries the same heads.

A head that is behind is given up by Optuna's median rule: its best loss so far is worse than the median
of what the heads that were tried to the end had at the same epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Protocol

import numpy as np
import torch

from training.config import TrainConfig
from training.errors import DivergedError
from training.fit.checkpoint import Snapshot
from training.fit.head import Head, Scale, Table, head_logits, train_head
from training.fit.keeper import Keeper
from training.fit.progress import Epoch
from training.hosts.cluster import Cluster
from training.measure.basics import log_loss

_ALONE: Final = Cluster(rank=0, world=1)
_BATCHES: Final = (32, 64, 128, 256, 512)
_STALE_AFTER: Final = 8
_OF_DIVERGED: Final = 1e6
_EPOCHS_TO_JUDGE: Final = 5
_TRIALS_TO_JUDGE: Final = 5
"""Before these no head is given up: first epochs say little where the step sizes differ by a thousand."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One head that was tried. `loss` is the calibrated log loss on valid, which decides; `curve` is
    its course by epoch. One that was given up has its figures of then."""

    number: int
    settings: Mapping[str, Any]
    loss: float
    top1: float
    epochs: int
    given_up: bool = False
    curve: Sequence[float] = field(default_factory=list)


class _Behind(Exception):
    """The head under way is given up."""


class _Proposer(Protocol):
    def propose(self, number: int) -> dict[str, Any]:
        """The settings of a trial, given all before it."""

    def gives_up(self, epoch: int, loss: float) -> bool:
        """Take in an epoch of the trial that was proposed last; whether it is to be given up."""

    def learn(self, trial: Trial) -> None:
        """Take in how a trial went: the one that was proposed last, or one of before."""


class _Optuna:
    """Tree-structured Parzen estimators (Bergstra et al. 2011) over the settings of a head."""

    def __init__(self, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna, self._seed = optuna, seed
        rule = optuna.pruners.MedianPruner(
            n_startup_trials=_TRIALS_TO_JUDGE, n_warmup_steps=_EPOCHS_TO_JUDGE
        )
        self._study = optuna.create_study(direction="minimize", pruner=rule)
        self._asked: Any = None
        number = optuna.distributions.FloatDistribution
        self._space = {
            "learning_rate": number(1e-4, 0.1, log=True),
            "weight_decay": number(1e-5, 1.0, log=True),
            "label_smoothing": number(0.0, 0.3),
            "batch_size": optuna.distributions.CategoricalDistribution(_BATCHES),
            "ema_decay": optuna.distributions.CategoricalDistribution((0.0, 0.9, 0.99)),
        }

    def propose(self, number: int) -> dict[str, Any]:
        chance = int(np.random.SeedSequence((self._seed, number)).generate_state(1)[0])
        self._study.sampler = self._optuna.samplers.TPESampler(seed=chance)
        self._asked = self._study.ask(self._space)
        return dict(self._asked.params)

    def gives_up(self, epoch: int, loss: float) -> bool:
        if self._asked is None:
            return False
        self._asked.report(loss, epoch)
        return bool(self._asked.should_prune())

    def learn(self, trial: Trial) -> None:
        states = self._optuna.trial.TrialState
        state = states.PRUNED if trial.given_up else states.COMPLETE
        if self._asked is not None:
            value = None if trial.given_up else trial.loss
            self._study.tell(self._asked, value, state=state)
            self._asked = None
            return
        done = self._optuna.trial.create_trial(
            state=state,
            params={name: trial.settings[name] for name in self._space},
            distributions=self._space,
            value=trial.loss,
            intermediate_values=dict(enumerate(trial.curve, 1)),
        )
        self._study.add_trial(done)


def search_head(
    train: Table,
    valid: Table,
    *,
    classes: int,
    config: TrainConfig,
    cluster: Cluster,
    keeper: Keeper,
    on_trial: Callable[[Trial, bool], None],
) -> Head:
    """The best of `config.trials` heads by the validation loss; the first has the given settings.

    `on_trial` gets each trial and whether it is the best so far; after a resumption also those of
    before. Raises what `Keeper.after_step` raises.
    """
    search = _Search(train, valid, classes, config)
    found = keeper.resume(cluster)
    if found is not None:
        search.restore(found, on_trial)
    while len(search.trials) < config.trials:
        trial, is_best = search.next_trial()
        on_trial(trial, is_best)
        asked = cluster.gather(b"1" if keeper.stop_asked else b"0")
        keeper.after_step(len(search.trials), search.snapshot, stopping=b"1" in asked)
    keeper.finish(len(search.trials), search.snapshot)
    return search.best_head()


def _best_of(course: Sequence[Epoch]) -> Epoch:
    return min(course, key=lambda epoch: epoch.valid_calibrated)


def _stale(course: Sequence[Epoch]) -> int:
    """Epochs since the best one, as `Progress` counts them."""
    return len(course) - 1 - course.index(_best_of(course))


def _curve(course: Sequence[Epoch]) -> list[float]:
    return [epoch.valid_calibrated for epoch in course]


def _without_head(
    number: int, settings: Mapping[str, Any], course: Sequence[Epoch], why: Exception
) -> Trial:
    """The trial that diverged, or was given up with the best that it had."""
    gave_up = isinstance(why, _Behind)
    return Trial(
        number=number,
        settings=settings,
        loss=_best_of(course).valid_calibrated if gave_up else _OF_DIVERGED,
        top1=_best_of(course).valid_top1 if gave_up else 0.0,
        epochs=len(course) if gave_up else 0,
        given_up=gave_up,
        curve=_curve(course),
    )


class _Search:
    """The trials so far, and the best head among them."""

    def __init__(self, train: Table, valid: Table, classes: int, config: TrainConfig) -> None:
        self._train, self._valid, self._classes, self._config = train, valid, classes, config
        self._proposer: _Proposer = _Optuna(config.seed)
        self._scale = Scale(train.features)
        self._plain = np.ascontiguousarray(valid.features[:, 0])
        self.trials: list[Trial] = []
        self._best: tuple[Trial, Head] | None = None

    def next_trial(self) -> tuple[Trial, bool]:
        number = len(self.trials)
        settings = self._first() if number == 0 else self._proposer.propose(number)
        trial, head = self._fit(number, settings)
        self.trials.append(trial)
        self._proposer.learn(trial)
        is_best = head is not None and (self._best is None or trial.loss < self._best[0].loss)
        if is_best and head is not None:
            self._best = (trial, head)
        return trial, is_best

    def _first(self) -> dict[str, Any]:
        """The settings that were asked for, moved into the space that is searched."""
        given = self._config
        return {
            "learning_rate": min(max(given.learning_rate, 1e-4), 0.1),
            "weight_decay": min(max(given.weight_decay, 1e-5), 1.0),
            "label_smoothing": min(given.label_smoothing, 0.3),
            "batch_size": min(_BATCHES, key=lambda size: abs(size - given.batch_size)),
            "ema_decay": min((0.0, 0.9, 0.99), key=lambda decay: abs(decay - given.ema_decay)),
        }

    def _fit(self, number: int, settings: Mapping[str, Any]) -> tuple[Trial, Head | None]:
        """The trial, and its head if it was tried to the end."""
        patience = self._config.patience or _STALE_AFTER
        course: list[Epoch] = []
        try:
            head = train_head(
                self._train,
                self._valid,
                classes=self._classes,
                config=replace(self._config, **settings, patience=patience),
                cluster=_ALONE,
                on_epoch=partial(self._watch, course, patience),
                scale=self._scale,
            )
        except (_Behind, DivergedError) as why:
            return _without_head(number, settings, course, why), None
        trial = Trial(
            number=number,
            settings=settings,
            loss=self._loss(head),
            top1=head.epoch.valid_top1,
            epochs=len(course),
            curve=_curve(course),
        )
        return trial, head

    def _watch(self, course: list[Epoch], patience: int, epoch: Epoch) -> None:
        """Raises _Behind for a head that is to be given up, unless it is done anyway."""
        course.append(epoch)
        is_behind = self._proposer.gives_up(epoch.number, epoch.valid_calibrated)
        is_done = len(course) == self._config.epochs or _stale(course) >= patience
        if is_behind and not is_done:
            raise _Behind

    def _loss(self, head: Head) -> float:
        logits = head_logits(self._plain, head.weight, head.bias)
        return log_loss(logits, self._valid.labels, head.temperature)

    def best_head(self) -> Head:
        if self._best is None:
            raise DivergedError(
                f"all {len(self.trials)} trials diverged", fix="check the photos and their labels"
            )
        return self._best[1]

    def snapshot(self) -> Snapshot:
        facts: dict[str, Any] = {"trials": [vars(trial) for trial in self.trials], "best": None}
        if self._best is None:
            return Snapshot(tensors={}, facts=facts)
        trial, head = self._best
        history = [vars(epoch) for epoch in head.history]
        kept = {"temperature": head.temperature, "epoch": vars(head.epoch), "history": history}
        tensors = {"weight": torch.from_numpy(head.weight), "bias": torch.from_numpy(head.bias)}
        return Snapshot(tensors=tensors, facts={**facts, "best": trial.number, "head": kept})

    def restore(self, found: Snapshot, on_trial: Callable[[Trial, bool], None]) -> None:
        """Go on after these trials. Those of a checkpoint without curves are none to be judged by."""
        least = float("inf")
        for facts in found.facts["trials"]:
            trial = Trial(**facts)
            self.trials.append(trial)
            self._proposer.learn(trial)
            is_best = trial.epochs > 0 and not trial.given_up and trial.loss < least
            on_trial(trial, is_best)
            least = trial.loss if is_best else least
        if found.facts["best"] is not None:
            kept = found.facts["head"]
            head = Head(
                weight=found.tensors["weight"].numpy(),
                bias=found.tensors["bias"].numpy(),
                temperature=kept["temperature"],
                epoch=Epoch(**kept["epoch"]),
                history=tuple(Epoch(**epoch) for epoch in kept["history"]),
            )
            self._best = (self.trials[found.facts["best"]], head)
