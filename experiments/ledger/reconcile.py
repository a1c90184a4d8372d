"""The ledger held against AWS's bill of a month, run by run. Pure.

Simulated runs are no part of it: AWS never heard of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from experiments.ledger.bill import Bill, month_bounds
from experiments.ledger.periods import days_of
from experiments.records import Basis, RunRecord

Kind = Literal[
    "agrees", "dearer", "cheaper", "late", "missing", "discounted", "amended", "unknown run",
    "unattributed",
]  # fmt: skip
_LATE_S = timedelta(hours=48)
"""Cost Explorer is up to a day behind, and a tag's rows may be another."""
TOLERANCE_SHARE = Decimal("0.01")
TOLERANCE_USD = Decimal("0.001")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was compared. `ledger_usd` and `billed_usd` are None where there is no such figure."""

    kind: Kind
    run_id: str
    name: str
    ledger_usd: Decimal | None
    billed_usd: Decimal | None
    text: str

    @property
    def variance_usd(self) -> Decimal | None:
        """Billed less ledger."""
        if self.ledger_usd is None or self.billed_usd is None:
            return None
        return self.billed_usd - self.ledger_usd


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """A month's ledger and bill beside each other. Sums are of usage, in USD."""

    month: str
    read_at: datetime
    estimated: bool
    ledger_usd: Decimal
    attributed_usd: Decimal
    unattributed_usd: Decimal
    credits_usd: Decimal
    findings: tuple[Finding, ...]

    @property
    def variance_usd(self) -> Decimal:
        """What the bill attributes to runs, less the ledger."""
        return self.attributed_usd - self.ledger_usd

    @property
    def discrepancies(self) -> tuple[Finding, ...]:
        """Everything that is not in agreement."""
        return tuple(finding for finding in self.findings if finding.kind != "agrees")


def reconcile(
    records: Iterable[RunRecord], bill: Bill, *, before: Bill | None = None
) -> Reconciliation:
    """Compare the ledger of the bill's month with the bill, and the bill with its reading `before`."""
    known = [r for r in records if r.cost_basis in (Basis.ESTIMATED, Basis.BILLED)]
    spend = {run.run_id: _in_month(run, bill.month) for run in known}
    findings = [
        *(
            _of_run(run, spend[run.run_id], bill)
            for run in known
            if spend[run.run_id] > 0 or bill.usage_of(run.run_id)
        ),
        *_not_in_ledger(bill, {run.run_id for run in known}),
        *_credits(bill, {run.run_id: run.name for run in known}),
        *(_amended(bill, before) if before is not None else ()),
    ]
    usage = [row for row in bill.rows if row.is_usage]
    return Reconciliation(
        month=bill.month,
        read_at=bill.read_at,
        estimated=bill.estimated,
        ledger_usd=sum(spend.values(), Decimal(0)),
        attributed_usd=sum((row.usd for row in usage if row.run_id), Decimal(0)),
        unattributed_usd=sum((row.usd for row in usage if not row.run_id), Decimal(0)),
        credits_usd=sum((row.usd for row in bill.rows if not row.is_usage), Decimal(0)),
        findings=tuple(findings),
    )


def _in_month(run: RunRecord, month: str) -> Decimal:
    return sum((usd for day, usd in days_of(run) if f"{day:%Y-%m}" == month), Decimal(0))


def _of_run(run: RunRecord, ledger: Decimal, bill: Bill) -> Finding:
    billed = bill.usage_of(run.run_id)
    kind: Kind
    if billed is None:
        fresh = run.ended_at is None or bill.read_at - run.ended_at < _LATE_S
        kind = "late" if fresh else "missing"
        text = "AWS is up to two days behind" if fresh else "never billed, or its tag was lost"
    else:
        off = billed - ledger
        within = abs(off) <= max(ledger * TOLERANCE_SHARE, TOLERANCE_USD)
        kind = "agrees" if within else "dearer" if off > 0 else "cheaper"
        against = f"{off / ledger:+.1%} against the ledger" if ledger else "and not in the ledger"
        text = f"billed {against}"
    return Finding(
        kind=kind,
        run_id=run.run_id,
        name=run.name,
        ledger_usd=ledger,
        billed_usd=billed,
        text=text,
    )


def _not_in_ledger(bill: Bill, known: set[str]) -> Iterator[Finding]:
    sums: dict[str, Decimal] = {}
    for row in bill.rows:
        if row.is_usage and row.run_id not in known:
            sums[row.run_id] = sums.get(row.run_id, Decimal(0)) + row.usd
    for run_id, usd in sorted(sums.items()):
        if usd == 0:
            continue
        yield Finding(
            kind="unknown run" if run_id else "unattributed",
            run_id=run_id,
            name="",
            ledger_usd=None,
            billed_usd=usd,
            text="tagged with a run that is not on record here"
            if run_id
            else f"without the tag {'pedigree:run'}: endpoints, functions, other work, untagged runs",
        )


def _credits(bill: Bill, names: dict[str, str]) -> Iterator[Finding]:
    for row in bill.rows:
        if not row.is_usage and row.usd != 0 and row.record_type != "Tax":
            yield Finding(
                kind="discounted",
                run_id=row.run_id,
                name=names.get(row.run_id, ""),
                ledger_usd=None,
                billed_usd=row.usd,
                text=f"{row.record_type}: not in the ledger, which reckons list prices",
            )


def _amended(bill: Bill, before: Bill) -> Iterator[Finding]:
    """Rows of a run that an earlier reading had otherwise; what only grew while open was late."""
    for run_id in sorted({row.run_id for row in before.rows if row.run_id}):
        old, new = before.usage_of(run_id), bill.usage_of(run_id)
        if old is None or old == new:
            continue
        yield Finding(
            kind="amended",
            run_id=run_id,
            name="",
            ledger_usd=None,
            billed_usd=new,
            text=f"the bill said {old} USD on {before.read_at:%Y-%m-%d} and says {new} USD now",
        )


def confirmed(found: Reconciliation, records: Iterable[RunRecord]) -> dict[str, Decimal]:
    """What a final bill says each run cost, for runs that lie within its month as a whole; by run id."""
    if found.estimated:
        return {}
    first, after = month_bounds(found.month)
    begin = datetime(first.year, first.month, 1, tzinfo=UTC)
    end = datetime(after.year, after.month, 1, tzinfo=UTC)
    inside = {
        run.run_id
        for run in records
        if run.started_at and run.ended_at and begin <= run.started_at and run.ended_at < end
    }
    return {
        finding.run_id: finding.billed_usd
        for finding in found.findings
        if finding.kind in ("agrees", "dearer", "cheaper")
        and finding.run_id in inside
        and finding.billed_usd is not None
    }
