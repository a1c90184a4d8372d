from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.cost import compute_price, line, money
from experiments.errors import PriceError
from experiments.prices import latest_book
from experiments.records import Basis, Cost
from tests.experiments.build import REGION, book, price, run_cost, usage


def cost(launcher: str, kind: str, seconds: str | int, *, hosts: int = 1, gb: int = 30) -> Cost:
    return run_cost(
        usage(seconds, hosts),
        launcher=launcher,
        instance_type=kind,
        region=REGION,
        volume_gb=gb,
        book=book(),
        basis=Basis.SIMULATED,
    )


def test_two_sagemaker_hosts_for_313_seconds() -> None:
    ledger = cost("sagemaker", "ml.m5.large", 313, hosts=2)
    (compute,) = ledger.lines
    # 2 x 313 s = 626 s = 0.1738888... h, at 0.115 USD = 0.01999722222... USD
    assert compute.quantity == Decimal("0.173888889")
    assert compute.usd == Decimal("0.0199972222")
    assert ledger.total_usd == Decimal("0.0199972222")
    assert compute.price.as_of == "2026-11-01"
    assert any("training volume" in what for what in ledger.not_counted)


def test_ec2_for_an_hour_with_its_volume() -> None:
    compute, volume = cost("ec2", "c5.xlarge", 3600, gb=73).lines
    assert (compute.quantity, compute.usd) == (Decimal(1), Decimal("0.17"))
    # 73 GB for 1 of a month's 730 hours is 0.1 GB-month, at 0.08 USD
    assert (volume.quantity, volume.usd) == (Decimal("0.1"), Decimal("0.008"))


@pytest.mark.parametrize("seconds", ["0.5", "17", "60"])
def test_ec2_bills_a_minute_at_least(seconds: str) -> None:
    compute, volume = cost("ec2", "c5.xlarge", seconds).lines
    # 60 s at 0.17 USD an hour; 30 GB for 60 s = 0.00068493150... GB-month at 0.08 USD
    assert compute.usd == Decimal("0.0028333333")
    assert volume.usd == Decimal("0.0000547945")


def test_sagemaker_has_no_such_minimum() -> None:
    assert cost("sagemaker", "ml.m5.xlarge", 36).total_usd == Decimal("0.0023")


@pytest.mark.parametrize("launcher", ["sagemaker", "ec2"])
def test_a_launch_that_failed_costs_nothing(launcher: str) -> None:
    ledger = cost(launcher, "a type that has no price", 0)
    assert ledger.lines == ()
    assert ledger.total_usd == 0
    assert ledger.basis is Basis.SIMULATED


def test_the_ledger_names_the_type_that_ran_and_its_own_price() -> None:
    """The write-up behind this launched c4.xlarge and wrote down c5.xlarge's price."""
    shipped = latest_book()
    ran = compute_price(shipped, "ec2", "c4.xlarge", "us-east-1")
    written_down = compute_price(shipped, "ec2", "c5.xlarge", "us-east-1")
    assert (ran.usd, written_down.usd) == (Decimal("0.199"), Decimal("0.17"))
    ledger = run_cost(
        usage(2 * 3600),
        launcher="ec2",
        instance_type="c4.xlarge",
        region="us-east-1",
        volume_gb=30,
        book=shipped,
        basis=Basis.ESTIMATED,
    )
    assert ledger.lines[0].item == "1 x c4.xlarge"
    assert ledger.lines[0].price == ran
    assert ledger.lines[0].usd == Decimal("0.398")


def test_a_type_without_a_price_is_refused_not_guessed() -> None:
    with pytest.raises(PriceError, match=r"ml\.c5\.xlarge"):
        cost("sagemaker", "ml.c5.xlarge", 10)


def test_round_quantities_are_written_plainly() -> None:
    ten = line("hours", Decimal(36_000), price("a", "b", "", "100"), per=Decimal(3600))
    assert (str(ten.quantity), str(ten.usd)) == ("10", "1000")


SECONDS = st.decimals(min_value=0, max_value=500_000, places=3)


@given(
    seconds=SECONDS,
    more=SECONDS,
    hosts=st.integers(1, 20),
    extra=st.integers(0, 20),
    where=st.sampled_from([("sagemaker", "ml.m5.large"), ("ec2", "c5.xlarge")]),
)
def test_a_total_is_the_sum_of_its_lines_and_never_falls(
    seconds: Decimal, more: Decimal, hosts: int, extra: int, where: tuple[str, str]
) -> None:
    less = cost(*where, str(seconds), hosts=hosts)
    assert less.total_usd == sum((item.usd for item in less.lines), Decimal(0))
    for item in less.lines:
        assert abs(item.usd - item.quantity * item.price.usd) <= Decimal("0.000000001")
    assert less.total_usd >= 0
    assert cost(*where, str(seconds + more), hosts=hosts).total_usd >= less.total_usd
    assert cost(*where, str(seconds), hosts=hosts + extra).total_usd >= less.total_usd


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        (None, "-"),
        (Decimal(0), "$0"),
        (Decimal("1234.567"), "$1,234.57"),
        (Decimal("0.115"), "$0.1150"),
        (Decimal("0.00233"), "$0.0023"),
        (Decimal("0.0000123"), "$0.000012"),
    ],
)
def test_money_reads_well(usd: Decimal | None, shown: str) -> None:
    assert money(usd) == shown
