"""Bins of probability against what was right, held against the training program's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.intervals import Answer, read_answers
from experiments.reliability import calibration_error, reliability
from training.measure.calibration import calibration_error as theirs


def answer(right: bool, probability: float | None) -> Answer:
    return Answer(label="a", predicted="a" if right else "b", probability=probability)


# 256ths: the bins' edges then fall alike in single and in double precision.
TOP = st.integers(128, 256).map(lambda n: n / 256)


@given(st.lists(st.tuples(st.booleans(), TOP), min_size=1, max_size=60))
def test_the_error_is_the_training_programs(photos: list[tuple[bool, float]]) -> None:
    # Two classes: the first always has the top probability, and is right where the label is it.
    shares = np.array([[p, 1 - p] for _, p in photos], dtype=np.float32)
    shares[:, 0] = np.maximum(shares[:, 0], shares[:, 1])
    labels = np.array([0 if right else 1 for right, _ in photos], dtype=np.int64)
    ours = calibration_error(reliability([answer(right, p) for right, p in photos]))
    assert ours == pytest.approx(theirs(shares, labels), abs=1e-5)


def test_bins_stand_from_the_least_sure_and_count_every_photo() -> None:
    bins = reliability([answer(True, 0.99), answer(False, 0.97), answer(True, 0.2)])
    assert [one.photos for one in bins] == [1, 2]
    assert bins[1].right == 0.5
    assert bins[1].probability == pytest.approx(0.98)
    assert calibration_error(bins) == pytest.approx((0.8 + 2 * 0.48) / 3)


def test_without_probabilities_nothing_is_said() -> None:
    assert reliability([answer(True, None)]) == ()
    assert calibration_error(()) is None


@pytest.mark.parametrize(
    ("written", "read"),
    [("0.75", 0.75), ("1", 1.0), ('"0.75"', None), ("true", None), ("1.5", None), ("NaN", None)],
)
def test_a_probability_that_is_none_is_not_guessed(written: str, read: float | None) -> None:
    line = f'{{"path": "a/1", "label": "a", "predicted": "a", "probability": {written}}}'
    assert read_answers(line)["a/1"].probability == read
