"""How often the significance gate lets a model through: A/A trials and a power curve, as Markdown.

    python -m benchmarks.significance            # 1,000 trials a cell, a few seconds

`tests/deployment/test_significance.py` holds the false promotions; docs/promotion.md shows the table.
"""

from __future__ import annotations

import numpy as np

from deployment.gates.significance import Mode, Paired, Question, better_p, not_worse_p

TRIALS = 1000
PHOTOS = (60, 120, 300, 1000)
BETTER_BY = (0.0, 0.02, 0.05, 0.1)
WORSE_BY = (0.0, 0.02, 0.05, 0.1)
DIFFER = 0.05
"""The least share of photos on which two models differ, half each way."""


def promoted(photos: int, gain: float, lose: float, question: Question, seed: int) -> float:
    """The share of trials that pass, where a photo is gained and lost with these probabilities."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(photos, [gain, lose, 1 - gain - lose], size=TRIALS).tolist()
    passed = 0
    for gained, lost, _ in drawn:
        paired = Paired(photos=photos, gained=gained, lost=lost)
        is_better = question.mode is Mode.BETTER
        p = better_p(paired) if is_better else not_worse_p(paired, question.margin)
        passed += p <= question.alpha
    return passed / TRIALS


def _table(question: Question, shifts: tuple[float, ...], sign: int, word: str) -> str:
    half = DIFFER / 2
    head = f"| photos | {' | '.join(f'{word} by {100 * s:.0f} points' for s in shifts)} |"
    rows = [head, "|" + "---|" * (len(shifts) + 1)]
    for photos in PHOTOS:
        cells = []
        for shift in shifts:
            gain, lose = (half + shift, half) if sign > 0 else (half, half + shift)
            share = promoted(photos, gain, lose, question, seed=photos)
            cells.append(f"{100 * share:.1f}%")
        rows.append(f"| {photos} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    """Print both tables."""
    print("better than the live model (McNemar exact, alpha 0.05)\n")
    print(_table(Question(mode=Mode.BETTER), BETTER_BY, 1, "better"))
    print("\nnot worse than the live model by 5 points (Tango's score, alpha 0.05)\n")
    print(_table(Question(), WORSE_BY, -1, "worse"))


if __name__ == "__main__":
    main()
