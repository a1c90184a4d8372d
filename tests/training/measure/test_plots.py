"""The pictures: readable PNGs of the right size, whatever the number of classes or epochs."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.fit.progress import Epoch
from training.measure.basics import probabilities
from training.measure.calibration import reliability
from training.measure.canvas import Frame, ticks
from training.measure.plots import draw_confusion, draw_learning, draw_reliability


def picture(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("epochs", [1, 2, 40])
def test_learning_curves(tmp_path: Path, epochs: int) -> None:
    history = [
        Epoch(
            number=n,
            train_loss=2 / n,
            valid_loss=1 / n,
            valid_calibrated=1 / n,
            valid_top1=1 - 1 / n,
        )
        for n in range(1, epochs + 1)
    ]
    draw_learning(tmp_path / "a.png", history, history[-1])
    found = picture(tmp_path / "a.png")
    assert found.shape == (400, 960, 3)
    assert (np.abs(found.astype(int) - (204, 96, 0)).sum(axis=2) < 30).any(), "the valid curve"


@pytest.mark.parametrize("classes", [2, 12, 300])
def test_confusion_shows_each_cell(tmp_path: Path, classes: int) -> None:
    draw_confusion(
        tmp_path / "a.png", np.eye(classes, dtype=np.int64), [f"c{i}" for i in range(classes)]
    )
    found = picture(tmp_path / "a.png")
    blue = np.abs(found.astype(int) - (31, 98, 179)).sum(axis=2) < 60
    assert 0.5 / classes < blue.sum() / min(max(420, classes * 24), 1200) ** 2 < 1.5 / classes


def test_reliability(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shares = probabilities(rng.normal(0, 2, (200, 4)))
    labels = rng.integers(0, 4, 200)
    draw_reliability(tmp_path / "a.png", shares, labels)
    assert picture(tmp_path / "a.png").shape == (460, 480, 3)
    assert sum(found.photos for found in reliability(shares, labels)) == 200


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 0.003), (1, 40), (0, 2500)])
def test_ticks_are_round_and_within(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 2 <= len(found) <= 8 and low <= found[0] and found[-1] <= high * (1 + 1e-9)


def test_a_frame_puts_values_where_they_belong() -> None:
    frame = Frame(box=(10, 20, 110, 220), x=(0, 1), y=(0, 4))
    assert frame.at(0, 0) == (10, 220) and frame.at(1, 4) == (110, 20)
