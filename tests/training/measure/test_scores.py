"""Scores, against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from training.measure.basics import Floats, log_loss, probabilities, top_k
from training.measure.calibration import calibration_error, fit_temperature
from training.measure.confusion import class_f1, class_rows, confusion_matrix
from training.measure.scores import prediction_rows, score

LOGITS = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]]))
LABELS = np.array([0, 2, 1, 2])


def test_probabilities_and_loss() -> None:
    np.testing.assert_allclose(probabilities(LOGITS)[0], [0.7, 0.2, 0.1])
    expected = -np.log([0.7, 0.3, 0.3, 0.6]).mean()
    assert log_loss(LOGITS, LABELS) == pytest.approx(expected)


@given(hnp.arrays(np.float32, (5, 4), elements=st.floats(-1e4, 1e4, width=32)), st.floats(0.2, 5))
def test_probabilities_are_shares_of_one_for_any_logits(logits: Floats, t: float) -> None:
    shares = probabilities(logits, t)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-9)
    assert np.isfinite(log_loss(logits, np.zeros(5, np.int64), t))


def test_top_k() -> None:
    assert top_k(LOGITS, LABELS, 1) == 0.5
    assert top_k(LOGITS, LABELS, 2) == 1.0
    assert top_k(LOGITS, LABELS, 5) == 1.0


def test_confusion_and_f1() -> None:
    counts = confusion_matrix(np.array([0, 1, 0, 2]), LABELS, 4)
    assert counts[0, 0] == counts[2, 1] == counts[1, 0] == counts[2, 2] == 1 and counts.sum() == 4
    np.testing.assert_allclose(class_f1(counts)[:3], [2 / 3, 0, 2 / 3])
    assert np.isnan(class_f1(counts)[3])


def test_score_brings_it_together() -> None:
    found = score(LOGITS, LABELS, temperature=1.0)
    assert (found.top1, found.top5) == (0.5, 1.0)
    assert found.macro_f1 == pytest.approx((2 / 3 + 0 + 2 / 3) / 3)
    assert found.ece == pytest.approx(calibration_error(probabilities(LOGITS), LABELS))


def test_calibration_error_of_a_perfect_and_of_a_boasting_model() -> None:
    shares = np.tile([0.8, 0.2], (10, 1))
    honest = np.array([0] * 8 + [1] * 2)
    assert calibration_error(shares, honest) == pytest.approx(0)
    assert calibration_error(shares, np.ones(10, np.int64)) == pytest.approx(0.8)
    assert calibration_error(np.array([[1.0, 0.0]]), np.array([0])) == 0


def test_temperature_undoes_a_known_overconfidence() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, (4000, 5))
    labels = np.array([rng.choice(5, p=row) for row in probabilities(true)])
    assert fit_temperature(true * 3, labels) == pytest.approx(3, rel=0.1)
    assert fit_temperature(true / 2, labels) == pytest.approx(0.5, rel=0.1)


def test_temperature_stays_in_its_bounds_when_every_answer_is_right() -> None:
    sure = np.eye(3) * 4
    assert fit_temperature(sure, np.arange(3)) == pytest.approx(0.2, rel=0.01)
    assert fit_temperature(-sure, np.arange(3)) == pytest.approx(5, rel=0.01)


def test_rows_for_people() -> None:
    names = ("a", "b", "c")
    rows = prediction_rows(["x.jpg"], LABELS[:1], LOGITS[:1], classes=names, temperature=1.0)
    assert rows[0] == {
        "path": "x.jpg",
        "label": "a",
        "predicted": "a",
        "probability": pytest.approx(0.7),
    }
    counts = confusion_matrix(np.array([0, 1, 0]), np.array([0, 1, 1]), 3)
    report = class_rows(counts, names)
    assert report[1] == {
        "class": "b",
        "photos": 2,
        "right": 1,
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
    }
    assert report[2]["precision"] is report[2]["f1"] is None
