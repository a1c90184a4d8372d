"""When visitors come: rates that vary over the day, bursts, and recorded arrivals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from experiments.errors import SpecError
from simulator.service import Times

DAY_S = 86_400.0
_PIECE_S = 300.0


class Traffic(Protocol):
    """A source of arrivals; seconds count from midnight of the first day."""

    @property
    def text(self) -> str:
        """What it is, in words."""

    def arrivals(self, start_s: float, end_s: float, rng: np.random.Generator) -> Times:
        """The times of all arrivals in [start_s, end_s), in order."""

    def expected(self, start_s: float, end_s: float) -> float:
        """How many arrivals are to be expected in [start_s, end_s)."""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """A rate that is constant within each piece and repeats: `rates[i]` a second until `ends[i]`."""

    text: str
    ends_s: tuple[float, ...]
    rates: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.rates or min(self.rates) < 0 or max(self.rates) > 100_000:
            raise SpecError(f"{self.text}: a rate is below 0 or above 100000/s", fix="give 10/s")

    @property
    def period_s(self) -> float:
        """After which it repeats."""
        return self.ends_s[-1]

    def arrivals(self, start_s: float, end_s: float, rng: np.random.Generator) -> Times:
        edges, rates = self._pieces(start_s, end_s)
        lengths = np.diff(edges)
        counts = rng.poisson(rates * lengths)
        starts, widths = np.repeat(edges[:-1], counts), np.repeat(lengths, counts)
        times = starts + widths * rng.random(starts.size)
        times.sort()
        return times

    def expected(self, start_s: float, end_s: float) -> float:
        edges, rates = self._pieces(start_s, end_s)
        return float((rates * np.diff(edges)).sum())

    def _pieces(self, start_s: float, end_s: float) -> tuple[Times, Times]:
        first, last = int(start_s // self.period_s), math.ceil(end_s / self.period_s)
        ends = np.asarray(self.ends_s)
        laps = np.arange(first, max(last, first + 1)) * self.period_s
        edges = np.concatenate(([laps[0]], (laps[:, None] + ends[None, :]).ravel()))
        rates = np.tile(self.rates, laps.size)
        inside = (edges[1:] > start_s) & (edges[:-1] < end_s)
        kept = np.append(edges[:-1][inside], edges[1:][inside][-1:])
        return np.clip(kept, start_s, end_s), rates[inside]


def constant(per_s: float) -> Steps:
    """The same rate all the time; arrivals are a Poisson process."""
    return Steps(text=f"constant {_rate(per_s)}", ends_s=(DAY_S,), rates=(per_s,))


def daily(mean_per_s: float, peak_per_s: float, *, peak_hour: float = 14.0) -> Steps:
    """A cosine over the day with this mean and this peak, in pieces of five minutes.

    Raises SpecError unless mean <= peak <= 2 mean.
    """
    if not 0 < mean_per_s <= peak_per_s <= 2 * mean_per_s:
        raise SpecError(
            "a daily curve's peak lies between its mean and twice its mean",
            fix="use daily:mean=1/s,peak=2/s, and add bursts for what is steeper",
        )
    swing = peak_per_s - mean_per_s
    middles = np.arange(_PIECE_S / 2, DAY_S, _PIECE_S)
    curve = mean_per_s + swing * np.cos(2 * np.pi * (middles - peak_hour * 3600) / DAY_S)
    return Steps(
        text=f"daily curve, mean {_rate(mean_per_s)}, peak {_rate(peak_per_s)} at {peak_hour:g} h",
        ends_s=tuple(float(end) for end in middles + _PIECE_S / 2),
        rates=tuple(float(rate) for rate in np.maximum(curve, 0)),
    )


def bursts(base_per_s: float, burst_per_s: float, *, length_s: float, every_s: float) -> Steps:
    """`base` with a burst of `length_s` in the middle of every `every_s`. Raises SpecError."""
    if not 0 < length_s < every_s:
        raise SpecError("a burst does not fit its interval", fix="use bursts:...,for=2min,every=6h")
    begin = (every_s - length_s) / 2
    return Steps(
        text=f"{_rate(base_per_s)} with bursts of {_rate(burst_per_s)} for {length_s:g} s"
        f" every {every_s / 3600:g} h",
        ends_s=(begin, begin + length_s, every_s),
        rates=(base_per_s, burst_per_s, base_per_s),
    )


def counted(per_minute: Sequence[float], *, source: str, bin_s: float = 60.0) -> Steps:
    """Counts of whole bins (CloudWatch's sums by the minute), repeated when they end."""
    if not per_minute:
        raise SpecError(f"{source} holds no counts", fix="give at least one minute")
    return Steps(
        text=f"{len(per_minute)} counts of {bin_s:g} s from {source}",
        ends_s=tuple(bin_s * (i + 1) for i in range(len(per_minute))),
        rates=tuple(count / bin_s for count in per_minute),
    )


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Recorded arrivals, exactly as they were, repeated after `period_s`."""

    text: str
    times_s: tuple[float, ...]
    period_s: float
    _sorted: Times = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.times_s or min(self.times_s) < 0 or max(self.times_s) >= self.period_s:
            raise SpecError(f"{self.text}: no arrivals within its length", fix="give a longer one")
        object.__setattr__(self, "_sorted", np.sort(np.asarray(self.times_s)))

    def arrivals(self, start_s: float, end_s: float, rng: np.random.Generator) -> Times:
        del rng
        laps = np.arange(int(start_s // self.period_s), math.ceil(end_s / self.period_s) or 1)
        times = (laps[:, None] * self.period_s + self._sorted[None, :]).ravel()
        low, high = np.searchsorted(times, (start_s, end_s))
        return np.asarray(times[low:high])

    def expected(self, start_s: float, end_s: float) -> float:
        return float(self.arrivals(start_s, end_s, np.random.default_rng(0)).size)


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Several sources at once."""

    parts: tuple[Traffic, ...]

    @property
    def text(self) -> str:
        return " + ".join(part.text for part in self.parts)

    def arrivals(self, start_s: float, end_s: float, rng: np.random.Generator) -> Times:
        times = np.concatenate([part.arrivals(start_s, end_s, rng) for part in self.parts])
        times.sort()
        return times

    def expected(self, start_s: float, end_s: float) -> float:
        return math.fsum(part.expected(start_s, end_s) for part in self.parts)


def little() -> Mixture:
    """Little traffic, as these pages mean it: 480 photos a day in a daily curve, and once a day
    somebody shares the address: 3 photos a second for three minutes, at noon."""
    return Mixture(
        parts=(
            daily(20 / 3600, 40 / 3600),
            bursts(0.0, 3.0, length_s=180.0, every_s=DAY_S),
        )
    )


def _rate(per_s: float) -> str:
    if per_s >= 1 or per_s == 0:
        return f"{per_s:g}/s"
    return f"{per_s * 60:.3g}/min" if per_s * 60 >= 1 else f"{per_s * 3600:.3g}/h"
