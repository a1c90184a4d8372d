"""`pedigree plan`: what a launch would send and cost, and what the same work would cost elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.foresight import tell_monthly_range, traffic_options
from cli.workspace import Workspace, cloud_option, json_option

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cli.experiment import Checked
    from experiments.forecast.what_if import Option, Table
    from experiments.records import LaunchPlan, RunRecord

_SHOWN = 12


@click.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "--data", type=click.Path(path_type=Path), help="ImageFolder; else the file's `data:`."
)
@click.option("--requests", is_flag=True, help="Print the exact requests too.")
@click.option(
    "--what-if",
    "what_if",
    is_flag=True,
    help="Rank other types, counts and spot for the same work.",
)
@click.option("--all", "everything", is_flag=True, help="With --what-if: every type with a price.")
@traffic_options
@cloud_option
@json_option
def plan(
    spec: Path,
    data: Path | None,
    requests: bool,
    what_if: bool,
    everything: bool,
    traffic: str | None,
    service_ms: float | None,
    cloud_name: str,
    as_json: bool,
) -> int:
    """Show, for each run of the experiment file SPEC, what would be launched and what it may cost.

    The prediction learns from the runs on record of the same kind: simulated ones never predict AWS.
    """
    from cli import experiment, show

    space = Workspace.here()
    checked = experiment.check_experiment(spec, data)
    cloud = space.open_cloud(cloud_name, checked.spec.region)
    tracker = space.open_tracker()
    plans = experiment.foresee_plans(checked, cloud, tracker, space)
    tell_monthly_range(traffic, service_ms, cloud.region)
    if what_if:
        history = experiment.history(tracker, cloud)
        return _what_if(checked, plans, history, everything=everything, as_json=as_json)
    if as_json:
        show.print_json(plans)
        return 0
    for item in plans:
        show.launch_plan(item)
        if requests:
            for call in item.calls:
                show.print_json({"service": call.service, call.operation: call.params})
    for total in experiment.budget_sums(plans, checked, cloud, tracker, space):
        show.say(f"budget of {total}" + (" - would be refused" if total.broken else ""))
    return 0


def _what_if(
    checked: Checked,
    plans: Sequence[LaunchPlan],
    history: Sequence[RunRecord],
    *,
    everything: bool,
    as_json: bool,
) -> int:
    from cli import show
    from experiments.forecast.what_if import table_for

    table = table_for(plans, history)
    if as_json:
        show.print_json(
            {
                "options": [
                    {**show.plain(option), "name": option.name} for option in table.options
                ],
                "need": table.need,
                "notebook": table.notebook,
                "answers": table.answers,
            }
        )
        return 0
    _show_table(table, plans[0], everything=everything)
    if table.notebook is not None:
        kind, usd = table.notebook
        show.say(f"smallest notebook that will do: {kind} at {usd} USD an hour ({table.need.why})")
    else:
        show.say(
            f"no notebook type in {checked.spec.region} has a price and {table.need.gib:.1f} GiB"
        )
    for text in table.answers:
        show.say(text)
    return 0


def _show_table(table: Table, plan: LaunchPlan, *, everything: bool) -> None:
    from cli import show

    shown = table.options if everything else _worth_showing(table.options)
    columns = (
        "",
        "where",
        ">USD an hour",
        ">expected time",
        ">80% of runs",
        ">expected cost",
        "note",
    )
    show.table(f"The work of {plan.run_name!r} elsewhere", columns, [_cells(o) for o in shown])
    show.say("* no other is both quicker and cheaper; > asked for in the file")
    if len(shown) < len(table.options):
        show.say(f"{len(table.options) - len(shown)} more have a price: --all")


def _worth_showing(options: Sequence[Option]) -> list[Option]:
    """What was asked for, the front, and the cheapest few."""
    first = [option for option in options if not option.too_small][:_SHOWN]
    return [o for o in options if o.asked or o.on_front or o in first]


def _cells(option: Option) -> tuple[str, ...]:
    from cli import show
    from experiments.cost import money

    mark = ("*" if option.on_front else "") + (">" if option.asked else "")
    time = option.duration
    return (
        mark,
        f"{option.hosts.launcher} {option.name}",
        f"{option.usd_per_hour:f}",
        show.seconds(time.expected_s) if time else "-",
        f"{show.seconds(time.low_s)} to {show.seconds(time.high_s)}" if time else "-",
        money(option.expected_usd),
        "; ".join(_notes(option)),
    )


def _notes(option: Option) -> Iterator[str]:
    if option.too_small:
        yield f"too small: {option.too_small}"
    if option.extrapolates:
        yield f"extrapolates: {option.extrapolates[0]}"
