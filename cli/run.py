"""`pedigree run`: launch an experiment's runs, follow them, and show which was worth it."""

from __future__ import annotations

from pathlib import Path

import click

from cli.interrupt import answer, interrupt_option
from cli.workspace import Workspace, cloud_option, json_option


@click.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "--data", type=click.Path(path_type=Path), help="ImageFolder; else the file's `data:`."
)
@click.option(
    "--parallel", type=click.IntRange(1, 20), help="Runs at a time; default all on aws, 1 local."
)
@click.option(
    "--trials",
    type=click.IntRange(1, 10_000),
    help="Heads to try in each run, on features computed once; the best on valid is kept.",
)
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@click.option("--yes", is_flag=True, help="Do not ask before spending on aws.")
@interrupt_option
@cloud_option
@json_option
def run(
    spec: Path,
    data: Path | None,
    parallel: int | None,
    trials: int | None,
    dry_run: bool,
    yes: bool,
    on_interrupt: str,
    cloud_name: str,
    as_json: bool,
) -> int:
    """Launch every run of the experiment file SPEC and follow them to the end.

    Ctrl-C asks whether to stop the runs or to leave them; `pedigree attach` follows them again. A run
    whose launcher died is taken up where it was left.
    """
    from cli import experiment, show

    space = Workspace.here()
    with show.waiting("reading every photograph"):
        checked = experiment.check_experiment(spec, data, trials=trials)
    cloud = space.open_cloud(cloud_name, checked.spec.region)
    tracker = space.open_tracker()
    say = _silent if as_json else show.say
    for warning in checked.data.warnings:
        say(f"warning: {warning}")
    if dry_run:
        return _show_plans(experiment.foresee_plans(checked, cloud, tracker, space), as_json)
    if cloud_name == "aws" and not yes:
        for plan in experiment.foresee_plans(checked, cloud, tracker, space):
            show.launch_plan(plan)
        click.confirm("Launch these runs on AWS?", abort=True)
    plans = experiment.prepared_plans(checked, cloud, tracker, space, say, quiet=as_json)
    if not as_json:
        for plan in plans:
            show.launch_plan(plan)
    space.remember_data(checked.data.root)
    at_a_time = parallel or (len(plans) if cloud_name == "aws" else 1)
    on_ctrl_c = answer(on_interrupt)
    records = experiment.execute(
        plans, cloud, tracker, space, parallel=at_a_time, say=say, on_interrupt=on_ctrl_c
    )
    show.leaderboard(records, as_json=as_json)
    return 0 if all(record.status.value == "succeeded" for record in records) else 5


def _show_plans(plans: tuple[object, ...], as_json: bool) -> int:
    from cli import show

    if as_json:
        show.print_json(plans)
    else:
        for plan in plans:
            show.launch_plan(plan)  # type: ignore[arg-type]
        show.say("nothing was started (dry run)")
    return 0


def _silent(_text: str) -> None:
    """A program reads standard output; progress is for people."""
