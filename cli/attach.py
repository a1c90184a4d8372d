"""`pedigree attach`: follow runs again that a launcher left or lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import click

from cli.interrupt import answer, interrupt_option
from cli.workspace import Workspace, json_option

if TYPE_CHECKING:
    from experiments.following.follow import Surroundings
    from experiments.following.run_log import RunLog
    from experiments.records import RunRecord


@click.command()
@click.argument("run", required=False)
@click.option("--logs", is_flag=True, help="Print what the run prints, from its first line on.")
@interrupt_option
@json_option
def attach(run: str | None, logs: bool, on_interrupt: str, as_json: bool) -> int:
    """Follow RUN (an id or a name) again until it is settled; without RUN all that are open.

    A launch whose answer was lost is found again, and the tracker gets what it missed.
    """
    from cli import show
    from cli.launched import find_log
    from experiments.following.follow import follow
    from experiments.following.run_log import open_logs

    space = Workspace.here()
    damaged = 0 if run else _tell_of_damaged(space)
    chosen = [find_log(space, run)] if run else open_logs(space.run_logs)
    printed = (error_lines if as_json else print_lines) if logs else None
    if printed:
        for log in chosen:
            printed(log.run_id, log.lines()[0])
    going_on = sorted((log for log in chosen if not log.is_settled), key=_place)
    records: list[RunRecord] = []
    for _, group in groupby(going_on, key=_place):
        together = list(group)
        around = _around(space, together[0], on_interrupt, on_lines=printed, quiet=as_json)
        records += follow(together, parallel=len(together), around=around)
    ended = [log.settled() for log in chosen if log not in going_on]
    records += [settled.record for settled in ended if settled is not None]
    bring_tracker_up_to_date(space)
    if records or as_json:
        show.leaderboard(records, as_json=as_json)
    else:
        show.say("no run is open")
    well = all(record.status.value == "succeeded" for record in records)
    return 0 if well and not damaged else 5


def _tell_of_damaged(space: Workspace) -> int:
    """Name the runs that cannot be followed any more, and how many; the others are followed."""
    from experiments.following.run_log import damaged_logs

    found = damaged_logs(space.run_logs)
    for log in found:
        text = "cannot be read; end what AWS still has of it by hand and move the folder away"
        click.echo(f"run {log.run_id}: {log.folder / 'intent.json'} {text}", err=True)
    return len(found)


def _place(log: RunLog) -> tuple[str, str]:
    intent = log.intent()
    return intent.cloud, intent.plan.region


def _around(
    space: Workspace,
    log: RunLog,
    on_interrupt: str,
    *,
    on_lines: Callable[[str, Sequence[str]], None] | None,
    quiet: bool,
) -> Surroundings:
    from cli import show
    from cli.experiment import surroundings
    from cli.launched import cloud_of

    say: Callable[[str], None] = (lambda _text: None) if quiet else show.say
    return surroundings(
        cloud_of(space, log),
        space.open_tracker(),
        space,
        say,
        on_interrupt=answer(on_interrupt),
        on_lines=on_lines,
    )


def print_lines(_name: str, lines: Sequence[str]) -> None:
    """What a run prints, as it printed it."""
    for line in lines:
        click.echo(line)


def error_lines(_name: str, lines: Sequence[str]) -> None:
    """The same on standard error, where standard output is JSON."""
    for line in lines:
        click.echo(line, err=True)


def bring_tracker_up_to_date(space: Workspace) -> None:
    """Give the tracker the settled runs that it missed; says so if it still does not answer."""
    from experiments.following.mirror import catch_up_all

    lacking = catch_up_all(space.run_logs, space.open_tracker())
    if lacking:
        text = f"the tracker still lacks run {', '.join(lacking)}: it does not answer"
        click.echo(text, err=True)
