from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.errors import SpecError
from experiments.ledger.bill import Bill, keep, last_kept, month_bounds, read_bill
from experiments.ledger.reconcile import Reconciliation, confirmed, reconcile
from experiments.ledger.settle import for_seconds
from experiments.records import Basis, Hosts, RunRecord
from tests.experiments.build import book, record
from tests.experiments.ledger.bill_generator import BillGenerator

FIRST = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
LATER = datetime(2026, 12, 10, tzinfo=UTC)
M5_MICRO_USD = 230_000


def run(at: int, seconds: int = 3600, **changes: object) -> RunRecord:
    """A run on one ml.m5.xlarge, reckoned by the ledger itself."""
    where = Hosts(
        launcher="sagemaker",
        instance_type="ml.m5.xlarge",
        count=1,
        region="us-east-1",
        volume_gb=30,
    )
    cost = for_seconds(where, Decimal(seconds), book=book(), basis=Basis.ESTIMATED)
    started = FIRST + timedelta(hours=3 * at)
    return record(
        **{
            "run_id": f"{at:08x}",
            "name": f"run-{at}",
            "cost_usd": cost.total_usd,
            "cost_basis": Basis.ESTIMATED,
            "started_at": started,
            "ended_at": started + timedelta(seconds=seconds),
            **changes,
        }
    )


def billed(runs: Sequence[RunRecord], seconds: Sequence[int] | None = None) -> BillGenerator:
    made = BillGenerator()
    for at, one in enumerate(runs):
        ran = seconds[at] if seconds else 3600
        made.hours(one.run_id, (ran, 3600), M5_MICRO_USD)
    return made


def read(made: BillGenerator, *, now: datetime = LATER) -> Bill:
    return read_bill(made, "2026-11", now=now)


def kinds(found: Reconciliation) -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    for finding in found.discrepancies:
        table.setdefault(finding.kind, []).append(finding.run_id)
    return table


@settings(max_examples=25)
@given(st.lists(st.integers(60, 90_000), min_size=1, max_size=12))
def test_a_bill_that_is_right_agrees_to_the_last_run(seconds: list[int]) -> None:
    runs = [run(at, ran) for at, ran in enumerate(seconds)]
    found = reconcile(runs, read(billed(runs, seconds)))
    assert found.discrepancies == ()
    assert abs(found.variance_usd) < Decimal("0.000001")
    assert found.unattributed_usd == 0


FAULTS = ("late", "amended", "discounted", "dearer", "untagged", "stranger")


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    chosen=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=6, unique=True),
    percent=st.sampled_from([50, 90, 97, 105, 130, 300]),
)
def test_every_injected_discrepancy_is_found_and_nothing_else(
    seed: int, chosen: list[str], percent: int
) -> None:
    """Each fault strikes a run of its own among ten; the readings are before and after it."""
    runs = [run(at) for at in range(10)]
    struck = dict(zip(chosen, random.Random(seed).sample(range(10), len(chosen)), strict=True))
    made = billed(runs)
    if "late" in struck:
        made.hold_back(runs[struck["late"]].run_id)
    before = read(made)
    expected: dict[str, list[str]] = {}
    for fault, at in struck.items():
        name = runs[at].run_id
        if fault == "late":
            expected.setdefault("missing", []).append(name)
        elif fault == "amended":
            made.amend(name, percent)
            expected.setdefault("amended", []).append(name)
            expected.setdefault("dearer" if percent > 100 else "cheaper", []).append(name)
        elif fault == "discounted":
            made.credit(name, 50_000)
            expected.setdefault("discounted", []).append(name)
        elif fault == "dearer":
            made.hours(name, (1, 2), M5_MICRO_USD, "Amazon Simple Storage Service")
            expected.setdefault("amended", []).append(name)
            expected.setdefault("dearer", []).append(name)
        elif fault == "untagged":
            made.lose_tag(name)
            expected.setdefault("missing", []).append(name)
            expected.setdefault("amended", []).append(name)
            expected.setdefault("unattributed", []).append("")
        else:
            made.hours("deadbeef", (1, 1), M5_MICRO_USD)
            expected.setdefault("unknown run", []).append("deadbeef")
    found = kinds(reconcile(runs, read(made), before=before))
    assert {kind: sorted(ids) for kind, ids in found.items()} == {
        kind: sorted(ids) for kind, ids in expected.items()
    }


