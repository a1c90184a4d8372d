"""The two comparisons: what chance alone does, and what a real shift does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployment.drift.answers import Seen
from deployment.drift.statistics import REST, Comparison, Verdict, class_mix, confidence

BREEDS = [f"breed {n}" for n in range(20)]


def sample(seed: int, size: int, *, weights: list[float] | None = None, a: float = 8) -> list[Seen]:
    chance = np.random.default_rng(seed)
    labels = chance.choice(BREEDS, size, p=weights)
    sure = chance.beta(a, 2, size)
    return [Seen(label=str(n), confidence=float(c)) for n, c in zip(labels, sure, strict=True)]


def test_the_same_sample_twice_is_no_drift() -> None:
    one = sample(1, 300)
    for found in (class_mix(one, one, alpha=0.01), confidence(one, one, alpha=0.01)):
        assert found.psi == 0 and found.p_value == 1 and found.verdict is Verdict.STABLE


def test_the_index_by_hand() -> None:
    reference = [Seen(label=n, confidence=0.5) for n in ["a"] * 60 + ["b"] * 40]
    live = [Seen(label=n, confidence=0.5) for n in ["a"] * 40 + ["b"] * 60]
    found = class_mix(reference, live, alpha=0.01)
    a, b = 60.5 / 101, 40.5 / 101
    assert found.psi == pytest.approx(2 * (b - a) * math.log(b / a))
    # Pearson: 4 cells, each 10 off an expected 50
    assert found.p_value == pytest.approx(math.erfc(math.sqrt(8 / 2)), rel=1e-6)
    assert found.psi_noise == pytest.approx(1 / 100 + 1 / 100)
    assert [s.live for s in found.shares] == [0.4, 0.6]


def test_where_nothing_changed_it_cries_wolf_no_more_often_than_it_says() -> None:
    alpha, trials = 0.05, 400
    alarms = {"classes": 0, "confidence": 0}
    for seed in range(trials):
        reference, live = sample(2 * seed, 270), sample(2 * seed + 1, 400)
        for found in (
            class_mix(reference, live, alpha=alpha),
            confidence(reference, live, alpha=alpha),
        ):
            alarms[found.what] += found.p_value < alpha
    spread = 3 * math.sqrt(alpha * (1 - alpha) / trials)
    assert all(count / trials <= alpha + spread for count in alarms.values())


def test_one_breed_that_takes_over_is_found() -> None:
    weights = [0.3] + [0.7 / 19] * 19
    found = class_mix(sample(1, 270), sample(2, 500, weights=weights), alpha=0.005)
    assert found.verdict is Verdict.DRIFTED
    assert max(found.shares, key=lambda s: s.live - s.reference).name == "breed 0"


def test_a_model_that_grows_unsure_is_found() -> None:
    found = confidence(sample(1, 270), sample(2, 500, a=4), alpha=0.005)
    assert found.verdict is Verdict.DRIFTED


def test_too_few_answers_are_no_verdict() -> None:
    found = class_mix(sample(1, 270), sample(2, 99, weights=[1.0] + [0.0] * 19), alpha=0.01)
    assert found.verdict is Verdict.TOO_FEW


def test_rare_classes_are_taken_together() -> None:
    weights = [0.9] + [0.1 / 19] * 19
    found = class_mix(sample(1, 200, weights=weights), sample(2, 200, weights=weights), alpha=0.01)
    assert [s.name for s in found.shares] == ["breed 0", REST]


@settings(max_examples=60, deadline=None)
@given(
    reference=st.lists(
        st.tuples(st.sampled_from("abcd"), st.floats(0, 1)), min_size=1, max_size=60
    ),
    live=st.lists(st.tuples(st.sampled_from("cdef"), st.floats(0, 1)), min_size=1, max_size=60),
)
def test_any_two_samples_compare(
    reference: list[tuple[str, float]], live: list[tuple[str, float]]
) -> None:
    before, now = ([Seen(label=n, confidence=c) for n, c in s] for s in (reference, live))
    for found in (class_mix(before, now, alpha=0.01), confidence(before, now, alpha=0.01)):
        _check(found)


def _check(found: Comparison) -> None:
    assert math.isfinite(found.psi) and found.psi >= 0 and 0 <= found.p_value <= 1
    assert sum(s.reference for s in found.shares) == pytest.approx(1)
    assert sum(s.live for s in found.shares) == pytest.approx(1)
