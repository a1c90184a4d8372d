"""What is kept of the values of one metric in one minute, and the statistics of it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

EXACT_VALUES = 500
_DIGITS = 3
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{0,10})?|100(?:\.0{0,10})?)")


class Distribution:
    """Values with weights. Sum, count and extremes are exact.

    Percentiles are exact up to 500 different values; beyond, values count with three significant
    digits. A summary that was given without its values (a statistic set) has no percentiles.
    """

    __slots__ = ("count", "high", "is_exact", "low", "total", "values")

    def __init__(self) -> None:
        self.count = 0.0
        self.total = 0.0
        self.low = math.inf
        self.high = -math.inf
        self.is_exact = True
        self.values: dict[float, float] | None = {}

    def add(self, value: float, weight: float = 1.0) -> None:
        """Note `value`, `weight` times."""
        self.count += weight
        self.total += value * weight
        self.low = min(self.low, value)
        self.high = max(self.high, value)
        if self.values is None:
            return
        if self.is_exact and len(self.values) >= EXACT_VALUES and value not in self.values:
            self.values, self.is_exact = _rounded(self.values), False
        if not self.is_exact:
            value = significant(value)
        self.values[value] = self.values.get(value, 0.0) + weight

    def add_summary(self, *, count: float, total: float, low: float, high: float) -> None:
        """Note values of which only their summary is known."""
        if low == high:
            self.add(low, count)
            return
        self.count += count
        self.total += total
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.values = None

    def merge(self, other: Distribution) -> None:
        """Note all that `other` holds."""
        if other.values is not None and self.values is not None:
            for value, weight in other.values.items():
                self.values[value] = self.values.get(value, 0.0) + weight
        else:
            self.values = None
        self.count += other.count
        self.total += other.total
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)

    def percentile(self, share: float) -> float | None:
        """The smallest value that `share` (0 to 100) percent of all do not exceed."""
        if not self.values:
            return None
        wanted, seen = share / 100.0 * self.count, 0.0
        for value in sorted(self.values):
            seen += self.values[value]
            if seen >= wanted * (1 - 1e-12):
                return min(max(value, self.low), self.high)
        return self.high


_PLAIN: dict[str, Callable[[Distribution], float]] = {
    "SampleCount": lambda found: found.count,
    "Sum": lambda found: found.total,
    "Average": lambda found: found.total / found.count,
    "Minimum": lambda found: found.low,
    "Maximum": lambda found: found.high,
}


def is_statistic(name: str) -> bool:
    """Whether `name` is a statistic that `statistic` computes: a plain one or a percentile."""
    return name in _PLAIN or _PERCENTILE.fullmatch(name) is not None


def is_percentile(name: str) -> bool:
    """Whether `name` is an extended statistic that is computed here (`p99`, `p99.9`)."""
    return _PERCENTILE.fullmatch(name) is not None


def statistic(name: str, found: Distribution) -> float | None:
    """The statistic of `found`; None where there are no values, or no percentiles."""
    if not found.count:
        return None
    if name in _PLAIN:
        return _PLAIN[name](found)
    share = _PERCENTILE.fullmatch(name)
    return found.percentile(float(share[1])) if share else None


def significant(value: float) -> float:
    """`value` with three significant digits."""
    if not value or not math.isfinite(value):
        return value
    return round(value, _DIGITS - 1 - math.floor(math.log10(abs(value))))


def _rounded(values: dict[float, float]) -> dict[float, float]:
    found: dict[float, float] = {}
    for value, weight in values.items():
        short = significant(value)
        found[short] = found.get(short, 0.0) + weight
    return found
