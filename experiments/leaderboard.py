"""Which run was worth it: quality, cost and time side by side. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from itertools import groupby

from experiments import names
from experiments.records import Basis, RunRecord, RunStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the leaderboard. `quality` is test/top1, 0 to 1; cost in USD; times in seconds."""

    rank: int
    name: str
    run_id: str
    experiment: str
    status: str
    where: str
    quality: float | None
    cost_usd: Decimal | None
    cost_basis: str
    billable_s: float | None
    training_s: float | None
    best_value: bool
    reason: str
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """The row for `--json`: money as text, so that no digit is lost."""
        row = {f.name: getattr(self, f.name) for f in fields(self)}
        usd = None if self.cost_usd is None else str(self.cost_usd)
        return {**row, "cost_usd": usd, "warnings": list(self.warnings)}


def quality(record: RunRecord) -> float | None:
    """The figure runs are ranked by, or None if the run has none to show."""
    if record.status is not RunStatus.SUCCEEDED:
        return None
    return record.metrics.get(names.QUALITY_METRIC)


def _order(record: RunRecord) -> tuple[bool, float, Decimal, float]:
    score = quality(record)
    cost = record.cost_usd if record.cost_usd is not None else Decimal("Infinity")
    started = record.started_at.timestamp() if record.started_at else 0.0
    return score is None, -(score or 0.0), cost, -started


def pareto_front(records: Iterable[RunRecord], *, in_time: bool = False) -> set[str]:
    """Ids of the runs that no other run of the same cost basis beats in both quality and cost.

    `in_time` asks for billable seconds instead of cost. One sweep from the best quality down: a run
    stays if it is the cheapest (quickest) of its quality and cheaper (quicker) than everything better.
    """
    by_basis: dict[Basis | None, list[tuple[float, Decimal, str]]] = {}
    for record in records:
        score, spent = quality(record), _seconds(record) if in_time else record.cost_usd
        if score is not None and spent is not None:
            known = by_basis.setdefault(record.cost_basis, [])
            known.append((-score, spent, record.run_id))
    front: set[str] = set()
    for known in by_basis.values():
        least_of_better: Decimal | None = None
        for _, group in groupby(sorted(known), key=lambda item: item[0]):
            alike = list(group)
            least = alike[0][1]
            if least_of_better is None or least < least_of_better:
                front |= {run_id for _, spent, run_id in alike if spent == least}
                least_of_better = least
    return front


def _seconds(record: RunRecord) -> Decimal | None:
    return Decimal(str(record.billable_s)) if record.billable_s else None


def where(record: RunRecord) -> str:
    """Where a run trained, in a few words."""
    hosts = f"{record.hosts} x " if record.hosts > 1 else ""
    return f"{record.launcher} {hosts}{record.instance_type}".strip()


def leaderboard(records: Sequence[RunRecord]) -> list[Row]:
    """Best quality first, ties to the cheaper run, then to the later; runs without a score last."""
    front = pareto_front(records)
    return [
        Row(
            rank=rank,
            name=record.name,
            run_id=record.run_id,
            experiment=record.experiment,
            status=record.status.value,
            where=where(record),
            quality=quality(record),
            cost_usd=record.cost_usd,
            cost_basis=record.cost_basis.value if record.cost_basis else "",
            billable_s=record.billable_s,
            training_s=record.metrics.get("time/total_s"),
            best_value=record.run_id in front,
            reason=record.reason,
            warnings=record.warnings,
        )
        for rank, record in enumerate(sorted(records, key=_order), start=1)
    ]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing in which two runs differ. `kind` is param, metric or fact."""

    kind: str
    name: str
    first: str
    second: str


def differences(first: RunRecord, second: RunRecord) -> tuple[list[Difference], int]:
    """What differs between two runs, and how many compared things are the same."""
    facts = ("status", "launcher", "instance_type", "hosts", "cost_usd", "cost_basis", "warnings")
    pairs: list[tuple[str, str, object, object]] = [
        ("fact", name, getattr(first, name), getattr(second, name)) for name in facts
    ]
    for kind, one, two in (
        ("param", first.params, second.params),
        ("metric", first.metrics, second.metrics),
    ):
        pairs += [(kind, name, one.get(name), two.get(name)) for name in sorted({*one, *two})]
    different = [
        Difference(kind=kind, name=name, first=_show(one), second=_show(two))
        for kind, name, one, two in pairs
        if one != two
    ]
    return different, len(pairs) - len(different)


def _show(value: object) -> str:
    if isinstance(value, tuple):
        value = "; ".join(value) or None
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
