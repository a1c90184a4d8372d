"""Two runs beside each other, differences first: results, money, settings, lineage. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments import names
from experiments.intervals import (
    Answer,
    Interval,
    PairedDifference,
    macro_f1_interval,
    paired,
    top1_interval,
)
from experiments.leaderboard import Difference, differences
from experiments.records import RunRecord

_LINEAGE = (
    ("data", "dataset_digest", "data/digest"),
    ("code", "code_digest", "code/digest"),
    ("commit", "git_commit", "code/git_commit"),
    ("weights", "", "weights/digest"),
)
_MAX_TABLE_BYTES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    """One metric of both runs; an interval where single predictions give one."""

    name: str
    first: float | None
    second: float | None
    first_interval: Interval | None = None
    second_interval: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class BillLine:
    """One line of a run's own cost table, as text, so that no digit is lost."""

    item: str
    quantity: str
    unit: str
    price_usd: str
    price_date: str
    usd: str
    basis: str


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """What one part of a run was made of, in both runs."""

    part: str
    first: str
    second: str

    @property
    def same(self) -> bool:
        return self.first == self.second


@dataclass(frozen=True, kw_only=True)
class Side:
    """One run of a comparison with what its artifacts hold; without them it is compared by less."""

    record: RunRecord
    answers: Mapping[str, Answer]
    bill: tuple[BillLine, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Everything that differs between two runs, and how much does not."""

    facts: tuple[Difference, ...]
    params: tuple[Difference, ...]
    metrics: tuple[MetricRow, ...]
    difference: PairedDifference | None
    bills: tuple[tuple[BillLine, ...], tuple[BillLine, ...]]
    lineage: tuple[Lineage, ...]
    same: int

    @property
    def verdict(self) -> str:
        """What the photos say of the difference in quality, in a sentence."""
        if self.difference is None:
            return "no common test photos on record: how sure the difference is cannot be said"
        seen = self.difference
        span = f"{seen.interval.low:+.1%} to {seen.interval.high:+.1%}"
        said = (
            f"top-1 differs by {seen.difference:+.1%} ({span}) over {seen.photos} photos, of which"
            f" {seen.only_first} only the first and {seen.only_second} only the second got right"
        )
        word = "more than chance" if seen.p < 0.05 else "no more than chance may do"
        return f"{said}: {word} (p = {seen.p:.2g})"


def compare(first: Side, second: Side) -> Comparison:
    """Compare two runs. What is equal is counted and left out, except metrics with intervals."""
    found, same = differences(first.record, second.record)
    shown = {d.name for d in found if d.kind == "metric"}
    return Comparison(
        facts=tuple(d for d in found if d.kind == "fact"),
        params=tuple(d for d in found if d.kind == "param" and not _is_lineage(d.name)),
        metrics=tuple(_metrics(first, second, shown)),
        difference=paired(first.answers, second.answers),
        bills=(first.bill, second.bill),
        lineage=tuple(_lineage(first.record, second.record)),
        same=same,
    )


def _is_lineage(name: str) -> bool:
    return name in {param for _, _, param in _LINEAGE}


def _metrics(first: Side, second: Side, shown: set[str]) -> list[MetricRow]:
    sure = {
        names.QUALITY_METRIC: (top1_interval(first.answers), top1_interval(second.answers)),
        "test/macro_f1": (macro_f1_interval(first.answers), macro_f1_interval(second.answers)),
    }
    both = {*first.record.metrics, *second.record.metrics}
    wanted = [name for name in sure if name in both]
    wanted += sorted(shown - sure.keys())
    return [
        MetricRow(
            name=name,
            first=first.record.metrics.get(name),
            second=second.record.metrics.get(name),
            first_interval=sure.get(name, (None, None))[0],
            second_interval=sure.get(name, (None, None))[1],
        )
        for name in wanted
    ]


def _lineage(first: RunRecord, second: RunRecord) -> list[Lineage]:
    def of(record: RunRecord, attribute: str, param: str) -> str:
        return str(getattr(record, attribute, "") if attribute else "") or record.params.get(
            param, "-"
        )

    return [
        Lineage(part=part, first=of(first, attribute, param), second=of(second, attribute, param))
        for part, attribute, param in _LINEAGE
    ]


def read_bill(text: str) -> tuple[BillLine, ...]:
    """A run's cost table as MLflow's log_table keeps it: `columns` and rows of `data`; else nothing."""
    if len(text) > _MAX_TABLE_BYTES:
        return ()
    try:
        table = json.loads(text)
        columns: Sequence[str] = table["columns"]
        rows = [dict(zip(columns, row, strict=True)) for row in table["data"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()
    known = BillLine.__dataclass_fields__
    return tuple(BillLine(**{name: str(row.get(name, "")) for name in known}) for row in rows)
