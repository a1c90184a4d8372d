"""Whether a run's probabilities mean what they say, from its single photos. Pure.

The bins and the error are those of the training program (Guo et al. 2017), so that the figure reckoned
here is the run's own `test/ece`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from experiments.intervals import Answer

BINS = 15


@dataclass(frozen=True, kw_only=True)
class Bin:
    """The photos whose probability lies in one bin: its mean, and the share of them that is right."""

    probability: float
    right: float
    photos: int


def reliability(answers: Iterable[Answer], bins: int = BINS) -> tuple[Bin, ...]:
    """The bins of equal width that hold photos, the least sure first; answers without a probability
    are left out."""
    held: dict[int, list[tuple[float, bool]]] = {}
    for one in answers:
        if one.probability is not None:
            place = min(int(one.probability * bins), bins - 1)
            held.setdefault(place, []).append((one.probability, one.right))
    return tuple(
        Bin(
            probability=sum(probability for probability, _ in photos) / len(photos),
            right=sum(right for _, right in photos) / len(photos),
            photos=len(photos),
        )
        for _, photos in sorted(held.items())
    )


def calibration_error(bins: Sequence[Bin]) -> float | None:
    """How far probability and truth are apart, averaged over photos (ECE, 0 to 1); None without photos."""
    photos = sum(one.photos for one in bins)
    if not photos:
        return None
    return sum(abs(one.right - one.probability) * one.photos for one in bins) / photos
