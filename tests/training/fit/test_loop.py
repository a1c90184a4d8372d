"""The loop: stopped and resumed at any step it ends in the same bits; its options do what they say."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.builders import config
from tests.training.fit.tables import table
from training.config import TrainConfig
from training.errors import StoppedError
from training.fit.checkpoint import CheckpointStore
from training.fit.head import Head, train_head
from training.fit.keeper import DiskKeeper
from training.fit.progress import Epoch
from training.fit.stop import Stop
from training.hosts.cluster import Cluster

ALONE = Cluster(rank=0, world=1)
RICH = {"epochs": 4, "batch_size": 16, "ema_decay": 0.9, "warmup": 0.2, "class_weights": "balanced"}


def fit(
    settings: TrainConfig,
    keeper: DiskKeeper | None = None,
    told: list[Epoch] | None = None,
    **shape: Any,
) -> Head:
    return train_head(
        table(101, seed=1, **shape),
        table(40, seed=2, **shape),
        classes=3,
        config=settings,
        cluster=ALONE,
        on_epoch=(told if told is not None else []).append,
        keeper=keeper,
        clock=lambda: 5.0,
    )


class StopAt(Stop):
    """Told to stop when the step has been asked about so many times."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._left = after

    @property
    def asked(self) -> bool:
        self._left -= 1
        return self._left < 0


def keeper(folder: Path, stop: Stop, warn: Callable[[str], None] = print) -> DiskKeeper:
    store = CheckpointStore(folder)
    return DiskKeeper(store, every_s=1e9, stop=stop, clock=lambda: 0.0, warn=warn)


@pytest.mark.parametrize("at", [0, 3, 6, 7, 17, 27])
@pytest.mark.parametrize("views", [1, 3])
def test_stopped_at_any_step_it_ends_in_the_same_bits(tmp_path: Path, at: int, views: int) -> None:
    settings = config(**RICH)
    whole_told: list[Epoch] = []
    whole = fit(settings, told=whole_told, views=views)
    with pytest.raises(StoppedError, match=f"stopped by .* at step {at + 1};") as caught:
        fit(settings, keeper(tmp_path, StopAt(at)), views=views)
    assert caught.value.exit_code == 143 and "start the run again" in caught.value.fix
    told: list[Epoch] = []
    resumed = fit(settings, keeper(tmp_path, Stop()), told, views=views)
    assert np.array_equal(resumed.weight, whole.weight)
    assert np.array_equal(resumed.bias, whole.bias)
    assert resumed.temperature == whole.temperature and resumed.epoch == whole.epoch
    assert told == whole_told, "epochs of before the stop are told again, with their own times"


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    settings = config(**RICH)
    first = fit(settings, keeper(tmp_path, Stop()))
    again = fit(settings, keeper(tmp_path, StopAt(0)))
    assert np.array_equal(first.weight, again.weight) and first.history == again.history


def test_a_damaged_checkpoint_costs_steps_and_not_the_result(tmp_path: Path) -> None:
    settings = config(**RICH)
    for at in (4, 4):
        with pytest.raises(StoppedError):
            fit(settings, keeper(tmp_path, StopAt(at)))
    newest = max(tmp_path.iterdir(), key=lambda path: path.name)
    newest.write_bytes(newest.read_bytes()[:-1])
    warned: list[str] = []
    resumed = fit(settings, keeper(tmp_path, Stop(), warned.append))
    assert len(warned) == 1 and "step-000000010 is damaged" in warned[0]
    assert np.array_equal(resumed.weight, fit(settings).weight)


def test_checkpoints_are_written_by_time(tmp_path: Path) -> None:
    now = iter(range(0, 10_000, 4))
    store = CheckpointStore(tmp_path)
    each = DiskKeeper(
        store, every_s=12, stop=Stop(), clock=lambda: float(next(now)), warn=lambda _text: None
    )
    fit(config(epochs=2, batch_size=16), each)
    assert sorted(path.name[5:14] for path in tmp_path.iterdir()) == ["000000012", "000000014"]


def test_patience_ends_a_training_that_no_longer_improves() -> None:
    settings = config(epochs=200, learning_rate=1.0, patience=3)
    head = fit(settings)
    losses = [epoch.valid_calibrated for epoch in head.history]
    assert len(losses) < 200 and losses.index(min(losses)) == len(losses) - 4


def test_views_take_turns_and_change_the_head() -> None:
    one, three = fit(config(epochs=4)), fit(config(epochs=4), views=3)
    assert not np.array_equal(one.weight, three.weight)


def test_clipping_and_class_weights_change_the_head() -> None:
    plain = fit(config(clip_norm=0.0))
    for change in ({"clip_norm": 0.01}, {"class_weights": "balanced"}, {"ema_decay": 0.9}):
        assert not np.array_equal(
            plain.weight, fit(replace(config(clip_norm=0.0), **change)).weight
        )
