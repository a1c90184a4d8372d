"""Whether probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from training.measure.basics import Floats, Labels, log_loss

_ECE_BINS: Final = 15
_TEMPERATURES: Final = (0.2, 5.0)
_GOLDEN: Final = (5**0.5 - 1) / 2


@dataclass(frozen=True, kw_only=True)
class Bin:
    """The photos whose top probability is within one bin: their mean of it, and how many are right."""

    confidence: float
    accuracy: float
    photos: int


def reliability(shares: Floats, labels: Labels, bins: int = _ECE_BINS) -> list[Bin]:
    """The bins of equal width that hold photos, from the least confident."""
    confidence = shares.max(axis=1)
    right = shares.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    return [
        Bin(
            confidence=float(confidence[place == b].mean()),
            accuracy=float(right[place == b].mean()),
            photos=int((place == b).sum()),
        )
        for b in np.unique(place)
    ]


def calibration_error(shares: Floats, labels: Labels, bins: int = _ECE_BINS) -> float:
    """Expected calibration error over equal-width bins of the top probability (Guo et al. 2017)."""
    rows = reliability(shares, labels, bins)
    return float(sum(abs(r.accuracy - r.confidence) * r.photos for r in rows) / len(labels))


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """The temperature in 0.2 to 5 with the least log loss, by golden-section search.

    The loss is convex in 1 / temperature, so there is one minimum.
    """
    return _fit(logits, labels, rounds=40)


def calibrated_loss(logits: Floats, labels: Labels) -> float:
    """The log loss with the temperature that suits these logits best, to about a thousandth of it."""
    return log_loss(logits, labels, _fit(logits, labels, rounds=12))


def _fit(logits: Floats, labels: Labels, *, rounds: int) -> float:
    """Each round needs one new loss: of two points inside, the golden section keeps one."""
    loss = _loss_by_sharpness(logits, labels)
    low, high = (1 / t for t in reversed(_TEMPERATURES))
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(rounds):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = loss(right)
    return 2 / (low + high)


def _loss_by_sharpness(logits: Floats, labels: Labels) -> Callable[[float], float]:
    """The log loss as a function of 1 / temperature; what does not depend on it is reckoned once."""
    below = logits.astype(np.float64)
    below -= below.max(axis=1, keepdims=True)
    of_label = below[np.arange(len(labels)), labels].mean()

    def loss(sharpness: float) -> float:
        return float(np.log(np.exp(below * sharpness).sum(axis=1)).mean() - sharpness * of_label)

    return loss
