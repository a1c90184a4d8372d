"""Many heads on the same features: Optuna proposes, validation decides, the best one is kept.

The sampler is seeded anew for each trial, from the run's seed and the trial's number, so that a
search that was interrupted proposes what it would have proposed. Every host tries the same heads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np
import torch

from training.config import TrainConfig
from training.errors import DivergedError
from training.fit.checkpoint import Snapshot
from training.fit.head import Head, Table, head_logits, train_head
from training.fit.keeper import Keeper
from training.fit.progress import Epoch
from training.hosts.cluster import Cluster
from training.measure.basics import log_loss

_ALONE: Final = Cluster(rank=0, world=1)
_BATCHES: Final = (16, 32, 64, 128, 256)
_STALE_AFTER: Final = 8
_OF_DIVERGED: Final = 1e6


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One head that was tried. `loss` is the calibrated log loss on valid, which decides."""

    number: int
    settings: Mapping[str, Any]
    loss: float
    top1: float
    epochs: int


class _Proposer(Protocol):
    def propose(self, number: int) -> dict[str, Any]:
        """The settings of a trial, given all before it."""

    def learn(self, trial: Trial) -> None:
        """Take in how a trial went."""


class _Optuna:
    """Tree-structured Parzen estimators (Bergstra et al. 2011) over the settings of a head."""

    def __init__(self, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna, self._seed = optuna, seed
        self._study = optuna.create_study(direction="minimize")
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
        return dict(self._study.ask(self._space).params)

    def learn(self, trial: Trial) -> None:
        known = {name: trial.settings[name] for name in self._space}
        waiting = [t for t in self._study.get_trials(deepcopy=False) if not t.state.is_finished()]
        if waiting:
            self._study.tell(waiting[0].number, trial.loss)
            return
        done = self._optuna.trial.create_trial(
            params=known, distributions=self._space, value=trial.loss
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


class _Search:
    """The trials so far, and the best head among them."""

    def __init__(self, train: Table, valid: Table, classes: int, config: TrainConfig) -> None:
        self._train, self._valid, self._classes, self._config = train, valid, classes, config
        self._proposer: _Proposer = _Optuna(config.seed)
        self._plain = np.ascontiguousarray(valid.features[:, 0])
        self.trials: list[Trial] = []
        self._best: tuple[Trial, Head] | None = None

    def next_trial(self) -> tuple[Trial, bool]:
        number = len(self.trials)
        settings = self._first() if number == 0 else self._proposer.propose(number)
        head = self._fit(settings)
        trial = self._judge(number, settings, head)
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

    def _fit(self, settings: Mapping[str, Any]) -> Head | None:
        patience = self._config.patience or _STALE_AFTER
        try:
            return train_head(
                self._train,
                self._valid,
                classes=self._classes,
                config=replace(self._config, **settings, patience=patience),
                cluster=_ALONE,
                on_epoch=lambda _epoch: None,
            )
        except DivergedError:
            return None

    def _judge(self, number: int, settings: Mapping[str, Any], head: Head | None) -> Trial:
        if head is None:
            return Trial(number=number, settings=settings, loss=_OF_DIVERGED, top1=0.0, epochs=0)
        logits = head_logits(self._plain, head.weight, head.bias)
        return Trial(
            number=number,
            settings=settings,
            loss=log_loss(logits, self._valid.labels, head.temperature),
            top1=head.epoch.valid_top1,
            epochs=len(head.history),
        )

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
        least = float("inf")
        for facts in found.facts["trials"]:
            trial = Trial(**facts)
            self.trials.append(trial)
            self._proposer.learn(trial)
            on_trial(trial, trial.epochs > 0 and trial.loss < least)
            least = min(least, trial.loss)
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
