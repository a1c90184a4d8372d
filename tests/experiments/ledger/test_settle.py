"""Ledgers computed by hand; every figure's arithmetic stands beside it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.errors import PedigreeError, PriceError
from experiments.following.settle import Ledger, frozen_book
from experiments.ledger.settle import account, for_seconds, so_far, total, usd_per_second
from experiments.prices import latest_book, read_book, write_book
from experiments.records import Basis, Cost, Footprint, Hosts, Segment, Usage
from tests.experiments.build import REGION, book, plan, price, usage

START = datetime(2026, 10, 31, 22, 0, tzinfo=UTC)
SPOT = price("ec2", "spot", "c5.xlarge", "0.07")
FULL = book(
    *book().rows.values(),
    SPOT,
    price("s3", "standard_storage", "", "0.023", unit="GB-month"),
    price("s3", "put_request", "", "0.005", unit="1k requests"),
    price("s3", "get_request", "", "0.0004", unit="1k requests"),
    price("cloudwatch", "logs_ingest", "", "0.5", unit="GB"),
    price("sagemaker", "training_storage", "", "0.14", unit="GB-month"),
    price("sagemaker", "training_warm_pool", "ml.m5.large", "0.115"),
)


def hosts(kind: str = "c5.xlarge", *, count: int = 1, gb: int = 73, spot: bool = False) -> Hosts:
    launcher = "sagemaker" if kind.startswith("ml.") else "ec2"
    return Hosts(
        launcher=launcher, instance_type=kind, count=count, region=REGION, volume_gb=gb, spot=spot
    )


def segment(at_s: int, for_s: int, *, interrupted: bool = False) -> Segment:
    started = START + timedelta(seconds=at_s)
    ended = started + timedelta(seconds=for_s)
    return Segment(started_at=started, ended_at=ended, interrupted=interrupted)


def amounts(cost: Cost) -> list[str]:
    return [str(item.usd) for item in cost.lines]


def settled(where: Hosts, used: Usage, footprint: Footprint | None = None) -> Cost:
    return account(where, used, book=FULL, basis=Basis.ESTIMATED, footprint=footprint)


def test_spot_with_two_interruptions() -> None:
    used = Usage(
        billable_s=Decimal(0),
        hosts=1,
        started_at=START,
        ended_at=START + timedelta(hours=4),
        spot=True,
        segments=(
            segment(0, 1800, interrupted=True),  # within its first hour: free
            segment(2000, 5400, interrupted=True),  # 1.5 h at 0.07 = 0.105
            segment(8000, 3600),  # 1 h at 0.07 = 0.07
        ),
    )
    ledger = settled(hosts(spot=True), used)
    # 73 GB for 1800 + 5400 + 3600 = 10,800 s = 3 of 730 h: 0.3 GB-month at 0.08 = 0.024
    assert amounts(ledger) == ["0", "0.105", "0.07", "0.024"]
    assert ledger.total_usd == Decimal("0.199")
    assert (
        ledger.lines[0].item == "c5.xlarge spot, segment 1 of 3 (interrupted after 1800.0 s: free)"
    )
    assert [item.price for item in ledger.lines[:3]] == [SPOT] * 3


def test_two_sagemaker_hosts_with_everything_around_them() -> None:
    footprint = Footprint(
        stored_bytes=2**30 // 2,
        stored_days=73,
        put_requests=10,
        get_requests=2706,
        log_bytes=2**30 // 1024,
    )
    ledger = settled(hosts("ml.m5.large", count=2, gb=73), usage(7200, 2), footprint)
    assert amounts(ledger) == [
        "0.46",  # 2 hosts x 2 h x 0.115
        "0.056",  # 2 x 73 GB for 2 of 730 h = 0.4 GB-month at 0.14
        "0.0276",  # 0.5 GB for 73 days = 1752 of 730 h: 1.2 GB-month at 0.023
        "0.00005",  # 10 at 0.005 a thousand
        "0.0010824",  # 2706 at 0.0004 a thousand
        "0.0004882812",  # 1/1024 GB at 0.5 = 0.00048828125, half to even
    ]
    assert ledger.total_usd == Decimal("0.5452206812")
    assert not any("S3" in what or "log" in what for what in ledger.not_counted)


def test_managed_spot_bills_billable_seconds_at_the_training_price() -> None:
    used = Usage(
        billable_s=Decimal(1800),
        hosts=1,
        started_at=START,
        ended_at=START + timedelta(seconds=6000),
        training_s=Decimal(6000),
        spot=True,
    )
    ledger = settled(hosts("ml.m5.xlarge", gb=1, spot=True), used)
    assert amounts(ledger)[0] == "0.115"  # 0.5 h at 0.23
    assert "trained 6000 s, billed 1800 s" in ledger.lines[0].item


def test_a_warm_pool_is_its_own_line() -> None:
    used = Usage(
        billable_s=Decimal(3600), hosts=1, started_at=None, ended_at=None, retained_s=Decimal(1800)
    )
    kept = settled(hosts("ml.m5.large"), used)
    assert amounts(kept)[:2] == ["0.115", "0.0575"]
    elsewhere = settled(hosts("ml.m5.xlarge"), used)
    assert any(
        "kept warm (no sagemaker training_warm_pool" in text for text in elsewhere.not_counted
    )


@pytest.mark.parametrize("kind", ["ml.m5.large", "c5.xlarge", "a type without a price"])
def test_a_failed_launch_costs_nothing(kind: str) -> None:
    ledger = settled(hosts(kind), usage(0), Footprint(put_requests=3))
    assert (ledger.lines, ledger.total_usd) == ((), Decimal(0))


def test_an_amended_price_changes_no_old_run() -> None:
    """The book of October says 0.17, that of November 0.16; each run keeps its own."""
    old = book(*book().rows.values())
    new = book(
        *(row for row in old.rows.values() if row.instance_type != "c5.xlarge"),
        price("ec2", "instance", "c5.xlarge", "0.16"),
    )
    before = account(hosts(), usage(3600), book=old, basis=Basis.ESTIMATED)
    after = account(hosts(), usage(3600), book=new, basis=Basis.ESTIMATED)
    assert (amounts(before)[0], amounts(after)[0]) == ("0.17", "0.16")
    assert before.lines[0].price.usd == Decimal("0.17"), "frozen into the line"


def test_a_spot_type_without_a_quote_is_reckoned_on_demand_and_says_so() -> None:
    used = Usage(billable_s=Decimal(3600), hosts=1, started_at=None, ended_at=None, spot=True)
    ledger = settled(hosts("c4.xlarge", spot=True), used)
    assert amounts(ledger)[0] == "0.199"
    assert any("no quote for c4.xlarge" in text for text in ledger.not_counted)


def test_what_has_no_price_in_a_region_is_named_not_guessed() -> None:
    shipped = latest_book()
    where = Hosts(
        launcher="ec2", instance_type="c5.xlarge", count=1, region="us-west-2", volume_gb=30
    )
    few = Footprint(put_requests=5, get_requests=7, log_bytes=9)
    ledger = account(where, usage(3600), book=shipped, basis=Basis.ESTIMATED, footprint=few)
    assert "S3 reads (no s3 get_request price for us-west-2 in the book)" in ledger.not_counted
    with pytest.raises(PriceError, match=r"ml\.m5\.xlarge in us-west-2"):
        account(
            Hosts(
                launcher="sagemaker",
                instance_type="ml.m5.xlarge",
                count=1,
                region="us-west-2",
                volume_gb=1,
            ),
            usage(1),
            book=shipped,
            basis=Basis.ESTIMATED,
        )


def test_the_type_that_ran_is_billed_not_the_one_written_down() -> None:
    """The write-up behind this launched c4.xlarge and wrote down c5.xlarge's price."""
    shipped = latest_book()
    ran = for_seconds(hosts("c4.xlarge"), Decimal(3600), book=shipped, basis=Basis.ESTIMATED)
    written_down = Decimal("0.17")
    assert ran.lines[0].price.instance_type == "c4.xlarge"
    assert ran.lines[0].usd == Decimal("0.199") != written_down


