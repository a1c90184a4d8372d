"""What needs a hand: each with what is wrong, how much it costs, and the command for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from dashboard import formats
from deployment.drift.check import Drift
from deployment.drift.statistics import Verdict
from deployment.sweep.sweep import Found
from experiments.budgets import same_money
from experiments.ledger.periods import spent_in
from experiments.records import Basis, RunRecord, RunStatus

_RECENT = timedelta(days=7)
_MOST = 5
_NEAR = Decimal("0.8")
_KINDS_OF_MONEY = tuple(same_money(basis) for basis in (Basis.SIMULATED, Basis.BILLED))


@dataclass(frozen=True, kw_only=True)
class Concern:
    """One thing that somebody should look at, and the command that deals with it."""

    title: str
    detail: str
    command: str


def failed_runs(records: Sequence[RunRecord], now: datetime) -> Iterator[Concern]:
    """Runs of the last week that failed or were refused, newest first, five at most."""
    bad = (RunStatus.FAILED, RunStatus.REFUSED)
    found = [
        run
        for run in records
        if run.status in bad and run.started_at and now - run.started_at < _RECENT
    ]
    for run in found[:_MOST]:
        yield Concern(
            title=f"{run.name} {run.status.value}",
            detail=run.reason or "without a reason on record",
            command=f"pedigree attach {run.run_id}",
        )
    if len(found) > _MOST:
        more = formats.count(len(found) - _MOST, "more run")
        yield Concern(
            title=more, detail="failed or were refused this week", command="pedigree runs"
        )


def budget(records: Sequence[RunRecord], limit: Decimal | None, now: datetime) -> Iterator[Concern]:
    """A month whose runs are past four fifths of its limit, each kind of money for itself."""
    if limit is None:
        return
    for bases in _KINDS_OF_MONEY:
        spent = spent_in(records, f"{now:%Y-%m}", bases)
        if spent and spent >= limit * _NEAR:
            yield Concern(
                title="Budget reached" if spent >= limit else "Budget nearly reached",
                detail=f"{formats.usd(spent, bases[0])} of {formats.usd(limit)} this month",
                command="pedigree budget show",
            )


def orphans(found: Found) -> Iterator[Concern]:
    """What costs money and belongs to nobody."""
    if found.orphans:
        names = ", ".join(o.resource.name for o in found.orphans[:_MOST])
        many = formats.count(len(found.orphans), "orphan")
        yield Concern(
            title=f"{many}, {formats.usd(found.usd_per_day)} a day",
            detail=names,
            command="pedigree sweep",
        )


def drifted(name: str, found: Drift) -> Iterator[Concern]:
    """A live model whose photos no longer look like its test photos."""
    if found.verdict in (Verdict.SHIFTED, Verdict.DRIFTED):
        yield Concern(
            title=f"{name}: {found.verdict.value}",
            detail=f"{found.answers:,} answers against {found.test_photos:,} test photos",
            command="pedigree drift",
        )
