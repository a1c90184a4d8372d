from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.budgets import (
    Budgets,
    Watch,
    allowance_usd,
    budgets_of,
    check,
    must_stop,
    planned_usd,
    read_month_budget,
    same_money,
    write_month_budget,
)
from experiments.errors import BudgetError, SpecError
from experiments.launching.plan import plan_launch
from experiments.ledger.settle import hosts_of, so_far, usd_per_second
from experiments.records import Basis, Cost, Estimate, LaunchPlan, RunRecord, RunStatus
from experiments.spec import parse_spec
from tests.experiments.build import NOW, SPEC, book, ingredients, plan, record
from tests.experiments.fake_cloud import Clock
from tests.experiments.fake_runs import Work
from tests.experiments.world import World


def planned(usd: str, likely: str | None = None) -> LaunchPlan:
    estimate = Estimate(
        low_usd=Decimal(0),
        expected_usd=None,
        high_usd=Decimal(usd),
        why="",
        likely_high_usd=Decimal(likely) if likely else None,
    )
    return replace(plan(), estimate=estimate)


def spent(usd: str, *, basis: Basis = Basis.ESTIMATED, at: datetime = NOW) -> RunRecord:
    return record(cost_usd=Decimal(usd), cost_basis=basis, started_at=at, ended_at=at, run_id=usd)


def refused(budgets: Budgets, *history: RunRecord, basis: Basis = Basis.BILLED) -> str:
    with pytest.raises(BudgetError) as caught:
        check([planned("2")], budgets, history, now=NOW, basis=basis)
    assert caught.value.exit_code == 7
    return caught.value.message


def test_a_launch_that_would_break_its_run_budget_is_refused_with_the_sum() -> None:
    message = refused(Budgets(run_usd=(("one", Decimal("1.50")),)))
    assert message == "run one: spent $0 + planned $2.00 = $2.00 of $1.50"


def test_an_experiment_budget_counts_what_its_runs_have_cost() -> None:
    limit = Budgets(experiment_usd=Decimal(5))
    check([planned("2")], limit, [spent("3")], now=NOW, basis=Basis.BILLED)
    message = refused(limit, spent("3.01"))
    assert message == "experiment dogs: spent $3.01 + planned $2.00 = $5.01 of $5.00"


def test_a_month_budget_counts_this_month_alone() -> None:
    limit = Budgets(month_usd=Decimal(5))
    last_month = spent("100", at=NOW - timedelta(days=20))
    check([planned("2")], limit, [last_month], now=NOW, basis=Basis.BILLED)
    assert "month 2026-11: spent $4.00" in refused(limit, last_month, spent("4"))


def test_simulated_money_never_counts_against_aws_nor_the_other_way() -> None:
    limit = Budgets(month_usd=Decimal(5))
    played, paid = spent("100", basis=Basis.SIMULATED), spent("99")
    check([planned("2")], limit, [played], now=NOW, basis=Basis.BILLED)
    check([planned("2")], limit, [paid], now=NOW, basis=Basis.SIMULATED)
    assert "(simulated)" in refused(limit, played, basis=Basis.SIMULATED)
    assert same_money(Basis.ESTIMATED) == same_money(Basis.BILLED)


def test_a_plan_is_reckoned_at_its_interval_or_at_its_worst() -> None:
    assert planned_usd(planned("2", likely="0.5")) == Decimal("0.5")
    assert planned_usd(planned("2")) == 2


def test_the_tightest_limit_is_what_a_run_may_spend() -> None:
    limits = Budgets(run_usd=(("one", Decimal(3)),), month_usd=Decimal(10))

    def left(*history: RunRecord, others: str = "0") -> Decimal | None:
        return allowance_usd(
            planned("2"),
            limits,
            history,
            now=NOW,
            basis=Basis.BILLED,
            others_usd={"cats": Decimal(others)},
        )

    assert left() == 3
    assert left(spent("9")) == 1
    assert left(spent("9"), others="0.25") == Decimal("0.75")
    assert left(spent("11")) == 0
    assert allowance_usd(planned("2"), Budgets(), [], now=NOW, basis=Basis.BILLED) is None