def test_the_cost_so_far_grows_with_the_clock_and_is_never_billed() -> None:
    def until(seconds: int, basis: Basis = Basis.BILLED) -> Cost:
        now = START + timedelta(seconds=seconds)
        return so_far(hosts(), started_at=START, now=now, book=FULL, basis=basis)

    assert so_far(hosts(), started_at=None, now=START, book=FULL, basis=Basis.BILLED).lines == ()
    assert until(7200).total_usd == 2 * until(3600).total_usd
    assert until(3600).basis is Basis.ESTIMATED
    assert until(3600, Basis.SIMULATED).basis is Basis.SIMULATED
    assert usd_per_second(hosts(), book=FULL) * 3600 == until(3600).total_usd


def test_costs_of_different_basis_are_never_added() -> None:
    paid = for_seconds(hosts(), Decimal(3600), book=FULL, basis=Basis.ESTIMATED)
    played = for_seconds(hosts(), Decimal(3600), book=FULL, basis=Basis.SIMULATED)
    assert total([]) is None
    assert total([paid, paid]) == (Basis.ESTIMATED, 2 * paid.total_usd)
    with pytest.raises(PedigreeError, match="never added up"):
        total([paid, played])


@given(
    runs=st.lists(st.tuples(st.integers(1, 20_000), st.booleans()), min_size=1, max_size=6),
)
def test_a_spot_ledger_is_the_sum_of_its_segments(runs: list[tuple[int, bool]]) -> None:
    at, segments, billed = 0, [], Decimal(0)
    for seconds, interrupted in runs:
        segments.append(segment(at, seconds, interrupted=interrupted))
        at += seconds + 100
        if not (interrupted and seconds < 3600):
            billed += max(seconds, 60)
    used = Usage(
        billable_s=Decimal(0),
        hosts=1,
        started_at=START,
        ended_at=None,
        spot=True,
        segments=tuple(segments),
    )
    ledger = settled(hosts(spot=True), used)
    compute = sum((item.usd for item in ledger.lines[:-1]), Decimal(0))
    assert abs(compute - billed * SPOT.usd / 3600) < Decimal("0.00000001")


