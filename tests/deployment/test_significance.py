"""The significance gate: exact, and no more false promotions than alpha."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from deployment.gates.significance import (
    Mode,
    Paired,
    Question,
    better_p,
    bootstrap_interval,
    judge,
    not_worse_p,
    pair,
)
from experiments.errors import SpecError

TRIALS = 1000


@given(gained=st.integers(0, 300), lost=st.integers(0, 300))
def test_better_is_the_exact_binomial(gained: int, lost: int) -> None:
    mine = better_p(Paired(photos=1000, gained=gained, lost=lost))
    differ = gained + lost
    expected = binomtest(gained, differ, 0.5, alternative="greater").pvalue if differ else 1.0
    assert mine == pytest.approx(expected, rel=1e-9)


def test_many_differences_are_counted_through_logarithms() -> None:
    mine = better_p(Paired(photos=100_000, gained=1100, lost=1000))
    assert mine == pytest.approx(binomtest(1100, 2100, 0.5, alternative="greater").pvalue, rel=1e-6)


def test_not_worse_without_any_difference_needs_59_photos_for_5_points() -> None:
    """(1 - 0.05)^58 > 0.05 >= (1 - 0.05)^59: the score agrees with the exact figure to a few photos."""
    passing = [
        n for n in range(1, 100) if not_worse_p(Paired(photos=n, gained=0, lost=0), 0.05) <= 0.05
    ]
    assert passing[0] in range(50, 62) and passing == list(range(passing[0], 100))


@given(lost=st.integers(0, 40), gained=st.integers(0, 40), n=st.integers(80, 400))
def test_losing_one_photo_more_is_never_better_evidence(lost: int, gained: int, n: int) -> None:
    one = Paired(photos=n, gained=gained, lost=lost)
    worse = Paired(photos=n, gained=gained, lost=lost + 1)
    assert better_p(worse) >= better_p(one)
    assert not_worse_p(worse, 0.05) >= not_worse_p(one, 0.05)


def trials(
    photos: int, gain: float, lose: float, question: Question, seed: int, count: int = TRIALS
) -> float:
    """The share of trials promoted where a photo is gained and lost with these probabilities."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(photos, [gain, lose, 1 - gain - lose], size=count)
    promoted = 0
    for gained, lost, _ in drawn.tolist():
        paired = Paired(photos=photos, gained=gained, lost=lost)
        p = (
            better_p(paired)
            if question.mode is Mode.BETTER
            else not_worse_p(paired, question.margin)
        )
        promoted += p <= question.alpha
    return promoted / count


@pytest.mark.parametrize("photos", [60, 200, 1000])
@pytest.mark.parametrize("differ", [0.02, 0.1, 0.4])
def test_a_thousand_trials_of_a_model_against_its_equal(photos: int, differ: float) -> None:
    question = Question(mode=Mode.BETTER)
    assert trials(photos, differ / 2, differ / 2, question, seed=photos) <= question.alpha


@pytest.mark.parametrize("photos", [60, 200, 1000])
@pytest.mark.parametrize("gain", [0.0, 0.02, 0.1])
def test_a_thousand_trials_of_a_model_worse_by_the_margin(photos: int, gain: float) -> None:
    """At the border itself the score test keeps to alpha within the noise of a thousand trials."""
    question = Question(margin=0.05)
    noise = 2.33 * (0.05 * 0.95 / TRIALS) ** 0.5
    assert trials(photos, gain, gain + 0.05, question, seed=photos) <= question.alpha + noise


def test_a_better_model_is_found() -> None:
    assert trials(400, 0.08, 0.02, Question(mode=Mode.BETTER), seed=1) > 0.9
    assert trials(400, 0.03, 0.03, Question(), seed=1) > 0.9


def test_photos_are_paired_by_name_and_label() -> None:
    new = {"a": True, "b": True, "c": False, "only here": True}
    live = {"a": True, "b": False, "c": True}
    assert pair(new, live) == Paired(photos=3, gained=1, lost=1)


def test_the_interval_holds_the_difference_and_is_the_same_again() -> None:
    paired = Paired(photos=200, gained=30, lost=10)
    low, high = bootstrap_interval(paired, level=0.95, seed=0)
    assert low < paired.difference == 0.1 < high and high - low < 0.15
    assert (low, high) == bootstrap_interval(paired, level=0.95, seed=0)
    assert bootstrap_interval(Paired(photos=0, gained=0, lost=0), level=0.95, seed=0) == (-1, 1)


def test_no_photos_prove_nothing() -> None:
    nothing = Paired(photos=0, gained=0, lost=0)
    assert not_worse_p(nothing, 0.05) == better_p(nothing) == 1.0


def test_the_verdict_is_p_against_alpha() -> None:
    verdict = judge(Paired(photos=200, gained=20, lost=5), Question(mode=Mode.BETTER))
    assert verdict.passed and verdict.p < 0.01 and verdict.low > 0
    with pytest.raises(SpecError, match="alpha"):
        Question(alpha=0.7)
