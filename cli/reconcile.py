"""`pedigree reconcile`: the ledger held against AWS's own bill, run by run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from cli.workspace import Workspace, cloud_option, json_option

if TYPE_CHECKING:
    from experiments.ledger.reconcile import Reconciliation


@click.command()
@click.option("--month", help="As 2026-11; else this month (UTC).")
@click.option("--settle", is_flag=True, help="Write a final bill's figures to its runs as billed.")
@cloud_option
@json_option
def reconcile(month: str | None, settle: bool, cloud_name: str, as_json: bool) -> int:
    """Compare what the ledger says runs cost in a month with AWS Cost Explorer, by the run's tag.

    Each reading asks Cost Explorer a few times, at $0.01 a request. The tag pedigree:run must be
    activated as a cost allocation tag once, in AWS's billing console.
    """
    from cli import show
    from experiments.errors import CloudError
    from experiments.ledger import bill as bills
    from experiments.ledger.reconcile import confirmed
    from experiments.ledger.reconcile import reconcile as held_against
    from experiments.tracking.sql import board

    if cloud_name != "aws":
        raise CloudError(
            "AWS on this machine sends no bill: its runs are simulated and never reconciled",
            fix="`pedigree reconcile --cloud aws` reads AWS's own",
        )
    space, now = Workspace.here(), datetime.now(tz=UTC)
    wanted = month or f"{now:%Y-%m}"
    cloud = space.open_cloud("aws", bills.REGION)
    folder = space.state / "bills"
    before = bills.last_kept(wanted, folder)
    bill = bills.read_bill(cloud, wanted, now=now)
    bills.keep(bill, folder)
    tracker = space.open_tracker()
    records = board(tracker)
    found = held_against(records, bill, before=before)
    if settle:
        tracker.set_billed(confirmed(found, records), records, now=now)
    if as_json:
        show.print_json({**show.plain(found), "variance_usd": str(found.variance_usd)})
    else:
        _tables(found)
    return 0


def _tables(found: Reconciliation) -> None:
    from cli import show
    from experiments.cost import money

    rows = [
        (
            finding.kind,
            f"{finding.name} ({finding.run_id})" if finding.name else finding.run_id or "-",
            money(finding.ledger_usd),
            money(finding.billed_usd),
            money(finding.variance_usd),
            finding.text,
        )
        for finding in sorted(found.findings, key=lambda f: (f.kind, f.run_id))
    ]
    columns = ("finding", "run", ">ledger", ">billed", ">variance", "why")
    show.table(f"{found.month}, read {found.read_at:%Y-%m-%d %H:%M} UTC", columns, rows)
    state = "AWS still adds to this bill" if found.estimated else "AWS has closed this bill"
    show.say(
        f"ledger {money(found.ledger_usd)}, billed to runs {money(found.attributed_usd)}, variance"
        f" {money(found.variance_usd)}; to no run {money(found.unattributed_usd)}; credits and tax"
        f" {money(found.credits_usd)}; {state}"
    )
