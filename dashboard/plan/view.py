"""A forecast as tiles and tables, and the prices by use. Pure: what-if in, data for the page out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

import pandas as pd

from dashboard import formats, terms
from dashboard.records import Tile
from experiments.budgets import Sum
from experiments.forecast.what_if import Option
from experiments.hardware import hardware
from experiments.prices import PriceBook
from experiments.records import Basis, Estimate, Price

USES = {
    "Training": ("sagemaker", "training"),
    "Notebook": ("sagemaker", "notebook"),
    "Hosting": ("sagemaker", "hosting"),
    "EC2": ("ec2", "instance"),
    "EC2 spot": ("ec2", "spot"),
}
"""The price tables that people ask for, and where the book keeps each."""


def tiles(estimate: Estimate, month: Sum | None, basis: Basis) -> list[Tile]:
    """Time, cost, ceiling, and what the month's limit leaves."""
    money = "simulated" if basis is Basis.SIMULATED else "estimated"
    return [*_expected(estimate, money), _ceiling(estimate, money), _left(month, money)]


def _expected(estimate: Estimate, money: str) -> Iterator[Tile]:
    time = estimate.duration
    span = "no run on record tells it"
    if time is not None:
        span = f"{time.rate:.0%}: {formats.seconds(time.low_s)} to {formats.seconds(time.high_s)}"
    expected_s = formats.seconds(time.expected_s if time else None)
    yield Tile(label="Expected time", value=expected_s, detail=span, help=terms.INTERVAL)
    low, high = formats.usd(estimate.low_usd), formats.usd(estimate.likely_high_usd)
    told = f"{money} · {low} to {high}" if time is not None else f"{money} · not known"
    cost = formats.usd(estimate.expected_usd)
    yield Tile(label="Expected cost", value=cost, detail=told, help=terms.INTERVAL)


def _ceiling(estimate: Estimate, money: str) -> Tile:
    return Tile(label="At most", value=formats.usd(estimate.high_usd),
                detail=f"{money} · at its maximum run time", help=terms.CEILING)  # fmt: skip


def _left(month: Sum | None, money: str) -> Tile:
    if month is None:
        return Tile(label="Budget left", value=formats.NOTHING,
                    detail="no limit: pedigree budget set", help=terms.BUDGET_LEFT)  # fmt: skip
    word = "would be refused" if month.broken else f"of {formats.usd(month.limit_usd)}"
    left = max(month.limit_usd - month.spent_usd, Decimal(0))
    return Tile(label="Budget left", value=formats.usd(left),
                detail=f"{money} · {word}", help=terms.BUDGET_LEFT)  # fmt: skip


def options_table(options: Sequence[Option]) -> pd.DataFrame:
    """One line an option, cheapest first; figures stay numbers."""
    return pd.DataFrame([_line(option) for option in options], columns=list(_COLUMNS))


_COLUMNS = (
    "mark", "where", "hour_usd", "expected_s", "low_s", "high_s", "expected_usd", "low_usd",
    "high_usd", "note", "price_read",
)  # fmt: skip


def _line(option: Option) -> dict[str, object]:
    time = option.duration
    return {
        "mark": ("★" if option.on_front else "") + ("●" if option.asked else ""),
        "where": f"{option.hosts.launcher} {option.name}",
        "hour_usd": float(option.usd_per_hour),
        "expected_s": time.expected_s if time else None,
        "low_s": time.low_s if time else None,
        "high_s": time.high_s if time else None,
        "expected_usd": _number(option.expected_usd),
        "low_usd": _number(option.low_usd),
        "high_usd": _number(option.high_usd),
        "note": note(option),
        "price_read": option.price_as_of,
    }


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def note(option: Option) -> str:
    """What to know of an option: too small, or unlike every run on record."""
    small = f"too small: {option.too_small}" if option.too_small else ""
    guess = f"extrapolates: {option.extrapolates[0]}" if option.extrapolates else ""
    return "; ".join(word for word in (small, guess) if word)


def chart_points(options: Sequence[Option]) -> pd.DataFrame:
    """The options with a predicted time and cost that are large enough, for the chart."""
    rows = [
        {
            "where": f"{option.hosts.launcher} {option.name}",
            "name": option.name,
            "kind": kind_of(option),
            "time": option.duration.expected_s,
            "cost": float(option.expected_usd),
            "front": option.on_front,
            "asked": option.asked,
            "time_text": formats.seconds(option.duration.expected_s),
            "cost_text": formats.usd(option.expected_usd),
            "hour_text": f"{formats.usd(option.usd_per_hour)} an hour",
            "note": note(option),
        }
        for option in options
        if option.duration and option.expected_usd is not None and not option.too_small
    ]
    data = pd.DataFrame(rows)
    if len(data):
        ends = data.loc[data["front"], "time"].agg(["min", "max"])
        data["named"] = data["asked"] | (data["front"] & data["time"].isin(ends))
    return data


KINDS = ("sagemaker", "ec2", "ec2 spot")


def kind_of(option: Option) -> str:
    """Launcher, and spot where it is."""
    return f"{option.hosts.launcher} spot" if option.hosts.spot else option.hosts.launcher


def regions(book: PriceBook) -> list[str]:
    """The regions that the book has a price of one of the uses for, the best known first."""
    held: dict[str, int] = {}
    for service, component, _, region in book.rows:
        if (service, component) in USES.values():
            held[region] = held.get(region, 0) + 1
    return sorted(held, key=lambda region: (-held[region], region))


def price_table(book: PriceBook, use: str, region: str) -> pd.DataFrame:
    """Every type with a price for a use in a region, the cheapest first, each with date and source."""
    found = [
        price
        for key, price in book.rows.items()
        if key[:2] == USES[use] and key[3] == region and price.instance_type
    ]
    found.sort(key=lambda price: (price.usd, price.instance_type))
    return pd.DataFrame([_priced(price) for price in found], columns=list(_PRICE_COLUMNS))


_PRICE_COLUMNS = (
    "type", "usd", "unit", "processors", "memory_gib", "accelerator", "read", "grade", "source",
)  # fmt: skip


def _priced(price: Price) -> dict[str, object]:
    inside = hardware(price.instance_type)
    gpu = f"{inside.gpu_count} x {inside.gpu_name}" if inside and inside.gpu_count else ""
    return {
        "type": price.instance_type,
        "usd": float(price.usd),
        "unit": price.unit,
        "processors": inside.vcpu if inside else None,
        "memory_gib": inside.memory_gib if inside else None,
        "accelerator": gpu,
        "read": price.as_of,
        "grade": price.grade,
        "source": price.source,
    }