@given(
    limit_cents=st.integers(1, 2000),
    tick_s=st.floats(0.5, 60),
    late_s=st.floats(0, 59),
)
def test_what_a_run_spends_past_its_limit_is_at_most_one_tick(
    limit_cents: int, tick_s: float, late_s: float
) -> None:
    """By the clock: looked at every tick, asked to stop, and gone a tick later at the latest."""
    limit, where, prices = Decimal(limit_cents) / 100, hosts_of(plan("plain")), book()
    rate = usd_per_second(where, book=prices)
    minimum = so_far(
        where, started_at=NOW, now=NOW + timedelta(seconds=1), book=prices, basis=Basis.BILLED
    ).total_usd
    now = NOW + timedelta(seconds=late_s)
    while True:
        cost = so_far(where, started_at=NOW, now=now, book=prices, basis=Basis.BILLED).total_usd
        if must_stop(cost, usd_per_second=rate, tick_s=tick_s, allowance=limit):
            break
        now += timedelta(seconds=max(tick_s, float(limit / rate) / 50))
        tick_s = max(tick_s, float(limit / rate) / 50)
    one_tick = rate * Decimal(str(tick_s)) + Decimal("0.0000001")
    assert cost <= max(limit, minimum) + one_tick
    gone = now + timedelta(seconds=tick_s)
    end = so_far(where, started_at=NOW, now=gone, book=prices, basis=Basis.BILLED).total_usd
    assert end <= max(limit, minimum) + 2 * one_tick


def test_without_a_limit_nothing_is_stopped() -> None:
    assert not must_stop(Decimal(10**6), usd_per_second=Decimal(1), tick_s=10, allowance=None)


def test_budgets_stand_in_the_experiment_file() -> None:
    text = SPEC.replace("app: dogs", "app: dogs\nbudget_usd: 2.5").replace(
        "name: one\n", "name: one\n    budget_usd: 1\n"
    )
    found = budgets_of(parse_spec(text), Decimal(50))
    assert found.of_run("one") == 1
    assert found.of_run("two") is None
    assert (found.experiment_usd, found.month_usd) == (Decimal("2.5"), Decimal(50))
    with pytest.raises(SpecError, match="budget_usd"):
        parse_spec(SPEC.replace("app: dogs", "app: dogs\nbudget_usd: -1"))


def test_the_month_budget_is_kept_in_the_workspace(tmp_path: Path) -> None:
    path = tmp_path / "state" / "budget.json"
    assert read_month_budget(path) is None
    write_month_budget(path, Decimal("12.50"))
    assert read_month_budget(path) == Decimal("12.50")
    write_month_budget(path, None)
    assert read_month_budget(path) is None
    path.write_text("{}")
    with pytest.raises(BudgetError, match="does not hold a budget"):
        read_month_budget(path)


def test_a_run_that_reaches_its_budget_is_stopped_in_time() -> None:
    """Followed by a clock: 4 hours of work at 0.17 USD an hour under a limit of 0.05 USD."""
    limits = {"one": "0.05"}
    text = SPEC.replace("name: plain\n", f"name: plain\n    budget_usd: {limits['one']}\n")
    spec = parse_spec(text)
    run = next(run for run in spec.runs if run.name == "plain")
    watched = plan_launch(spec, run, run_id="00000003", made_of=ingredients(), now=NOW)
    clock = Clock()
    watch = Watch(
        book=book(),
        basis=Basis.BILLED,
        tick_s=10.0,
        stopping_s=0.0,
        month_usd=None,
        history=lambda: [],
        now=clock.now,
    )
    where = hosts_of(watched)
    said = None
    while said is None:
        clock.sleep(10)
        cost = so_far(where, started_at=NOW, now=clock.now(), book=book(), basis=Basis.BILLED)
        said = watch(watched, cost)
    tick = usd_per_second(where, book=book()) * 10
    assert Decimal("0.05") - tick <= cost.total_usd <= Decimal("0.05")
    assert "of $0.0500" in said


