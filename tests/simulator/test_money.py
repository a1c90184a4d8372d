"""The bill, the month from a few days, and what is said of both."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.errors import PriceError, SpecError
from simulator import Serverless, Settings, simulate, study
from simulator.bill import DAY_HOURS, MONTH_HOURS, bill
from simulator.goal import Goal, misses, parse_goal
from simulator.outcome import Usage
from simulator.report import doubts, headline, money_rows, slot_rows
from simulator.traffic import daily
from tests.simulator.builders import fixed, market, question

DAY_S = 86_400.0


def usage(**members: float) -> Usage:
    facts: dict[str, float] = {
        "length_s": DAY_S,
        "instance_s": DAY_S,
        "calls": 1000,
        "warm_billed_ms": 60_000,
        "on_demand_billed_ms": 30_000,
        "provisioned_environment_s": 3 * DAY_S,
        "serverless_s": 0,
        "serverless_provisioned_s": 0,
        "photos_bytes": 2**30,
        "log_bytes": 2**30,
        **members,
    }
    return Usage(**facts)  # type: ignore[arg-type]


def test_each_component_at_its_price() -> None:
    where = market()
    found = bill(usage(), Settings(), hours=DAY_HOURS, region=where.region, book=where.book)
    lines = {line.component: line.usd for line in found.lines}
    assert lines == {
        "instances": Decimal("2.76"),
        "lambda requests": Decimal("0.0002"),
        "lambda GB-seconds": Decimal("0.0001250002"),
        "lambda GB-seconds, provisioned": Decimal("0.000145833"),
        "provisioned concurrency": Decimal("0.270002160"),
        "data processed": Decimal("0.02"),
        "logs": Decimal("0.5"),
    }
    assert found.total_usd == sum(lines.values())


def test_a_month_is_730_hours_of_the_same() -> None:
    where = market()
    facts = {"region": where.region, "book": where.book}
    day = bill(usage(), Settings(), hours=DAY_HOURS, **facts)  # type: ignore[arg-type]
    month = bill(usage(), Settings(), hours=MONTH_HOURS, **facts)  # type: ignore[arg-type]
    assert float(month.total_usd / day.total_usd) == pytest.approx(730 / 24, rel=1e-6)


@given(
    name=st.sampled_from(["instance_s", "calls", "warm_billed_ms", "log_bytes", "photos_bytes"]),
    less=st.integers(0, 10**7),
    more=st.integers(0, 10**7),
)
def test_more_of_anything_never_costs_less(name: str, less: int, more: int) -> None:
    where = market()
    low, high = sorted((less, more))
    costs = [
        bill(
            usage(**{name: value}),
            Settings(),
            hours=DAY_HOURS,
            region=where.region,
            book=where.book,
        ).total_usd
        for value in (low, high)
    ]
    assert costs[0] <= costs[1]


def test_what_has_no_price_is_named_or_given() -> None:
    where = market()
    settings = Settings(serverless=Serverless())
    used = usage(instance_s=0, serverless_s=100, serverless_provisioned_s=5)
    facts = {"hours": DAY_HOURS, "region": where.region, "book": where.book}
    without = bill(used, settings, **facts)  # type: ignore[arg-type]
    assert without.unpriced == ("serverless_gb_second", "serverless_provisioned_gb_second")
    given_ = {"serverless_gb_second": Decimal("0.00002")}
    with_ = bill(used, settings, **facts, prices=given_)  # type: ignore[arg-type]
    assert with_.total_usd - without.total_usd == Decimal("0.008")
    with pytest.raises(PriceError):
        bill(usage(), Settings(instance_type="ml.m5.24xlarge"), **facts)  # type: ignore[arg-type]


def check_month(days: int, seed: int) -> None:
    """A day a seed against so many days simulated whole: within the stated interval of both."""
    settings = Settings(target_per_minute=10, reserved_concurrency=50)
    asked = question(settings, traffic=daily(0.15, 0.3), service=fixed(0.06), length_s=DAY_S)
    day = replace(asked, warm_up_s=3600.0)
    found = study(day, market(), seeds=5, first_seed=seed)
    whole = study(replace(day, length_s=days * DAY_S), market(), seeds=5, first_seed=seed + 50)
    assert found.month_error_usd is not None
    assert whole.month_error_usd is not None
    off = abs(float(found.month.total_usd) - float(whole.month.total_usd))
    assert off <= math.hypot(found.month_error_usd, whole.month_error_usd)
    assert found.month_error_usd < 0.1 * float(whole.month.total_usd)


def test_the_month_from_one_day_a_seed_is_as_exact_as_it_says() -> None:
    check_month(3, seed=1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 101, 201])
def test_the_month_from_one_day_a_seed_is_as_exact_as_a_whole_one(seed: int) -> None:
    check_month(30, seed)


def test_what_goes_by_before_is_not_counted() -> None:
    """A fleet that has to grow first costs less on its first day than on any other."""
    settings = Settings(target_per_minute=10, reserved_concurrency=50)
    first = question(settings, per_s=2.0, length_s=7200.0)
    later = replace(first, warm_up_s=3600.0)
    cold, warm = simulate(first), simulate(later)
    assert cold.sums.mean_instances < 3 == warm.sums.mean_instances
    assert warm.usage.length_s == 7200.0
    assert sum(slot.arrivals for slot in warm.slots) == warm.sums.arrivals


def test_goals_in_words() -> None:
    goal = parse_goal(("p99=800ms", "p95=0.5s"), max_refused="0.1%", max_failed="0")
    assert goal == Goal(p95_ms=500, p99_ms=800, max_refused=0.001, max_failed=0)
    for wrong in ("p98=1s", "p99", "p99=0ms", "800ms"):
        with pytest.raises(SpecError):
            parse_goal((wrong,), max_refused="0")
    for share in ("2", "many", "101%"):
        with pytest.raises(SpecError):
            parse_goal((), max_refused=share)


def test_what_is_missed_is_said() -> None:
    slow = question(Settings(reserved_concurrency=1, provisioned_concurrency=1), per_s=4)
    found = study(slow, market(), seeds=2)
    said = " ".join(misses(found, Goal(p99_ms=50, max_refused=0.001)))
    assert "p99" in said
    assert "429" in said
    assert misses(found, Goal(p99_ms=5000, max_refused=1.0)) == ()


def test_words_and_tables_hold_every_figure() -> None:
    found = study(question(per_s=0.1), market(), seeds=2)
    rows = dict(headline(found))
    assert {"p99 of the answered", "refused (429)", "idle share of the instances"} <= set(rows)
    assert [row[0] for row in money_rows(found)][-1] == "in sum"
    said = list(doubts(found))
    assert any("instance_start_s" in line for line in said)
    assert any("95% interval" in line for line in said)
    assert len(list(slot_rows(found))) == 2 * 60
    assert simulate(found.question, seed=1) == found.outcomes[0]
