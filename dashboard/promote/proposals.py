"""What making a run live, or going back, would do. Reads and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import pandas as pd

from dashboard import formats
from deployment.gates.checklist import Demands, Examiner
from deployment.gates.gate import Gate
from deployment.gates.trial import serve
from deployment.monthly import Monthly, Requests
from deployment.plan.release_plan import ASSUMED_MS
from deployment.promote import Proposal, prepare, propose
from deployment.settings import ServingSettings
from deployment.store import ReleaseRecord
from deployment.undo import propose_rollback
from experiments.aws import Cloud
from experiments.prices import latest_book
from experiments.records import RunRecord


def of_run(cloud: Cloud, record: RunRecord, settings: ServingSettings) -> Proposal:
    """As `promote-model` proposes it: through every gate, then the plan. Raises ReleaseError if shut."""
    book = latest_book()
    examiner = Examiner(cloud=cloud, book=book, trial=serve, demands=Demands())
    prepared = prepare(cloud, record, settings, now=datetime.now(tz=UTC), examiner=examiner)
    traffic = Requests(per_month=examiner.demands.traffic.per_month, billed_ms=ASSUMED_MS)
    return propose(cloud, prepared, book=book, requests=traffic)


def back_to(cloud: Cloud, name: str, release_id: str) -> Proposal:
    """As `pedigree rollback` proposes it."""
    return propose_rollback(cloud, name, book=latest_book(), to=release_id)


def gate_rows(gates: Sequence[Gate]) -> pd.DataFrame:
    """One line for each piece of evidence."""
    rows = [
        [gate.name, "passed" if gate.passed else "NOT passed", what, found]
        for gate in gates
        for what, found in (gate.evidence or {"": ""}).items()
    ]
    return pd.DataFrame(rows, columns=["gate", "result", "evidence", "found"])


def diff_lines(proposal: Proposal) -> str:
    """The plan as a diff: what is made or changed, and what goes."""
    lines = []
    for step in proposal.plan.steps:
        gone = step.call is not None and step.call.operation.startswith(("delete_", "deregister_"))
        sign = "-" if gone else "!" if step.call is None else "+"
        lines.append(f"{sign} {step.title}: {step.why}")
    return "\n".join(lines)


def month_rows(before: Monthly | None, after: Monthly) -> pd.DataFrame:
    """The month's price line by line, before and after, at the fewest instances."""
    old = {line.item: line.usd for line in before.at_min.lines} if before else {}
    new = {line.item: line.usd for line in after.at_min.lines}
    rows = [
        [item, formats.usd(old.get(item)), formats.usd(new.get(item))]
        for item in dict.fromkeys([*old, *new])
    ]
    old_sums, new_sums = _sums(before), _sums(after)
    rows.append(
        ["all, at the fewest instances", formats.usd(old_sums[0]), formats.usd(new_sums[0])]
    )
    rows.append(["all, at the most instances", formats.usd(old_sums[1]), formats.usd(new_sums[1])])
    return pd.DataFrame(rows, columns=["what", "before", "after"])


def _sums(month: Monthly | None) -> tuple[Decimal | None, Decimal | None]:
    return (month.at_min.total_usd, month.at_max.total_usd) if month else (None, None)


def history_rows(records: Sequence[ReleaseRecord], live_id: str) -> pd.DataFrame:
    """The releases, newest first, the live one marked."""
    rows = [
        [
            "live" if one.release.release_id == live_id else "",
            one.release.release_id,
            one.status.value,
            one.release.run_name,
            formats.share(one.release.metrics.get("test/top1")),
            formats.moment(one.release.created_at),
            one.message,
        ]
        for one in sorted(records, key=lambda r: r.release.created_at, reverse=True)
    ]
    columns = ["", "release", "status", "run", "test top-1", "made, UTC", "note"]
    return pd.DataFrame(rows, columns=columns)
