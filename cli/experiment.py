"""From an experiment file to plans to runs: what `run`, `plan` and `demo` share."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cli.workspace import Workspace

if TYPE_CHECKING:
    from experiments.aws import Boto3Cloud
    from experiments.budgets import Sum
    from experiments.dataset import LocalDataset
    from experiments.following.follow import Interrupt, Surroundings
    from experiments.launching.plan import Ingredients
    from experiments.records import LaunchPlan, RunRecord
    from experiments.spec import ExperimentSpec
    from experiments.tracking import Tracker


@dataclass(frozen=True, kw_only=True)
class Checked:
    """An experiment whose file, prices and photographs passed every check that costs nothing."""

    spec: ExperimentSpec
    base: Path
    data: LocalDataset


def check_experiment(spec_path: Path, data: Path | None, *, trials: int | None = None) -> Checked:
    """Read the file and the photographs; refuse here what would fail later. `trials` are for every
    run, whatever the file says."""
    from experiments.prepare import check_inputs
    from experiments.prices import latest_book
    from experiments.spec import load_spec

    spec = load_spec(spec_path)
    if trials is not None:
        spec = spec.with_settings({"trials": trials})
    folder = data if data is not None else (spec_path.parent / spec.data)
    local = check_inputs(spec, folder, latest_book())
    return Checked(spec=spec, base=spec_path.parent, data=local)


def history(tracker: Tracker, cloud: Boto3Cloud) -> tuple[RunRecord, ...]:
    """Settled runs whose costs are of the kind this cloud makes: simulated never predicts AWS."""
    from experiments.forecast.foresee import usable
    from experiments.tracking.sql import FORECAST, board

    return usable(board(tracker, columns=FORECAST), cloud.basis)


def _plans(checked: Checked, made_of: Ingredients) -> tuple[LaunchPlan, ...]:
    from experiments.contract import check
    from experiments.launching.plan import plan_experiment

    plans = plan_experiment(
        checked.spec,
        run_ids=[secrets.token_hex(4) for _ in checked.spec.runs],
        made_of=made_of,
        now=datetime.now(tz=UTC),
    )
    for plan in plans:
        check(plan.calls)
    return plans


def foresee_plans(
    checked: Checked, cloud: Boto3Cloud, tracker: Tracker, space: Workspace
) -> tuple[LaunchPlan, ...]:
    """The plans of an experiment, with nothing created and nothing sent."""
    from experiments.prepare import foresee
    from experiments.prices import latest_book

    made_of = foresee(
        checked.spec,
        checked.data,
        cloud=cloud,
        book=latest_book(),
        history=history(tracker, cloud),
        cache=space.cache,
        base=checked.base,
    )
    return _plans(checked, made_of)


def budget_sums(
    plans: Sequence[LaunchPlan],
    checked: Checked,
    cloud: Boto3Cloud,
    tracker: Tracker,
    space: Workspace,
) -> tuple[Sum, ...]:
    """Every budget these plans fall under, with what is spent and what they would add."""
    from experiments import budgets
    from experiments.tracking.sql import board

    limits = budgets.budgets_of(checked.spec, budgets.read_month_budget(space.budget))
    if not limits.any:
        return ()
    now = datetime.now(tz=UTC)
    return budgets.sums(plans, limits, board(tracker), now=now, basis=cloud.basis)


def check_budgets(checked: Checked, cloud: Boto3Cloud, tracker: Tracker, space: Workspace) -> None:
    """Refuse with BudgetError what would break a budget, before anything is created or sent."""
    from experiments import budgets

    limits = budgets.budgets_of(checked.spec, budgets.read_month_budget(space.budget))
    if limits.any:
        plans = foresee_plans(checked, cloud, tracker, space)
        budgets.refuse_broken(budget_sums(plans, checked, cloud, tracker, space))


def prepared_plans(
    checked: Checked,
    cloud: Boto3Cloud,
    tracker: Tracker,
    space: Workspace,
    say: Callable[[str], None],
    *,
    quiet: bool = False,
) -> tuple[LaunchPlan, ...]:
    """The plans of an experiment, with data, code and weights already in the bucket."""
    from cli import show
    from experiments.prepare import prepare
    from experiments.prices import latest_book

    check_budgets(checked, cloud, tracker, space)
    with ExitStack() as stack:
        sent = None if quiet else stack.enter_context(show.progress("photographs sent"))
        made_of = prepare(
            checked.spec,
            checked.data,
            cloud=cloud,
            book=latest_book(),
            history=history(tracker, cloud),
            cache=space.cache,
            base=checked.base,
            progress=lambda _what, done, total: sent(done, total) if sent else None,
            say=say,
        )
    return _plans(checked, made_of)


def execute(
    plans: tuple[LaunchPlan, ...],
    cloud: Boto3Cloud,
    tracker: Tracker,
    space: Workspace,
    *,
    parallel: int,
    say: Callable[[str], None],
    on_interrupt: Callable[[Sequence[str]], Interrupt] | None = None,
) -> list[RunRecord]:
    """Run the plans and return their settled records."""
    from experiments.following.follow import catch_up_tracker, run_plans

    around = surroundings(cloud, tracker, space, say, on_interrupt=on_interrupt)
    catch_up_tracker(around)
    return run_plans(plans, parallel=parallel, around=around)


def surroundings(
    cloud: Boto3Cloud,
    tracker: Tracker,
    space: Workspace,
    say: Callable[[str], None],
    *,
    on_interrupt: Callable[[Sequence[str]], Interrupt] | None = None,
    on_lines: Callable[[str, Sequence[str]], None] | None = None,
) -> Surroundings:
    """What follows runs of a cloud from this folder. Without `on_interrupt` Ctrl-C stops them."""
    from experiments.budgets import Watch, read_month_budget
    from experiments.following.follow import Surroundings
    from experiments.prices import latest_book
    from experiments.records import Basis
    from experiments.tracking.sql import board

    here = cloud.basis is Basis.SIMULATED
    around = Surroundings(
        cloud=cloud,
        tracker=tracker,
        book=latest_book(),
        log_folder=space.run_logs,
        report=lambda name, text: say(f"{name}: {text}"),
        poll_s=0.5 if here else 10.0,
        cloud_name=cloud.address.name,
        give_up_s=60.0 if here else 900.0,
        over_budget=Watch(
            book=latest_book(),
            basis=cloud.basis,
            tick_s=0.5 if here else 10.0,
            stopping_s=5.0 if here else 120.0,
            month_usd=read_month_budget(space.budget),
            history=lambda: board(tracker),
            now=lambda: datetime.now(tz=UTC),
        ),
    )
    if on_interrupt is not None:
        around = replace(around, on_interrupt=on_interrupt)
    return around if on_lines is None else replace(around, on_lines=on_lines)
