"""The significance gate: exact, and no more false promotions than alpha."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.stats import binomtest, multinomial

from benchmarks.significance import TRIALS, false_promotions, least_score, promoted
from deployment.gates.noninferiority import asymptotic_p, chance, exact_p, region, score
from deployment.gates.significance import (
    Mode,
    Paired,
    Question,
    better_p,
    judge,
    not_worse_p,
    pair,
)
from experiments.errors import SpecError


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
    """The likeliest way to that is to gain none: (1 - 0.05)^58 > 0.05 >= (1 - 0.05)^59."""
    passing = [
        n for n in range(40, 100) if not_worse_p(Paired(photos=n, gained=0, lost=0), 0.05) <= 0.05
    ]
    assert passing == list(range(59, 100))
    p = not_worse_p(Paired(photos=59, gained=0, lost=0), 0.05)
    assert p == pytest.approx(0.95**59, rel=1e-9)


@pytest.mark.parametrize("margin", [0.05, 0.2])
@pytest.mark.parametrize("photos", [2, 7, 25])
def test_not_worse_is_the_largest_tail_of_all_tables_at_least_as_good(
    photos: int, margin: float
) -> None:
    """Every table counted out, at 2,001 differing shares, and worse models than the border too."""
    tables = [(g, lost) for lost in range(photos + 1) for g in range(photos + 1 - lost)]
    counts = np.array([(g, lost, photos - g - lost) for g, lost in tables])
    scores = score(photos, counts[:, 0], counts[:, 1], margin)
    for gained, lost in tables[:: max(1, len(tables) // 12)]:
        good = scores >= score(photos, gained, lost, margin) - 1e-9
        p = exact_p(photos, gained, lost, margin)
        tails = []
        for off in (margin, margin + 0.03, margin + 0.1):
            differing = np.linspace(off, 1, 2001)[:, np.newaxis]
            shares = np.hstack([(differing - off) / 2, (differing + off) / 2, 1 - differing])
            chances = multinomial.pmf(counts[good], photos, shares[:, np.newaxis, :].clip(0, 1))
            tails.append(chances.reshape(len(shares), -1).sum(axis=1).max())
        assert max(tails) <= p + 1e-8
        assert p == pytest.approx(tails[0], abs=2e-5)


@given(lost=st.integers(0, 30), gained=st.integers(0, 30), n=st.integers(60, 400))
def test_the_region_is_one_in_which_more_gained_or_fewer_lost_stays(
    lost: int, gained: int, n: int
) -> None:
    """What makes the border the worst case of the hypothesis."""
    least = region(n, float(score(n, gained, lost, 0.05)), 0.05)
    assert least[lost] <= gained
    there = least <= n - np.arange(n + 1)
    assert there[: there.sum()].all(), "fewer lost stay in the region"
    assert (np.diff(least[there]) >= 0).all()


def test_a_finer_grid_finds_no_larger_tail() -> None:
    for n, gained, lost in ((300, 8, 14), (1000, 25, 55), (3000, 75, 190)):
        least = region(n, float(score(n, gained, lost, 0.05)), 0.05)
        finer = chance(n, least, np.linspace(0.05, 1, 4000), 0.05).max()
        p = exact_p(n, gained, lost, 0.05)
        assert finer <= p + 1e-6
        assert p < 1.2 * asymptotic_p(n, gained, lost, 0.05)


def test_above_ten_thousand_photos_the_normal_tail_is_near_enough() -> None:
    exact = exact_p(10_000, 500, 916, 0.05)
    assert 0 < exact - asymptotic_p(10_000, 500, 916, 0.05) < 0.001
    many = Paired(photos=10_001, gained=500, lost=916)
    assert not_worse_p(many, 0.05) == asymptotic_p(10_001, 500, 916, 0.05)


@hypothesis_settings(max_examples=40, deadline=None)
@given(lost=st.integers(0, 20), gained=st.integers(0, 20), n=st.integers(50, 150))
def test_losing_one_photo_more_is_never_better_evidence(lost: int, gained: int, n: int) -> None:
    one = Paired(photos=n, gained=gained, lost=lost)
    worse = Paired(photos=n, gained=gained, lost=lost + 1)
    assert better_p(worse) >= better_p(one)
    assert not_worse_p(worse, 0.05) >= not_worse_p(one, 0.05)


@pytest.mark.parametrize("photos", [60, 200, 1000])
@pytest.mark.parametrize("differ", [0.02, 0.1, 0.4])
def test_a_thousand_trials_of_a_model_against_its_equal(photos: int, differ: float) -> None:
    question = Question(mode=Mode.BETTER)
    assert promoted(photos, differ / 2, differ / 2, question, seed=photos) <= question.alpha


@pytest.mark.parametrize("photos", [60, 200, 1000])
@pytest.mark.parametrize("gain", [0.0, 0.02, 0.1])
def test_a_thousand_trials_of_a_model_worse_by_the_margin(photos: int, gain: float) -> None:
    """At the border itself; a thousand trials scatter by 0.7 points around what is reckoned below."""
    question = Question(margin=0.05)
    noise = 2.33 * (0.05 * 0.95 / TRIALS) ** 0.5
    assert promoted(photos, gain, gain + 0.05, question, seed=photos) <= question.alpha + noise


@pytest.mark.parametrize("photos", [59, 60, 120, 300, 1000])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_of_models_worse_by_the_margin_no_more_than_alpha_pass_however_they_differ(
    photos: int, alpha: float
) -> None:
    question = Question(alpha=alpha)
    share = false_promotions(photos, least_score(photos, question), question)
    assert 0.7 * alpha < share <= alpha
    if (photos, alpha) == (120, 0.05):  # what the score would do without the exact tail
        assert false_promotions(photos, 1.6448536, question) > 0.06


def test_a_better_model_is_found() -> None:
    assert promoted(400, 0.08, 0.02, Question(mode=Mode.BETTER), seed=1) > 0.9
    assert promoted(400, 0.03, 0.03, Question(), seed=1) > 0.9


def test_photos_are_paired_by_name_and_label() -> None:
    new = {"a": True, "b": True, "c": False, "only here": True}
    live = {"a": True, "b": False, "c": True}
    assert pair(new, live) == Paired(photos=3, gained=1, lost=1)


def test_no_photos_prove_nothing() -> None:
    nothing = Paired(photos=0, gained=0, lost=0)
    assert not_worse_p(nothing, 0.05) == better_p(nothing) == 1.0


def test_the_verdict_is_p_against_alpha() -> None:
    verdict = judge(Paired(photos=200, gained=20, lost=5), Question(mode=Mode.BETTER))
    assert verdict.passed and verdict.p < 0.01 and verdict.low > 0
    with pytest.raises(SpecError, match="alpha"):
        Question(alpha=0.7)
