"""Spend over time: by day, month, experiment, run or kind, and what a month will come to. Pure.

Figures of different basis are never added: every sum carries its basis in its key.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal

from experiments.records import Basis, RunRecord

By = Literal["day", "month", "experiment", "run", "kind"]
DIMENSIONS: tuple[By, ...] = ("day", "month", "experiment", "run", "kind")
_MOST_DAYS = 400
_WEEK = 7


@dataclass(frozen=True, kw_only=True)
class Spend:
    """What was spent under one heading, by one basis."""

    heading: str
    basis: Basis
    usd: Decimal
    runs: int


def days_of(record: RunRecord) -> Iterator[tuple[date, Decimal]]:
    """A run's cost on each UTC day, shared out by the seconds it ran there; the parts add up exactly.

    A run without a start is put on the day it ended; one without either is left out.
    """
    cost, started, ended = record.cost_usd, record.started_at, record.ended_at
    if cost is None or (started is None and ended is None):
        return
    first = (started or ended or datetime.now(tz=UTC)).astimezone(UTC)
    last = (ended or started or first).astimezone(UTC)
    whole = Decimal(str((last - first).total_seconds()))
    if whole <= 0 or first.date() == last.date():
        yield first.date(), cost
        return
    given, day = Decimal(0), first.date()
    for _ in range(_MOST_DAYS):
        midnight = datetime.combine(day + timedelta(days=1), time(), tzinfo=UTC)
        if midnight >= last:
            break
        begin = max(first, datetime.combine(day, time(), tzinfo=UTC))
        share = cost * Decimal(str((midnight - begin).total_seconds())) / whole
        given += share
        yield day, share
        day += timedelta(days=1)
    yield day, cost - given


def spend_by(records: Iterable[RunRecord], by: By) -> list[Spend]:
    """What was spent under each heading, in the headings' order; runs without a cost are left out.

    `kind` is where it ran: launcher and instance type. Days and months are UTC, as AWS bills.
    """
    sums: dict[tuple[str, Basis], Decimal] = {}
    counts: dict[tuple[str, Basis], set[str]] = {}
    for record in records:
        if record.cost_basis is None:
            continue
        for day, usd in days_of(record):
            key = (_HEADINGS[by](record, day), record.cost_basis)
            sums[key] = sums.get(key, Decimal(0)) + usd
            counts.setdefault(key, set()).add(record.run_id)
    return [
        Spend(heading=heading, basis=basis, usd=usd, runs=len(counts[heading, basis]))
        for (heading, basis), usd in sorted(sums.items())
    ]


_HEADINGS: dict[By, Callable[[RunRecord, date], str]] = {
    "day": lambda record, day: day.isoformat(),
    "month": lambda record, day: f"{day:%Y-%m}",
    "experiment": lambda record, day: record.experiment,
    "run": lambda record, day: f"{record.name} ({record.run_id})",
    "kind": lambda record, day: f"{record.launcher} {record.instance_type}".strip(),
}


def spent_in(records: Iterable[RunRecord], month: str, bases: Iterable[Basis]) -> Decimal:
    """What runs of these bases cost in a UTC month (`2026-11`)."""
    wanted = set(bases)
    return sum(
        (s.usd for s in spend_by(records, "month") if s.heading == month and s.basis in wanted),
        Decimal(0),
    )


@dataclass(frozen=True, kw_only=True)
class MonthForecast:
    """What a month has cost until now and will come to, for one basis, in USD.

    `low_usd` to `high_usd` is the spread of the days seen, carried over the days left: two standard
    errors each way, and never under what was spent; None while under a week was seen. `why` says how
    many days it rests on.
    """

    month: str
    basis: Basis
    spent_usd: Decimal
    expected_usd: Decimal
    low_usd: Decimal | None
    high_usd: Decimal | None
    why: str


def forecast_month(
    records: Iterable[RunRecord], *, now: datetime, basis: Basis
) -> MonthForecast | None:
    """What the month of `now` will come to if its coming days are like the 28 before `now`.

    None if nothing of this basis was ever spent.
    """
    daily = {
        date.fromisoformat(s.heading): s.usd for s in spend_by(records, "day") if s.basis is basis
    }
    if not daily:
        return None
    today = now.astimezone(UTC).date()
    month = f"{today:%Y-%m}"
    spent = sum((usd for day, usd in daily.items() if f"{day:%Y-%m}" == month), Decimal(0))
    window = min((today - min(daily)).days + 1, 28)
    window = max(window, 1)
    seen = [daily.get(today - timedelta(days=back), Decimal(0)) for back in range(window)]
    left = calendar.monthrange(today.year, today.month)[1] - today.day
    mean = sum(seen, Decimal(0)) / window
    variance = sum(((usd - mean) ** 2 for usd in seen), Decimal(0)) / max(window - 1, 1)
    # Both the coming days and the mean that foretells them are uncertain.
    error = (variance * left + variance * left * left / window).sqrt() * 2
    expected = spent + mean * left
    return MonthForecast(
        month=month,
        basis=basis,
        spent_usd=spent,
        expected_usd=expected,
        low_usd=max(spent, expected - error) if window >= _WEEK else None,
        high_usd=expected + error if window >= _WEEK else None,
        why=f"by the last {window} day(s) at {mean:.4f} USD a day; {left} day(s) are left",
    )
