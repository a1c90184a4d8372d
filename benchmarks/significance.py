"""How often the significance gate lets a model through: reckoned power curves, and A/A trials.

    python -m benchmarks.significance            # Markdown, under a minute

`tests/deployment/test_significance.py` holds the false promotions; docs/promotion.md shows the tables.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy.stats import binom

from deployment.gates.noninferiority import chance, largest, region
from deployment.gates.significance import Mode, Paired, Question, better_p

TRIALS = 1000
SEEDS = range(10)
PHOTOS = (60, 120, 300, 1000)
SHIFTS = (0.0, 0.02, 0.05, 0.1)
DIFFER = 0.05
"""The share of photos on which two equal models differ, half each way; a shift comes on top."""
DIFFERING = np.linspace(0.05, 1.0, 2000)
_NORMAL_95 = 1.6448536269514722


def promoted(photos: int, gain: float, lose: float, question: Question, seed: int) -> float:
    """The share of 1,000 trials that pass, where a photo is gained and lost with these probabilities."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(photos, [gain, lose, 1 - gain - lose], size=TRIALS)[:, :2]
    if question.mode is Mode.BETTER:
        tables = [Paired(photos=photos, gained=int(g), lost=int(lost)) for g, lost in drawn]
        return sum(better_p(table) <= question.alpha for table in tables) / TRIALS
    least = region(photos, least_score(photos, question), question.margin)
    return float((drawn[:, 0] >= least[drawn[:, 1]]).mean())


@lru_cache
def least_score(photos: int, question: Question) -> float:
    """The score from which tables pass the exact test, to four places."""
    low, high = 1.0, 4.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        p = largest(photos, region(photos, middle, question.margin), question.margin)
        low, high = (low, middle) if p <= question.alpha else (middle, high)
    return high


def false_promotions(photos: int, least: float, question: Question) -> float:
    """Of models worse by exactly the margin, the largest share that passes, reckoned and not drawn."""
    passing = region(photos, least, question.margin)
    return float(chance(photos, passing, DIFFERING, question.margin).max())


def better_power(photos: int, shift: float) -> float:
    """The share that passes *better* where the new model is right on `shift` more of the photos."""
    differ = np.arange(photos + 1)
    least = binom.isf(Question().alpha, differ, 0.5) + 1  # the first that alpha or fewer reach
    of_these = (DIFFER / 2 + shift) / (DIFFER + shift)
    weight = binom.pmf(differ, photos, DIFFER + shift)
    return float((weight * binom.sf(least - 1, differ, of_these)).sum())


def not_worse_power(photos: int, shift: float) -> float:
    """The share that passes *not worse* by 5 points where the new model is worse by `shift`."""
    passing = region(photos, least_score(photos, Question()), Question().margin)
    return float(chance(photos, passing, np.array([DIFFER + shift]), shift)[0])


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _power(word: str, power: Callable[[int, float], float]) -> str:
    head = ["photos", *(f"{word} by {100 * s:.0f} points" for s in SHIFTS)]
    rows = [[str(n), *(f"{100 * power(n, s):.1f}%" for s in SHIFTS)] for n in PHOTOS]
    return _table(head, rows)


def _trials() -> str:
    """How many pass of ten times 1,000, of equal models and of models worse by the margin."""
    rows, half = [], DIFFER / 2
    for photos in PHOTOS:
        better, worse = Question(mode=Mode.BETTER), Question()
        equal = [promoted(photos, half, half, better, seed) for seed in SEEDS]
        border = [promoted(photos, half, half + worse.margin, worse, seed) for seed in SEEDS]
        rows.append([str(photos), _spread(equal), _spread(border)])
    return _table(["photos", "equal, asked for *better*", "worse by 5 points, *not worse*"], rows)


def _spread(shares: list[float]) -> str:
    low, high = min(shares), max(shares)
    return f"{100 * sum(shares) / len(shares):.2f}% ({100 * low:.1f} to {100 * high:.1f})"


def _worst() -> str:
    rows = []
    for photos in PHOTOS:
        exact = false_promotions(photos, least_score(photos, Question()), Question())
        usual = false_promotions(photos, _NORMAL_95, Question())
        rows.append([str(photos), f"{100 * exact:.2f}%", f"{100 * usual:.2f}%"])
    return _table(["photos", "exact test", "score against the normal distribution"], rows)


def main() -> None:
    """Print the tables."""
    print("better than the live model (McNemar exact, alpha 0.05), reckoned\n")
    print(_power("better", better_power))
    print("\nnot worse by 5 points (exact unconditional test, alpha 0.05), reckoned\n")
    print(_power("worse", not_worse_power))
    print("\nfalse promotions of ten times 1,000 trials: all (least and most of a thousand)\n")
    print(_trials())
    print(
        "\nworse by exactly 5 points: most that pass, over all shares on which models may differ\n"
    )
    print(_worst())


if __name__ == "__main__":
    main()