def test_a_run_that_just_ended_is_late_and_not_missing() -> None:
    runs = [run(0)]
    ended = runs[0].ended_at
    assert ended is not None
    soon = reconcile(runs, read(BillGenerator(), now=ended + timedelta(hours=20)))
    assert kinds(soon) == {"late": [runs[0].run_id]}
    assert kinds(reconcile(runs, read(BillGenerator()))) == {"missing": [runs[0].run_id]}


def test_late_rows_that_arrive_are_told_as_amended_by_nobody() -> None:
    runs = [run(0), run(1)]
    made = billed(runs)
    late = made.hold_back(runs[1].run_id)
    before = read(made)
    made.entries += late
    assert reconcile(runs, read(made), before=before).discrepancies == ()


def test_a_bill_for_a_run_that_cost_nothing_by_the_ledger_is_found() -> None:
    free = run(0, cost_usd=Decimal(0))
    found = reconcile([free], read(billed([free])))
    (finding,) = found.discrepancies
    assert (finding.kind, finding.run_id) == ("dearer", free.run_id)
    assert finding.text == "billed and not in the ledger"
    assert finding.variance_usd == found.variance_usd == Decimal("0.23")


def test_simulated_runs_are_no_part_of_it() -> None:
    played = run(0, cost_basis=Basis.SIMULATED)
    found = reconcile([played], read(BillGenerator()))
    assert not found.findings
    assert found.ledger_usd == 0


def test_a_run_over_the_months_border_counts_with_its_share() -> None:
    # 23:00 to 01:00 UTC over 1 December: half of 0.46 USD is November's
    start = datetime(2026, 11, 30, 23, tzinfo=UTC)
    over = run(0, 7200, started_at=start, ended_at=start + timedelta(hours=2))
    made = BillGenerator()
    made.hours(over.run_id, (1, 1), M5_MICRO_USD)
    found = reconcile([over], read(made))
    assert found.ledger_usd == Decimal("0.23")
    assert found.discrepancies == ()
    assert confirmed(found, [over]) == {}, "half a run's bill is not its cost"


def test_a_final_bill_confirms_what_its_runs_cost() -> None:
    runs = [run(0), run(1)]
    made = billed(runs)
    made.amend(runs[1].run_id, 90)
    assert confirmed(reconcile(runs, read(made)), runs) == {
        runs[0].run_id: Decimal("0.23"),
        runs[1].run_id: Decimal("0.207"),
    }
    made.estimated = True
    assert confirmed(reconcile(runs, read(made)), runs) == {}, "AWS may still add to it"


def test_the_bill_is_read_to_its_last_page_and_split_by_service() -> None:
    runs = [run(at) for at in range(8)]
    made = billed(runs)
    made.hours(runs[0].run_id, (1, 100), M5_MICRO_USD, "AmazonCloudWatch")
    bill = read(made)
    assert made.asked == 3 + 3
    services = {row.service for row in bill.rows if row.run_id == runs[0].run_id}
    assert services == {"Amazon SageMaker", "AmazonCloudWatch"}
    assert bill.usage_of(runs[0].run_id) == Decimal("0.2323")
    assert bill.usage_of("nobody") is None


def test_readings_are_kept(tmp_path: Path) -> None:
    bill = read(billed([run(0)]))
    assert last_kept("2026-11", tmp_path) is None
    keep(bill, tmp_path)
    assert last_kept("2026-11", tmp_path) == bill


def test_months() -> None:
    assert [day.isoformat() for day in month_bounds("2026-12")] == ["2026-12-01", "2027-01-01"]
    with pytest.raises(SpecError, match="is no month"):
        month_bounds("November")
    with pytest.raises(SpecError, match="has not begun"):
        read_bill(BillGenerator(), "2027-05", now=LATER)
