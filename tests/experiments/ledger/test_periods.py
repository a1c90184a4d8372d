from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.ledger.periods import days_of, forecast_month, spend_by, spent_in
from experiments.records import Basis, RunRecord
from tests.experiments.build import record

BORDER = datetime(2026, 10, 31, 23, 0, tzinfo=UTC)


def run(
    usd: str, *, start: datetime = BORDER, seconds: int = 3600, run_id: str = "1", **changes: object
) -> RunRecord:
    return record(
        **{
            "run_id": run_id,
            "cost_usd": Decimal(usd),
            "cost_basis": Basis.ESTIMATED,
            "started_at": start,
            "ended_at": start + timedelta(seconds=seconds),
            **changes,
        }
    )


def test_a_run_over_the_month_border_is_shared_by_its_seconds() -> None:
    # 23:00 to 02:00: one hour of three in October, two in November; 0.60 USD
    over = run("0.60", seconds=3 * 3600)
    assert dict(days_of(over)) == {
        date(2026, 10, 31): Decimal("0.2"),
        date(2026, 11, 1): Decimal("0.4"),
    }
    assert spent_in([over], "2026-10", [Basis.ESTIMATED]) == Decimal("0.2")
    assert spent_in([over], "2026-11", [Basis.ESTIMATED]) == Decimal("0.4")
    assert spent_in([over], "2026-11", [Basis.SIMULATED]) == 0
    assert [s.heading for s in spend_by([over], "month")] == ["2026-10", "2026-11"]


@given(
    usd=st.decimals(0, 1000, places=6),
    seconds=st.integers(0, 40 * 86_400),
    at=st.integers(0, 10**7),
)
def test_the_days_of_a_run_add_up_to_its_cost(usd: Decimal, seconds: int, at: int) -> None:
    whole = run(str(usd), start=BORDER + timedelta(seconds=at), seconds=seconds)
    assert sum((part for _, part in days_of(whole)), Decimal(0)) == usd


def test_a_run_that_never_started_or_has_no_cost_is_on_no_day() -> None:
    assert list(days_of(record(cost_usd=None, started_at=BORDER))) == []
    assert list(days_of(record(started_at=None, ended_at=None))) == []
    assert list(days_of(record(started_at=None, ended_at=BORDER))) == [
        (date(2026, 10, 31), Decimal("0.01"))
    ]


@pytest.mark.parametrize(
    ("by", "headings"),
    [
        ("experiment", ["cats", "dogs"]),
        ("kind", ["ec2 c5.xlarge", "sagemaker ml.m5.xlarge"]),
        ("run", ["one (1)", "one (2)"]),
        ("day", ["2026-10-31"]),
    ],
)
def test_spend_by_each_heading(by: str, headings: list[str]) -> None:
    runs = [
        run("1", run_id="1"),
        run("2", run_id="2", experiment="cats", launcher="ec2", instance_type="c5.xlarge"),
    ]
    found = spend_by(runs, by)  # type: ignore[arg-type]
    assert [s.heading for s in found] == headings
    assert sum(s.usd for s in found) == 3


def test_simulated_and_paid_are_two_sums() -> None:
    runs = [run("1"), run("5", run_id="2", cost_basis=Basis.SIMULATED)]
    assert {(s.basis, s.usd) for s in spend_by(runs, "experiment")} == {
        (Basis.ESTIMATED, Decimal(1)),
        (Basis.SIMULATED, Decimal(5)),
    }


def test_a_steady_month_is_foreseen_exactly() -> None:
    # 3 USD a day from 1 to 10 November: spent 30, 20 days left, 90 in all
    first = datetime(2026, 11, 1, 8, tzinfo=UTC)
    runs = [run("3", run_id=str(d), start=first + timedelta(days=d)) for d in range(10)]
    now = datetime(2026, 11, 10, 20, tzinfo=UTC)
    seen = forecast_month(runs, now=now, basis=Basis.ESTIMATED)
    assert seen is not None
    assert (seen.spent_usd, seen.expected_usd) == (Decimal(30), Decimal(90))
    assert seen.low_usd == seen.high_usd == seen.expected_usd, (
        "days that never differ have no spread"
    )
    assert forecast_month(runs, now=now, basis=Basis.SIMULATED) is None


def test_uneven_days_give_an_interval_that_never_undoes_what_was_spent() -> None:
    first = datetime(2026, 11, 1, 8, tzinfo=UTC)
    runs = [
        run("9", run_id="1", start=first),
        run("1", run_id="2", start=first + timedelta(days=9)),
    ]
    seen = forecast_month(runs, now=first + timedelta(days=9), basis=Basis.ESTIMATED)
    assert seen is not None
    assert seen.low_usd is not None
    assert seen.high_usd is not None
    assert seen.low_usd >= seen.spent_usd == 10
    assert seen.low_usd < seen.expected_usd < seen.high_usd
    soon = forecast_month(runs, now=first + timedelta(days=2), basis=Basis.ESTIMATED)
    assert soon is not None
    assert soon.low_usd is None, "three days say nothing of a month"
