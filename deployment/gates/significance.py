"""Is a new model better than the live one, or at least not worse? Paired over the same photos. Pure.

Only photos on which the two differ say anything: `gained` are right now and were wrong, `lost` are
wrong now and were right.

*Better* is McNemar's exact test (McNemar 1947, Psychometrika 12): if the models were equally good,
each difference would go either way with probability 1/2, so `gained` is binomial.
*Not worse* is the exact unconditional test of `noninferiority`: the hypothesis to be refuted is that
the new model is worse by `margin` or more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from experiments.errors import SpecError
from experiments.intervals import difference_interval

MOST_PHOTOS = 10_000
"""Up to here *not worse* is exact, in at most a few seconds. Above it is the score's own tail of the
normal distribution, which there is too small by no more than 0.001."""


class Mode(StrEnum):
    """What the new model has to be shown to be."""

    NOT_WORSE = "not-worse"
    BETTER = "better"
    OFF = "off"


@dataclass(frozen=True, kw_only=True)
class Question:
    """`alpha` is the largest share of false promotions; `margin` a share of the photos."""

    mode: Mode = Mode.NOT_WORSE
    alpha: float = 0.05
    margin: float = 0.05

    def __post_init__(self) -> None:
        for name in ("alpha", "margin"):
            if not 0 < getattr(self, name) < 0.5:
                raise SpecError(f"{name} {getattr(self, name)} is no share", fix="use 0.05")


@dataclass(frozen=True, kw_only=True)
class Paired:
    """How two models did on the same photos."""

    photos: int
    gained: int
    lost: int

    @property
    def difference(self) -> float:
        """The new model's share of right answers minus the live one's."""
        return (self.gained - self.lost) / self.photos


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`p` is the probability of such evidence if the hypothesis to be refuted were true."""

    passed: bool
    p: float
    low: float
    high: float


def pair(new: Mapping[str, bool], live: Mapping[str, bool]) -> Paired:
    """Compare by photo: each mapping says whether the model was right on it."""
    both = new.keys() & live.keys()
    return Paired(
        photos=len(both),
        gained=sum(new[photo] and not live[photo] for photo in both),
        lost=sum(live[photo] and not new[photo] for photo in both),
    )


def judge(paired: Paired, question: Question, *, seed: int = 0) -> Verdict:
    """Ask `question` of the pairs. `low` and `high` bound the difference by bootstrap, 1 - alpha."""
    is_better = question.mode is Mode.BETTER
    p = better_p(paired) if is_better else not_worse_p(paired, question.margin)
    between = difference_interval(
        paired.gained, paired.lost, paired.photos, level=1 - question.alpha, seed=seed
    )
    return Verdict(passed=p <= question.alpha, p=p, low=between.low, high=between.high)


def better_p(paired: Paired) -> float:
    """P(this many gained or more | equally good), exactly: one-sided McNemar."""
    differ = paired.gained + paired.lost
    ways = sum(math.comb(differ, k) for k in range(paired.gained, differ + 1))
    return float(ways / 2**differ) if differ <= 1000 else _large_p(paired)


def _large_p(paired: Paired) -> float:
    """The same for more differences than whole numbers divide quickly, through logarithms."""
    differ = paired.gained + paired.lost
    total = math.lgamma(differ + 1) - differ * math.log(2)
    terms = (
        math.exp(total - math.lgamma(k + 1) - math.lgamma(differ - k + 1))
        for k in range(paired.gained, differ + 1)
    )
    return min(1.0, math.fsum(terms))


def not_worse_p(paired: Paired, margin: float) -> float:
    """P(evidence as good as this | worse by `margin`), at the differing share where it is largest."""
    from deployment.gates.noninferiority import asymptotic_p, exact_p

    if paired.photos == 0:
        return 1.0
    p = exact_p if paired.photos <= MOST_PHOTOS else asymptotic_p
    return p(paired.photos, paired.gained, paired.lost, margin)
