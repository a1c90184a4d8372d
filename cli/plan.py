"""`pedigree plan`: what a launch would send and cost, with nothing sent."""

from __future__ import annotations

from pathlib import Path

import click

from cli.workspace import Workspace, cloud_option, json_option


@click.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "--data", type=click.Path(path_type=Path), help="ImageFolder; else the file's `data:`."
)
@click.option("--requests", is_flag=True, help="Print the exact requests too.")
@cloud_option
@json_option
def plan(spec: Path, data: Path | None, requests: bool, cloud_name: str, as_json: bool) -> int:
    """Show, for each run of the experiment file SPEC, what would be launched and what it may cost."""
    from cli import experiment, show

    space = Workspace.here()
    checked = experiment.check_experiment(spec, data)
    cloud = space.open_cloud(cloud_name, checked.spec.region)
    plans = experiment.foresee_plans(checked, cloud, space.open_tracker(), space)
    if as_json:
        show.print_json(plans)
        return 0
    for item in plans:
        show.launch_plan(item)
        if requests:
            for call in item.calls:
                show.print_json({"service": call.service, call.operation: call.params})
    return 0
