"""A study and a recommendation in words, and as tables for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from decimal import Decimal

from simulator.assumptions import TAKEN_FOR_GRANTED, stated
from simulator.outcome import Slot
from simulator.study import Band, Study

Row = tuple[str, str]


def headline(found: Study) -> tuple[Row, ...]:
    """What a person wants to know first: names and figures with their bands over the seeds."""
    bands = found.bands
    rows: list[Row] = [("traffic", found.question.traffic.text)]
    rows.append(("a photo takes", _photo(found)))
    rows.append(("requests", f"{found.shown.sums.arrivals:,} in {_hours(found)} (first seed)"))
    for name in ("p50_ms", "p95_ms", "p99_ms"):
        if name in bands:
            rows.append((f"{name.removesuffix('_ms')} of the answered", _band(bands[name], " ms")))
    if "worst_p99_ms" in bands:
        rows.append(("p99 in the worst stretch", _band(bands["worst_p99_ms"], " ms")))
    rows.append(("refused (429)", _band(bands["refused_share"], "%", 100)))
    rows.append(("failed (5xx)", _band(bands["failed_share"], "%", 100)))
    rows.append(("cold starts", _band(bands["cold_starts"])))
    rows.append(("longest queue", _band(bands["peak_queue"])))
    if found.question.settings.serverless is None:
        rows.append(("instances, mean", _band(bands["mean_instances"])))
        rows.append(("instances, most", f"{max(o.sums.peak_instances for o in found.outcomes)}"))
        rows.append(("idle share of the instances", _band(bands["idle_share"], "%", 100)))
    return tuple(rows)


def money_rows(found: Study) -> tuple[tuple[str, str, str, str], ...]:
    """Component, quantity a month, USD a day, USD a month; the sum last."""
    rows = [
        (line.component, f"{line.quantity:,.2f} {line.unit}", _usd(day.usd), _usd(line.usd))
        for day, line in zip(found.day.lines, found.month.lines, strict=True)
    ]
    rows.append(("in sum", "", _usd(found.day.total_usd), _usd(found.month.total_usd)))
    rows += [(name, "", "no price", "no price") for name in found.month.unpriced]
    return tuple(rows)


def doubts(found: Study) -> Iterator[str]:
    """What the simulator does not know, line by line."""
    band, count = found.bands["month_usd"], len(found.outcomes)
    yield (
        f"bands are the lowest, the median and the highest of {count} seeds; each draws its own"
        f" visitors and its own start-up times. A month: ${band.low:,.2f} to ${band.high:,.2f}"
    )
    if found.month_error_usd is not None:
        yield (
            f"the month is reckoned from {_hours(found)} a seed: the 95% interval of its mean is"
            f" ${found.month.total_usd:,.2f} +- {found.month_error_usd:,.2f}, if every stretch is"
            " like those simulated"
        )
    for item in stated(found.question.assumed):
        yield f"{item.name} = {item.value}: {item.why}"
    yield from TAKEN_FOR_GRANTED


SLOT_COLUMNS = tuple(field.name for field in fields(Slot))


def slot_rows(found: Study) -> Iterator[tuple[object, ...]]:
    """One row for each seed and slot: the seed, then SLOT_COLUMNS."""
    for outcome in found.outcomes:
        for slot in outcome.slots:
            yield (outcome.seed, *(getattr(slot, name) for name in SLOT_COLUMNS))


def _photo(found: Study) -> str:
    question = found.question
    source = f" ({question.service.source})" if question.service.source else ""
    return f"{question.photo_time.mean_s * 1000:.1f} ms on {_where(found)}{source}"


def _where(found: Study) -> str:
    serverless = found.question.settings.serverless
    if serverless is not None:
        return f"a serverless endpoint of {serverless.memory_mb} MB"
    return found.question.settings.instance_type


def _hours(found: Study) -> str:
    return f"{found.question.length_s / 3600:g} h"


def _band(band: Band, unit: str = "", times: float = 1) -> str:
    low, mid, high = (_number(value * times) for value in (band.low, band.mid, band.high))
    return f"{mid}{unit}" if low == high else f"{mid}{unit} ({low} to {high})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _usd(usd: Decimal) -> str:
    return f"${usd:,.2f}" if usd >= Decimal("0.01") or not usd else f"${usd:.2g}"
