"""The data points of all metrics, in memory."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from localaws.clock import Timer
from localaws.metrics.distribution import Distribution, statistic

MINUTE_S = 60
BUCKETS_KEPT = 100_000


class Metric(NamedTuple):
    """A metric's identity; `dimensions` are sorted by name."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]


def metric(namespace: str, name: str, dimensions: Mapping[str, str]) -> Metric:
    """The identity of the metric with these dimensions."""
    return Metric(namespace, name, tuple(sorted(dimensions.items())))


class _Series:
    """One metric's buckets: unit -> start (epoch second) -> what was noted from then on."""

    def __init__(self) -> None:
        self.units: dict[str, dict[int, Distribution]] = defaultdict(dict)

    def __len__(self) -> int:
        return sum(map(len, self.units.values()))


class MetricData:
    """Buckets of a minute (of a second where asked) by metric. Safe to use from many threads.

    Beyond 100,000 buckets the oldest half of each metric's is dropped. Times are the clock's.
    """

    def __init__(self, clock: Timer) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._series: dict[Metric, _Series] = defaultdict(_Series)
        self._buckets = 0

    def note(
        self,
        target: Metric,
        value: float,
        unit: str = "None",
        *,
        at: float | None = None,
        weight: float = 1.0,
        resolution_s: int = MINUTE_S,
    ) -> None:
        """`value`, `weight` times, at epoch second `at` (the clock's present, if absent)."""
        with self._lock:
            self._bucket(target, unit, at, resolution_s).add(value, weight)

    def note_summary(
        self,
        target: Metric,
        unit: str,
        *,
        count: float,
        total: float,
        low: float,
        high: float,
        at: float | None,
        resolution_s: int = MINUTE_S,
    ) -> None:
        """A statistic set."""
        with self._lock:
            bucket = self._bucket(target, unit, at, resolution_s)
            bucket.add_summary(count=count, total=total, low=low, high=high)

    def periods(
        self, target: Metric, *, start: float, end: float, period_s: int, unit: str | None = None
    ) -> dict[float, tuple[Distribution, str]]:
        """What was noted from `start` to before `end`, by period start, with its unit.

        Periods begin at multiples of `period_s` after `start` rounded down to the minute (to the
        second for shorter periods).
        """
        origin = int(start // min(period_s, MINUTE_S)) * min(period_s, MINUTE_S)
        found: dict[float, tuple[Distribution, str]] = {}
        with self._lock:
            series = self._series.get(target)
            for name, buckets in series.units.items() if series else ():
                if unit not in (None, name):
                    continue
                for at, bucket in buckets.items():
                    if origin <= at < end:
                        period = origin + (at - origin) // period_s * period_s
                        found.setdefault(period, (Distribution(), name))[0].merge(bucket)
        return dict(sorted(found.items()))

    def values(
        self,
        target: Metric,
        stat: str,
        *,
        start: float,
        end: float,
        period_s: int,
        unit: str | None = None,
    ) -> dict[float, float]:
        """One statistic by period start; periods without data are absent."""
        periods = self.periods(target, start=start, end=end, period_s=period_s, unit=unit)
        found = {at: statistic(stat, noted) for at, (noted, _) in periods.items()}
        return {at: value for at, value in found.items() if value is not None}

    def known(self) -> list[tuple[Metric, float]]:
        """Every metric with the start of its newest bucket."""
        with self._lock:
            return [
                (target, max(max(buckets) for buckets in series.units.values()))
                for target, series in self._series.items()
            ]

    def forget(self, namespace: str, dimensions: Iterable[tuple[str, str]]) -> None:
        """Drop the metrics of `namespace` that have all of `dimensions`."""
        wanted = set(dimensions)
        with self._lock:
            for target in list(self._series):
                if target.namespace == namespace and wanted <= set(target.dimensions):
                    self._buckets -= len(self._series.pop(target))

    def _bucket(
        self, target: Metric, unit: str, at: float | None, resolution_s: int
    ) -> Distribution:
        moment = self._clock.now() if at is None else at
        start = int(moment // resolution_s) * resolution_s
        buckets = self._series[target].units[unit]
        bucket = buckets.get(start)
        if bucket is None:
            bucket = buckets[start] = Distribution()
            self._buckets += 1
            if self._buckets > BUCKETS_KEPT:
                self._drop_old()
        return bucket

    def _drop_old(self) -> None:
        for series in self._series.values():
            for unit, buckets in series.units.items():
                starts = sorted(buckets)
                kept = starts[len(starts) // 2 :]
                series.units[unit] = {start: buckets[start] for start in kept}
        self._buckets = sum(map(len, self._series.values()))
