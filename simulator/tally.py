"""What is counted while time passes, and percentiles of many times without keeping them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from simulator.service import Times

_LEAST_S = 1e-4
_STEP = np.log(1.005)
_BINS = 3400
PERCENTILE_ERROR = 0.0025
"""Relative: a bin is 0.5% wide, and its middle is told."""


@dataclass(kw_only=True, slots=True)
class Counts:
    """Of a stretch of time. `latencies_s` of those answered; busy and paid times in seconds."""

    arrivals: int = 0
    refused_front: int = 0
    refused_endpoint: int = 0
    timed_out: int = 0
    cold_starts: int = 0
    spilled: int = 0
    invocations: int = 0
    waited: int = 0
    in_flight_peak: int = 0
    queue_peak: int = 0
    busy_s: float = 0.0
    warm_billed_ms: float = 0.0
    on_demand_billed_ms: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    latency_parts: list[Times] = field(default_factory=list)

    @property
    def answered(self) -> int:
        """Visitors who got their answer."""
        return len(self.latencies_s) + sum(part.size for part in self.latency_parts)

    def latencies(self) -> Times:
        """All of them, in no order."""
        return np.concatenate([*self.latency_parts, np.asarray(self.latencies_s, dtype=float)])


class Histogram:
    """Counts of times in bins of half a percent."""

    def __init__(self) -> None:
        self.counts = np.zeros(_BINS, dtype=np.int64)
        self.total_s = 0.0

    def add(self, times: Times) -> None:
        """Count more times, in seconds."""
        bins = (np.log(np.maximum(times, _LEAST_S) / _LEAST_S) / _STEP).astype(np.int64)
        self.counts += np.bincount(np.minimum(bins, _BINS - 1), minlength=_BINS)
        self.total_s += float(times.sum())

    def percentile_ms(self, percent: float) -> float | None:
        """Within PERCENTILE_ERROR of the exact one; None without any times."""
        total = int(self.counts.sum())
        if not total:
            return None
        rank = max(1, int(np.ceil(percent / 100 * total)))
        place = int(np.searchsorted(self.counts.cumsum(), rank))
        return float(_LEAST_S * np.exp((place + 0.5) * _STEP) * 1000)


def exact_percentiles_ms(times: Times, percents: Sequence[float]) -> list[float | None]:
    """The smallest time that so many percent do not exceed."""
    if not times.size:
        return [None] * len(percents)
    ranks = [max(0, int(np.ceil(percent / 100 * times.size)) - 1) for percent in percents]
    parted = np.partition(times, ranks)
    return [float(parted[rank] * 1000) for rank in ranks]