def test_a_book_written_while_a_run_goes_on_changes_nothing_of_it(tmp_path: Path) -> None:
    old = [row for row in book().rows.values() if row.instance_type != "c5.xlarge"]
    for date, usd in (("2026-10-01", "0.17"), ("2026-11-15", "0.16")):
        write_book([*old, price("ec2", "instance", "c5.xlarge", usd)], tmp_path / f"{date}.csv")
    launched = plan("plain", book=read_book(tmp_path / "2026-10-01.csv"))
    newest = read_book(tmp_path / "2026-11-15.csv")
    cost = Ledger(book=newest, cloud=Basis.BILLED).cost(launched, usage(3600))
    assert cost.lines[0].usd == Decimal("0.17")
    assert frozen_book(plan("plain", book=newest), newest) is newest
    assert frozen_book(plan("plain"), newest) is newest, "its own book is gone"


def test_a_thousand_reads_at_the_shipped_price() -> None:
    """0.0004 USD a thousand in us-east-1: the unit of the row counts, not one request."""
    where = hosts("ml.m5.large", gb=30)
    ledger = account(
        where,
        usage(3600),
        book=latest_book(),
        basis=Basis.ESTIMATED,
        footprint=Footprint(get_requests=1000, put_requests=1000),
    )
    assert {item.item: str(item.usd) for item in ledger.lines} == {
        "1 x ml.m5.large": "0.115",
        "S3 writes": "0.005",
        "S3 reads": "0.0004",
    }
