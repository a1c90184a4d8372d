"""Several seeds of one question: figures with their bands, and the bill of a day and a month."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from experiments.prices import PriceBook
from simulator.bill import DAY_HOURS, MONTH_HOURS, bill
from simulator.outcome import Bill, Line, Outcome
from simulator.run import Question, simulate

SEEDS = 5
# Student's t for 95%, by degrees of freedom.
_T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
_T95_MANY = 2.2


@dataclass(frozen=True, kw_only=True)
class Market:
    """Where prices come from. `prices`: USD for what the book does not have (see `bill`)."""

    book: PriceBook
    region: str
    prices: Mapping[str, Decimal] | None = None


@dataclass(frozen=True, kw_only=True)
class Band:
    """A figure over seeds: the lowest, the median, the highest."""

    low: float
    mid: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Study:
    """The outcomes of several seeds. The bills are the means over them.

    `month_error_usd`: half the width of the 95% interval of the month's mean, by Student's t over
    the seeds; None for one seed. It holds for traffic that repeats after the time simulated.
    """

    question: Question
    outcomes: tuple[Outcome, ...]
    bands: Mapping[str, Band]
    day: Bill
    month: Bill
    month_error_usd: float | None

    @property
    def shown(self) -> Outcome:
        """The seed whose timeline is shown: the first."""
        return self.outcomes[0]


FIGURES: Mapping[str, Callable[[Outcome], float | None]] = {
    "p50_ms": lambda one: one.sums.p50_ms,
    "p95_ms": lambda one: one.sums.p95_ms,
    "p99_ms": lambda one: one.sums.p99_ms,
    "worst_p99_ms": lambda one: max((s.p99_ms for s in one.slots if s.p99_ms), default=None),
    "refused_share": lambda one: one.sums.refused_share,
    "failed_share": lambda one: one.sums.failed_share,
    "cold_starts": lambda one: one.sums.cold_starts + one.sums.endpoint_cold_starts,
    "idle_share": lambda one: one.sums.idle_share,
    "mean_instances": lambda one: one.sums.mean_instances,
    "peak_queue": lambda one: one.sums.peak_queue,
}


def study(
    question: Question,
    market: Market,
    *,
    seeds: int = SEEDS,
    first_seed: int = 1,
    report: Callable[[int, int], None] | None = None,
) -> Study:
    """Simulate `seeds` seeds and put them together. Raises PriceError, SpecError."""
    outcomes = []
    for number in range(seeds):
        outcomes.append(simulate(question, seed=first_seed + number))
        if report is not None:
            report(number + 1, seeds)
    return gather(question, market, tuple(outcomes))


def gather(question: Question, market: Market, outcomes: tuple[Outcome, ...]) -> Study:
    """Outcomes of one question, put together."""
    months = [_bill(one, question, market, MONTH_HOURS) for one in outcomes]
    days = [_bill(one, question, market, DAY_HOURS) for one in outcomes]
    bands = {name: _band([figure(one) for one in outcomes]) for name, figure in FIGURES.items()}
    totals = [float(month.total_usd) for month in months]
    bands["month_usd"] = _band(list(totals))
    return Study(
        question=question,
        outcomes=outcomes,
        bands={name: band for name, band in bands.items() if band is not None},
        day=_mean(days),
        month=_mean(months),
        month_error_usd=_error(totals),
    )


def _bill(outcome: Outcome, question: Question, market: Market, hours: Decimal) -> Bill:
    return bill(
        outcome.usage,
        question.settings,
        hours=hours,
        region=market.region,
        book=market.book,
        prices=market.prices,
    )


def _band(values: list[float | None]) -> Band | None:
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    return Band(low=known[0], mid=statistics.median(known), high=known[-1])


def _error(totals: list[float]) -> float | None:
    if len(totals) < 2:
        return None
    t = _T95[len(totals) - 2] if len(totals) - 2 < len(_T95) else _T95_MANY
    return t * statistics.stdev(totals) / math.sqrt(len(totals))


def _mean(bills: list[Bill]) -> Bill:
    first, count = bills[0], len(bills)
    lines = tuple(
        Line(
            component=line.component,
            quantity=(sum((b.lines[i].quantity for b in bills), Decimal(0)) / count).quantize(
                Decimal("0.0001")
            ),
            unit=line.unit,
            price_usd=line.price_usd,
            usd=sum((b.lines[i].usd for b in bills), Decimal(0)) / count,
        )
        for i, line in enumerate(first.lines)
    )
    return Bill(hours=first.hours, lines=lines, unpriced=first.unpriced)
