"""A search: begins with what was asked for, is decided by valid alone, resumes as it would have gone."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.builders import config
from tests.training.fit.tables import table
from training.config import TrainConfig
from training.errors import DivergedError, StoppedError
from training.fit.checkpoint import CheckpointStore
from training.fit.head import Head
from training.fit.keeper import DiskKeeper, Forgetful, Keeper
from training.fit.stop import Stop
from training.fit.trials import Trial, search_head
from training.hosts.cluster import Cluster

SETTINGS = config(epochs=3, trials=14, batch_size=50, learning_rate=0.002)
LONG = config(epochs=12, trials=20, batch_size=50, learning_rate=0.002)


class StopAfter(Stop):
    """Told to stop when asked for the n-th time."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._left = times

    @property
    def asked(self) -> bool:
        self._left -= 1
        return self._left <= 0


def search(
    keeper: Keeper | None = None, settings: TrainConfig = SETTINGS
) -> tuple[Head, list[Trial], list[int]]:
    trials: list[Trial] = []
    best: list[int] = []

    def told(trial: Trial, is_best: bool) -> None:
        trials.append(trial)
        if is_best:
            best.append(trial.number)

    head = search_head(
        table(60, seed=1),
        table(40, seed=2),
        classes=3,
        config=settings,
        cluster=Cluster(rank=0, world=1),
        keeper=keeper or Forgetful(),
        on_trial=told,
    )
    return head, trials, best


def kept(folder: Path, stop: Stop) -> DiskKeeper:
    return DiskKeeper(
        CheckpointStore(folder), every_s=1e9, stop=stop, clock=lambda: 0.0, warn=lambda _text: None
    )


def test_the_first_trial_is_what_was_asked_for_and_the_best_on_valid_is_kept() -> None:
    head, trials, best = search()
    assert [trial.number for trial in trials] == list(range(14))
    assert trials[0].settings["learning_rate"] == 0.002 and trials[0].settings["batch_size"] == 64
    losses = [trial.loss for trial in trials]
    assert best[-1] == losses.index(min(losses)) and best[0] == 0
    assert head.epoch.valid_top1 == trials[best[-1]].top1
    assert len({trial.settings["learning_rate"] for trial in trials}) == 14


def test_heads_that_are_behind_are_given_up_and_none_of_them_is_kept() -> None:
    head, trials, best = search(settings=LONG)
    given_up = [trial for trial in trials if trial.given_up]
    assert given_up and not any(trials[number].given_up for number in best)
    least = min(trial.loss for trial in trials)
    assert trials[best[-1]].loss == least and head.epoch.valid_top1 == trials[best[-1]].top1
    assert all(5 <= trial.epochs < 12 and trial.loss > least for trial in given_up)
    assert not any(trial.given_up for trial in trials[:5]), "there are too few to judge by"


def test_facts_of_before_heads_were_given_up_are_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        search(kept(tmp_path, StopAfter(6)))
    found = CheckpointStore(tmp_path).load()
    assert found is not None
    for trial in found.facts["trials"]:
        del trial["given_up"], trial["curve"]
    CheckpointStore(tmp_path).save(7, found)
    _, trials, _ = search(kept(tmp_path, Stop()))
    assert [trial.number for trial in trials] == list(range(14))


@pytest.mark.parametrize(
    ("settings", "after"), [(SETTINGS, 1), (SETTINGS, 6), (SETTINGS, 13), (LONG, 11)]
)
def test_a_stopped_search_goes_on_as_it_would_have_gone(
    tmp_path: Path, settings: TrainConfig, after: int
) -> None:
    whole, all_trials, best = search(settings=settings)
    with pytest.raises(StoppedError, match=f"step {after}"):
        search(kept(tmp_path, StopAfter(after)), settings)
    head, trials, best_again = search(kept(tmp_path, Stop()), settings)
    assert [vars(trial) for trial in trials] == [
        {**vars(trial), "settings": dict(trial.settings)} for trial in all_trials
    ]
    assert best_again == best
    assert np.array_equal(head.weight, whole.weight) and head.temperature == whole.temperature


def test_a_search_in_which_all_diverge_says_so() -> None:
    broken = table(60, seed=1)
    features = broken.features.copy()
    features[0, 0, 0] = np.nan
    with pytest.raises(DivergedError, match="all 2 trials diverged"):
        search_head(
            type(broken)(features=features, labels=broken.labels, photos=(), digest=""),
            table(40, seed=2),
            classes=3,
            config=config(epochs=2, trials=2),
            cluster=Cluster(rank=0, world=1),
            keeper=Forgetful(),
            on_trial=lambda _trial, _best: None,
        )
