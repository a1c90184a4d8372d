"""The head learns, keeps its best epoch, stops when it diverges, and is the same on two hosts."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.builders import ROOT, clean_env, config, free_port
from tests.training.fit.tables import SETTINGS, table, trained, tuned
from training.errors import DivergedError
from training.fit.head import head_logits
from training.fit.progress import Epoch
from training.hosts.cluster import Cluster
from training.measure.basics import log_loss, top_k

ALONE = Cluster(rank=0, world=1)


def test_it_learns_clusters_and_its_weights_take_raw_features() -> None:
    told: list[Epoch] = []
    head = trained(config(epochs=20, learning_rate=0.02), ALONE, told)
    test = table(200, seed=3)
    assert top_k(head_logits(test.view(0), head.weight, head.bias), test.labels, 1) > 0.95
    assert [epoch.number for epoch in told] == list(range(1, 21))
    assert told[-1].train_loss < told[0].train_loss
    assert 0.2 <= head.temperature <= 5


def test_the_epoch_with_the_least_calibrated_validation_loss_is_kept() -> None:
    told: list[Epoch] = []
    head = trained(config(epochs=30, learning_rate=1.0, label_smoothing=0.0), ALONE, told)
    assert head.epoch == min(told, key=lambda epoch: epoch.valid_calibrated)
    valid = table(40, seed=2)
    again = log_loss(head_logits(valid.view(0), head.weight, head.bias), valid.labels)
    assert again == pytest.approx(head.epoch.valid_loss)


def test_the_same_seed_gives_the_same_head_and_another_seed_another() -> None:
    one, two = (trained(config(seed=5), ALONE) for _ in range(2))
    assert np.array_equal(one.weight, two.weight) and np.array_equal(one.bias, two.bias)
    assert not np.array_equal(one.weight, trained(config(seed=6), ALONE).weight)


def test_divergence_stops_the_run_in_the_step_it_shows() -> None:
    told: list[Epoch] = []
    with pytest.raises(DivergedError, match=r"epoch 1, step \d") as caught:
        trained(config(learning_rate=1000, weight_decay=1000), ALONE, told)
    assert "lower learning_rate" in caught.value.fix and told == []


def on_hosts(world: int, out: Path) -> list[dict[str, Any]]:
    """Train on real hosts (processes) over gloo; what each saved."""
    port = str(free_port())
    script = str(ROOT / "tests/training/fit/tables.py")
    hosts = [
        subprocess.Popen(
            [sys.executable, script, str(rank), str(world), port, str(out / f"{rank}.npz")],
            env=clean_env(PYTHONPATH=str(ROOT)),
        )
        for rank in range(world)
    ]
    try:
        assert [host.wait(60) for host in hosts] == [0] * world
    finally:
        for host in hosts:
            host.kill()
    return [dict(np.load(out / f"{rank}.npz")) for rank in range(world)]


@pytest.mark.slow
def test_two_hosts_give_the_weights_of_one(tmp_path: Path) -> None:
    """Tolerance: 1e-5 of the largest weight for the head, 1e-4 for a network whose photos the hosts
    hold unevenly; only the order of additions differs.

    101 rows in batches of 25 leave one row over, which the second host does not share in.
    """
    alone = trained(SETTINGS, ALONE)
    first, second = on_hosts(2, tmp_path)
    assert np.array_equal(first["weight"], second["weight"])
    assert list(first["gathered"]) == [0, 3]
    assert list(first["told"]) == list(second["told"]) == ["from the leader", ""]
    np.testing.assert_allclose(
        first["weight"], alone.weight, atol=1e-5 * np.abs(alone.weight).max()
    )
    np.testing.assert_allclose(first["train_loss"], alone.epoch.train_loss, rtol=1e-5)
    np.testing.assert_allclose(first["temperature"], alone.temperature, rtol=1e-3)
    deep = tuned(ALONE)
    assert np.array_equal(first["tuned"], second["tuned"])
    np.testing.assert_allclose(first["tuned"], deep, atol=1e-4 * np.abs(deep).max())
