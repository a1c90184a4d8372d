"""Not worse by a margin, exactly: an unconditional test for paired shares. Pure.

Of `photos`, each is gained, lost or the same: a trinomial. The hypothesis to be refuted is that the
share lost exceeds the share gained by `margin` or more. Tables are ordered by the score with the
restricted maximum likelihood estimate (Tango 1998, Statistics in Medicine 17), and the p-value is
the largest probability, over every share of photos on which the models may differ, of a table that
is at least as good (Hsueh, Liu & Chen 2001, Biometrics 57; Sidik 2003, Statistics in Medicine 22).
So at most alpha of the models that are worse by the margin pass, however often the two differ.

The largest is on the border, worse by exactly `margin`: to lose a photo less, or to gain one more,
never makes a table worse in this order, so that a model further off passes less often. No interval
for the differing share (Berger & Boos 1994) is taken: it would cost the order its sense (a table
with one photo more lost could count as better evidence), and the supremum costs little power here.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import betainc, gammaln

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Counts = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

_STEP = 0.2
_PEAKS = 3
_ROUNDS = 3
_FINER = 10
_AT_ONCE = 64
_TIE = 1e-9
# Shares of lost photos this many standard deviations off weigh less than 1e-12 together.
_FAR = 7.5


def exact_p(photos: int, gained: int, lost: int, margin: float) -> float:
    """The supremum over the differing share of P(a table at least as good | worse by `margin`)."""
    least = region(photos, float(score(photos, gained, lost, margin)), margin)
    return largest(photos, least, margin)


def asymptotic_p(photos: int, gained: int, lost: int, margin: float) -> float:
    """The score's tail of the normal distribution: right for many photos, too small for few."""
    return 0.5 * math.erfc(float(score(photos, gained, lost, margin)) / math.sqrt(2))


def score(photos: int, gained: Counts | int, lost: Counts | int, margin: float) -> Array:
    """Tango's score: how far the difference is above `-margin`, in its own standard deviations."""
    delta = -margin
    b = -gained - lost + (2 * photos - gained + lost) * delta
    c = -lost * delta * (1 - delta)
    # The likeliest share of lost photos under the hypothesis: the root of 2 n x^2 + b x + c.
    root = np.sqrt(np.maximum(b * b - 8.0 * photos * c, 0.0))
    spread = np.sqrt(photos * ((root - b) / (2 * photos) + delta * (1 - delta)))
    return np.asarray((gained - lost - photos * delta) / spread)


def region(photos: int, reached: float, margin: float) -> Counts:
    """For each number of lost photos the least gained whose score reaches `reached`.

    One more than there are photos where none does. Found by bisection, as the score grows with
    the gained. A tie belongs to the region.
    """
    lost = np.arange(photos + 1)
    left = photos - lost
    low, high = np.zeros_like(lost), left + 1
    while (low < high).any():
        middle = (low + high) // 2
        there = np.minimum(middle, left)
        good = (score(photos, there, lost, margin) >= reached - _TIE) & (middle <= left)
        high = np.where(good, middle, high)
        low = np.where(good, low, np.minimum(middle + 1, high))
    enough: Counts = np.where(low > left, photos + 1, low)
    return enough


def largest(photos: int, least: Counts, margin: float) -> float:
    """The largest probability of a region over the border: a grid, then finer around its peaks.

    The grid runs in the angle in which a step is the same share of the standard deviation all along.
    """
    steps = math.ceil(math.pi * math.sqrt(photos) / _STEP)
    angles = np.linspace(0.0, math.pi / 2, steps + 1)
    found = chance(photos, least, _differing(angles, margin), margin)
    best = float(found.max())
    for peak in np.argsort(found)[-_PEAKS:]:
        low, high = angles[max(peak - 1, 0)], angles[min(peak + 1, steps)]
        for _ in range(_ROUNDS):
            near = np.linspace(low, high, 2 * _FINER + 1)
            values = chance(photos, least, _differing(near, margin), margin)
            top = int(values.argmax())
            best = max(best, float(values[top]))
            low, high = near[max(top - 1, 0)], near[min(top + 1, 2 * _FINER)]
    return min(best, 1.0)


def _differing(angles: Array, margin: float) -> Array:
    """The differing share, from `margin` (nothing is gained) to 1."""
    shares: Array = margin + (1 - margin) * np.sin(angles) ** 2
    return shares


def chance(photos: int, least: Counts, differing: Array, margin: float) -> Array:
    """P(region) where `differing` of the photos differ and `margin` more are lost than gained."""
    parts = [
        _chance(photos, least, differing[at : at + _AT_ONCE, np.newaxis], margin)
        for at in range(0, len(differing), _AT_ONCE)
    ]
    return np.concatenate(parts)


def _chance(photos: int, least: Counts, differing: Array, margin: float) -> Array:
    """Lost is binomial; gained is binomial among the photos that are not lost."""
    gain, lose = (differing - margin) / 2, (differing + margin) / 2
    far = _FAR * np.sqrt(photos * lose * (1 - lose)) + 20
    low = max(0, int((photos * lose - far).min()))
    high = min(photos, int((photos * lose + far).max()))
    lost = np.arange(low, high + 1)
    left, enough = photos - lost, least[low : high + 1]
    ways = gammaln(photos + 1) - gammaln(lost + 1) - gammaln(left + 1)
    weight = np.exp(ways + lost * np.log(lose) + left * np.log1p(-lose))
    share = np.clip(gain / (1 - lose), 0.0, 1.0)
    some = betainc(np.maximum(enough, 1), np.maximum(left - enough + 1, 1), share)
    tail = np.where(enough <= 0, 1.0, np.where(enough > left, 0.0, some))
    total: Array = (weight * tail).sum(axis=1)
    return total