def test_runs_beside_each_other_share_a_months_limit() -> None:
    one, two = plan("one", "00000001"), plan("plain", "00000003")
    watch = Watch(
        book=book(),
        basis=Basis.SIMULATED,
        tick_s=1.0,
        stopping_s=0.0,
        month_usd=Decimal("1.00"),
        history=lambda: [
            spent("0.50", basis=Basis.SIMULATED),
            spent("99"),  # AWS's money does not count here
        ],
        now=lambda: NOW,
    )

    def cost(of: LaunchPlan, seconds: int) -> Cost:
        now = NOW + timedelta(seconds=seconds)
        return so_far(hosts_of(of), started_at=NOW, now=now, book=book(), basis=Basis.SIMULATED)

    assert watch(one, cost(one, 3600)) is None  # 0.23 of the 0.50 that are left
    assert watch(two, cost(two, 3600)) is None  # 0.17 and a little more
    said = watch(two, cost(two, 2 * 3600))  # 0.34 and 0.23 are over 0.50
    assert said is not None
    assert "budget is reached" in said


def test_an_experiments_limit_counts_no_run_of_another_experiment() -> None:
    """As when `pedigree attach` follows runs of several experiments at once."""
    limited = {**plan("one").params, "budget/experiment_usd": "0.50"}
    dogs = replace(plan("one", "00000001"), params=limited)
    more_dogs = replace(plan("two", "00000002"), params=limited)
    cats = replace(plan("plain", "00000003"), experiment="cats")
    watch = Watch(
        book=book(),
        basis=Basis.SIMULATED,
        tick_s=1.0,
        stopping_s=0.0,
        month_usd=None,
        history=lambda: [],
        now=lambda: NOW,
    )

    def cost(of: LaunchPlan, seconds: int) -> Cost:
        now = NOW + timedelta(seconds=seconds)
        return so_far(hosts_of(of), started_at=NOW, now=now, book=book(), basis=Basis.SIMULATED)

    assert watch(cats, cost(cats, 10 * 3600)) is None  # 1.70
    assert watch(dogs, cost(dogs, 3600)) is None  # 0.23
    said = watch(more_dogs, cost(more_dogs, 2 * 3600))  # 0.46 more
    assert said is not None


def test_a_followed_run_is_asked_to_stop_at_its_budget(tmp_path: Path) -> None:
    """Through the executor, in simulated time: looked at every 2 s, 3,000 s of work, 0.02 USD."""
    world = World(logs=tmp_path, work={"00000001": Work(train_s=3000.0)})
    planned = world.plans[0]
    limited = replace(planned, params={**planned.params, "budget/run_usd": "0.02"})
    world.plans = [limited]
    watch = Watch(
        book=book(),
        basis=Basis.SIMULATED,
        tick_s=2.0,
        stopping_s=10.0,
        month_usd=None,
        history=lambda: [],
        now=world.clock.now,
    )
    world.around = replace(world.around, over_budget=watch)
    (found,) = world.run()
    assert found.status is RunStatus.STOPPED
    assert found.reason.startswith("its budget is reached")
    assert world.cloud.count("stop_training_job") == 1
    rate = usd_per_second(hosts_of(limited), book=book())
    assert found.cost_usd is not None
    assert Decimal("0.02") - (10 + 2 * 2) * rate < found.cost_usd <= Decimal("0.02")


def test_a_tracker_that_is_down_leaves_a_runs_own_limit_in_force() -> None:
    answers: list[list[RunRecord]] = []

    def history() -> list[RunRecord]:
        if not answers:
            raise OSError("the tracker is down")
        return answers[0]

    limited = plan("plain")
    limited = replace(limited, params={**limited.params, "budget/run_usd": "0.10"})
    watch = Watch(
        book=book(),
        basis=Basis.BILLED,
        tick_s=1.0,
        stopping_s=0.0,
        month_usd=Decimal(1),
        history=history,
        now=lambda: NOW,
    )

    def ask(seconds: int) -> str | None:
        now = NOW + timedelta(seconds=seconds)
        return watch(
            limited,
            so_far(hosts_of(limited), started_at=NOW, now=now, book=book(), basis=Basis.BILLED),
        )

    assert ask(600) is None
    assert ask(3600) is not None
    answers.append([spent("0.99")])
    assert ask(600) is not None, "the month's limit holds once the tracker answers"
