"""`pedigree runs` and `pedigree compare`: which run was worth it, and what differs."""

from __future__ import annotations

import click

from cli.workspace import Workspace, json_option


@click.command()
@click.option("--experiment", help="Only the runs of this experiment.")
@json_option
def runs(experiment: str | None, as_json: bool) -> int:
    """Show all runs: best quality first, with what each cost and how long it took."""
    from cli import show

    with show.waiting("reading the tracker"):
        records = Workspace.here().open_tracker().runs(experiment)
    if not records and not as_json:
        show.say("no runs yet; start with `make demo` or `pedigree run specs/demo.yaml`")
        return 0
    show.leaderboard(records, as_json=as_json)
    return 0


@click.command()
@click.argument("first")
@click.argument("second")
@json_option
def compare(first: str, second: str, as_json: bool) -> int:
    """Show what differs between two runs, given by id or name."""
    from cli import show
    from experiments.leaderboard import differences

    tracker = Workspace.here().open_tracker()
    with show.waiting("reading the tracker"):
        records = tracker.runs()
    one, two = tracker.find(first, records), tracker.find(second, records)
    different, same = differences(one, two)
    if as_json:
        show.print_json({"differences": different, "same": same})
        return 0
    rows = [(d.kind, d.name, d.first, d.second) for d in different]
    show.table(
        f"{one.name} ({one.run_id}) and {two.name} ({two.run_id})",
        ("kind", "name", one.name, two.name),
        rows,
    )
    show.say(f"{same} other settings and figures are the same")
    return 0
