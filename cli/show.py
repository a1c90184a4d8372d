"""What people and programs see: Rich tables, progress, JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from experiments.leaderboard import Row
    from experiments.records import LaunchPlan, RunRecord


def console() -> Console:
    """The terminal. Wide when it is not one, so that columns are not cut in files and pipes."""
    from rich.console import Console

    probe = Console()
    return probe if probe.is_terminal else Console(width=140)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Shows how far something is: a bar on a terminal, four lines elsewhere. Gives (done, total)."""
    from rich.progress import Progress

    out = console()
    if not out.is_terminal:
        told = [-1]

        def tell(done: int, total: int) -> None:
            quarter = 4 * done // max(total, 1)
            if quarter > told[0]:
                told[0] = quarter
                click.echo(f"{what}: {done} of {total}")

        yield tell
        return
    with Progress(console=out, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """A spinner on a terminal while something takes its time; nothing elsewhere."""
    from rich.console import Console

    out = Console(stderr=True)
    if not out.is_terminal:
        yield
        return
    with out.status(what):
        yield


def plain(value: Any) -> Any:
    """Frozen records as JSON can hold them: money as text, times in ISO 8601."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return value


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(plain(value), indent=2, default=str))


def seconds(value: float | None) -> str:
    """A duration for people."""
    if value is None:
        return "-"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s"


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table; columns that start with `>` are aligned right."""
    from rich.markup import escape
    from rich.table import Table

    shown = Table(title=title, title_justify="left", header_style="bold", title_style="bold")
    for column in columns:
        shown.add_column(
            column.removeprefix(">"), justify="right" if column.startswith(">") else "left"
        )
    for row in rows:
        shown.add_row(*(escape(cell) for cell in row))
    console().print(shown)


def leaderboard_table(rows: Sequence[Row]) -> None:
    """Quality, cost and time of runs side by side; a star marks those no other run beats in both."""
    from experiments.cost import money

    def cells(row: Row) -> tuple[str, ...]:
        return (
            f"{row.rank}{' *' if row.best_value else ''}",
            row.name,
            row.where,
            _how_it_ended(row),
            "-" if row.quality is None else f"{row.quality:.1%}",
            f"{money(row.cost_usd)} {row.cost_basis}".strip(),
            seconds(row.billable_s),
            row.run_id,
        )

    columns = (">#", "run", "where", "status", ">test top-1", ">cost", ">billable", "id")
    table("Runs (* no other run is both better and cheaper)", columns, [cells(row) for row in rows])


def _how_it_ended(row: Row) -> str:
    if row.quality is None:
        return f"{row.status}: {row.reason}"[:60]
    many = len(row.warnings)
    return row.status + (f", {many} warning{'s' if many > 1 else ''}" if many else "")


def launch_plan(plan: LaunchPlan) -> None:
    """What a launch will do and may cost."""
    from rich.markup import escape

    from experiments.cost import money

    estimate = plan.estimate
    expected = f"about {money(estimate.expected_usd)}, " if estimate.expected_usd else ""
    if estimate.likely_high_usd is not None:
        expected += f"{money(estimate.low_usd)} to {money(estimate.likely_high_usd)} likely, "
    out = console()
    out.print(f"[bold]{plan.run_name}[/bold]  {plan.launcher} {plan.instance_type}")
    for call in plan.calls:
        out.print(f"  {call.service} {call.operation}: {escape(call.why)}", highlight=False)
    out.print(f"  cost: {expected}at most {money(estimate.high_usd)} ({estimate.why})")
    if estimate.duration is not None:
        time = estimate.duration
        span = f"{seconds(time.low_s)} to {seconds(time.high_s)} in {time.rate:.0%} of runs"
        out.print(f"  time: about {seconds(time.expected_s)}, {span}")
    for text in estimate.extrapolates:
        out.print(f"  [yellow]extrapolates:[/yellow] {escape(text)}", highlight=False)
    for reason in plan.reasons:
        out.print(f"  - {escape(reason)}", highlight=False)
    for warning in plan.warnings:
        out.print(f"  [yellow]warning:[/yellow] {escape(warning)}", highlight=False)


def leaderboard(records: Sequence[RunRecord], *, as_json: bool) -> None:
    """The leaderboard of some runs, for a person or a program."""
    from experiments.leaderboard import leaderboard as rank

    rows = rank(records)
    if as_json:
        print_json([row.as_dict() for row in rows])
    else:
        leaderboard_table(rows)


def say(text: str) -> None:
    """One line for a person."""
    click.echo(text)
