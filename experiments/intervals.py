"""How sure a figure from a test split is: intervals from its single photos. Pure; chance is a seed.

Shares have Wilson's score interval (Wilson 1927, JASA 22); figures without a formula, as macro F1, and the
difference of two runs on the same photos, a percentile bootstrap over photos (Efron 1979); whether two
runs differ at all, McNemar's exact test (McNemar 1947), two-sided.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LEVEL = 0.95
_Z = 1.959963984540054
_DRAWS = 10_000
_TABLES = 2000  # of classes by classes: with 120 classes 10,000 would not fit into memory
_MAX_PREDICTIONS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The truth lies between `low` and `high` in LEVEL of the cases."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One test photo: what it is, what the exported model said, and how probable it held that (0 to 1).

    `probability` is None where the file does not say.
    """

    label: str
    predicted: str
    probability: float | None = None

    @property
    def right(self) -> bool:
        return self.label == self.predicted


def read_answers(text: str) -> dict[str, Answer]:
    """The answers by photo from a run's predictions file: one JSON object a line.

    A damaged line is left out: half a file says less, not something wrong.
    """
    found: dict[str, Answer] = {}
    for line in text.splitlines()[:_MAX_PREDICTIONS]:
        try:
            row = json.loads(line)
            found[str(row["path"])] = Answer(
                label=str(row["label"]),
                predicted=str(row["predicted"]),
                probability=_share(row.get("probability")),
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return found


def _share(value: object) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    return float(value) if known else None  # type: ignore[arg-type]


def wilson(right: int, photos: int) -> Interval:
    """The interval of a share: `right` of `photos`."""
    if photos <= 0:
        return Interval(low=0.0, high=1.0)
    share, z2 = right / photos, _Z * _Z
    middle = (share + z2 / (2 * photos)) / (1 + z2 / photos)
    spread = share * (1 - share) / photos + z2 / (4 * photos**2)
    half = _Z * math.sqrt(spread) / (1 + z2 / photos)
    return Interval(low=max(0.0, middle - half), high=min(1.0, middle + half))


def top1_interval(answers: Mapping[str, Answer]) -> Interval | None:
    """Wilson's interval of the share of right answers; None without answers."""
    if not answers:
        return None
    return wilson(sum(a.right for a in answers.values()), len(answers))


def macro_f1_interval(answers: Mapping[str, Answer], *, seed: int = 0) -> Interval | None:
    """The bootstrap interval of macro F1 over the classes that occur; None without answers."""
    import numpy as np

    if not answers:
        return None
    words = sorted({w for a in answers.values() for w in (a.label, a.predicted)})
    place = {word: at for at, word in enumerate(words)}
    pairs = [place[a.label] * len(words) + place[a.predicted] for a in answers.values()]
    counts = np.bincount(pairs, minlength=len(words) ** 2)
    chance = np.random.default_rng(seed)
    drawn = chance.multinomial(len(pairs), counts / len(pairs), size=_TABLES)
    tables = drawn.reshape(_TABLES, len(words), len(words))
    hits = np.diagonal(tables, axis1=1, axis2=2)
    occurs, predicted = tables.sum(axis=2), tables.sum(axis=1)
    scores = 2 * hits / np.maximum(occurs + predicted, 1)
    kept = np.where(occurs > 0, scores, 0).sum(axis=1) / np.maximum((occurs > 0).sum(axis=1), 1)
    return _middle(kept.tolist())


def _middle(values: Sequence[float], level: float = LEVEL) -> Interval:
    import numpy as np

    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(low=float(low), high=float(high))


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """Second minus first in top-1 over the photos both were tested on.

    `p` is the probability of at least such a difference if the two were equally good.
    """

    photos: int
    only_first: int
    only_second: int
    difference: float
    interval: Interval
    p: float


def paired(
    first: Mapping[str, Answer], second: Mapping[str, Answer], *, seed: int = 0
) -> PairedDifference | None:
    """Two runs on the same photos; None if they share none with the same label."""
    both = [key for key in first if key in second and first[key].label == second[key].label]
    if not both:
        return None
    only_first = sum(first[key].right and not second[key].right for key in both)
    only_second = sum(second[key].right and not first[key].right for key in both)
    count = len(both)
    return PairedDifference(
        photos=count,
        only_first=only_first,
        only_second=only_second,
        difference=(only_second - only_first) / count,
        interval=difference_interval(only_second, only_first, count, seed=seed),
        p=_mcnemar(only_first, only_second),
    )


def difference_interval(
    gained: int, lost: int, photos: int, *, level: float = LEVEL, seed: int = 0
) -> Interval:
    """The bootstrap interval of a difference of two shares over the same `photos`: in `gained` of them
    only the new is right, in `lost` only the old. One `seed` gives one answer."""
    import numpy as np

    if photos <= 0:
        return Interval(low=-1.0, high=1.0)
    shares = np.array([gained, lost, photos - gained - lost]) / photos
    drawn = np.random.default_rng(seed).multinomial(photos, shares, size=_DRAWS)
    return _middle(((drawn[:, 0] - drawn[:, 1]) / photos).tolist(), level)


def _mcnemar(one: int, two: int) -> float:
    """Exact and two-sided: how likely a split at least as uneven is, if each way were as likely."""
    differ = one + two
    logs = [
        math.lgamma(differ + 1)
        - math.lgamma(k + 1)
        - math.lgamma(differ - k + 1)
        - differ * math.log(2)
        for k in range(max(one, two), differ + 1)
    ]
    return min(1.0, 2 * math.fsum(math.exp(value) for value in logs))
