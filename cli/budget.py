"""`pedigree budget`: the limit on a month's spend, what is spent, and what the month will come to."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

import click

from cli.workspace import Workspace, json_option


@click.group()
def budget() -> None:
    """Show and set the limit on a month's spend; a run's own stands in its file as `budget_usd`."""


@budget.command("set")
@click.option(
    "--month",
    "limit",
    required=True,
    help="USD for a calendar month (UTC), as 50; `none` removes it.",
)
def set_limit(limit: str) -> int:
    """Set the limit: a launch that would break it is refused, a run that reaches it is stopped."""
    from cli import show
    from experiments.budgets import write_month_budget
    from experiments.cost import money
    from experiments.errors import BudgetError

    space = Workspace.here()
    if limit == "none":
        write_month_budget(space.budget, None)
        show.say("no limit on a month's spend")
        return 0
    try:
        usd = Decimal(limit)
    except InvalidOperation:
        usd = Decimal("NaN")
    if not usd.is_finite() or usd < 0:
        raise BudgetError(f"{limit!r} is no amount", fix="`pedigree budget set --month 50`")
    write_month_budget(space.budget, usd)
    show.say(f"at most {money(usd)} a month")
    return 0


@budget.command("show")
@click.option(
    "--by",
    type=click.Choice(["day", "month", "experiment", "run", "kind"]),
    default="month",
    show_default=True,
)
@json_option
def spent(by: str, as_json: bool) -> int:
    """Show what was spent, under each heading and kind of money, and what the month will come to."""
    from cli import show
    from experiments.budgets import read_month_budget
    from experiments.cost import money
    from experiments.ledger.periods import forecast_month, spend_by
    from experiments.records import Basis
    from experiments.tracking.sql import board

    space, now = Workspace.here(), datetime.now(tz=UTC)
    records = board(space.open_tracker())
    sums = spend_by(records, by)  # type: ignore[arg-type]
    foreseen = [f for b in Basis if (f := forecast_month(records, now=now, basis=b)) is not None]
    limit = read_month_budget(space.budget)
    if as_json:
        show.print_json({"month_usd": limit, "spend": sums, "forecast": foreseen})
        return 0
    rows = [(s.heading, s.basis.value, money(s.usd), str(s.runs)) for s in sums]
    show.table(f"Spend by {by}", (by, "kind of money", ">USD", ">runs"), rows)
    for month in foreseen:
        known = month.low_usd is not None
        span = f"{money(month.low_usd)} to {money(month.high_usd)}" if known else "no interval yet"
        show.say(
            f"{month.month}, {month.basis.value}: {money(month.spent_usd)} so far, about"
            f" {money(month.expected_usd)} at its end ({span}; {month.why})"
        )
    show.say(f"limit of a month: {money(limit) if limit is not None else 'none'}")
    return 0
