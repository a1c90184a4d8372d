"""`pedigree notebook`: a SageMaker notebook instance to launch runs from."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.workspace import Workspace, cloud_option, json_option

if TYPE_CHECKING:
    from experiments.aws import Boto3Cloud
    from experiments.notebooks.instance import Seen
    from experiments.notebooks.plan import NotebookPlan
    from experiments.records import Cost

DEFAULT_NAME = "pedigree-notebook"
_HOURS = 20


@click.group()
def notebook() -> None:
    """A notebook instance that fetches the data and launches the three runs; it stops when it is idle."""


def _name_option(command: click.decorators.FC) -> click.decorators.FC:
    return click.option(
        "--name",
        default=DEFAULT_NAME,
        show_default=True,
        callback=_full_name,
        help="`pedigree-` is put before it.",
    )(command)


def _full_name(_context: click.Context, _param: click.Parameter, name: str) -> str:
    """The same name for each command: what `create --name x` made, `delete --name x` finds."""
    from experiments.notebooks.plan import full_name

    return full_name(name)


def _shape_options(command: click.decorators.FC) -> click.decorators.FC:
    kind = click.option(
        "--type", "instance_type", default="", help="Default: the cheapest that serves."
    )
    idle = click.option(
        "--idle-min",
        type=click.IntRange(5, 1440),
        default=60,
        show_default=True,
        help="Stop after so many minutes without use.",
    )
    return kind(idle(command))


@notebook.command("plan")
@_name_option
@_shape_options
@cloud_option
@json_option
def plan_command(
    name: str, instance_type: str, idle_min: int, cloud_name: str, as_json: bool
) -> None:
    """Show the requests, the type and its price; nothing is sent."""
    from cli import show

    cloud = Workspace.here().open_cloud(cloud_name)
    found, _ = _plan(cloud, name, instance_type, idle_min)
    if as_json:
        show.print_json(found)
    else:
        _show(found)
        show.say("nothing was started")


@notebook.command()
@_name_option
@_shape_options
@click.option("--yes", is_flag=True, help="Do not ask before spending on aws.")
@cloud_option
def create(name: str, instance_type: str, idle_min: int, yes: bool, cloud_name: str) -> None:
    """Make the instance, or start it again if it is stopped."""
    from cli import show
    from experiments.dataset import put_file
    from experiments.foundation import observe_foundation, plan_foundation
    from experiments.notebooks import instance

    space = Workspace.here()
    cloud = space.open_cloud(cloud_name)
    found, program = _plan(cloud, name, instance_type, idle_min)
    _show(found)
    if cloud_name == "aws" and not yes:
        click.confirm("Make this notebook instance on AWS?", abort=True)
    home, standing = observe_foundation(cloud)
    for call in plan_foundation(home, standing):
        cloud.perform(call)
    put_file(cloud, home.bucket, *program)
    instance.create(cloud, found, sleep=time.sleep)
    with show.waiting("waiting for the instance"):
        instance.await_status(cloud, found.name, ("InService",), sleep=time.sleep)
    _note(space, cloud, found.name)
    show.say(f"{found.name} is in service; open it in the SageMaker console, then launch.ipynb")


@notebook.command()
@_name_option
@cloud_option
def stop(name: str, cloud_name: str) -> None:
    """Stop the instance; its disk stays and goes on costing."""
    from cli import show
    from experiments.notebooks import instance

    space = Workspace.here()
    cloud = space.open_cloud(cloud_name)
    _note(space, cloud, name)
    instance.stop(cloud, name)
    with show.waiting("waiting for its end"):
        instance.await_status(cloud, name, ("Stopped",), sleep=time.sleep)
    _note(space, cloud, name)
    _tell_cost(space, cloud, name)


@notebook.command()
@_name_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@cloud_option
def delete(name: str, yes: bool, cloud_name: str) -> None:
    """Delete the instance with its disk and everything on it."""
    from experiments.notebooks import instance

    space = Workspace.here()
    cloud = space.open_cloud(cloud_name)
    if not yes:
        click.confirm(f"Delete {name} and everything on its disk?", abort=True)
    seen = _note(space, cloud, name)
    instance.delete(cloud, name, sleep=time.sleep)
    if seen is not None:
        gone = instance.Seen(
            name=name,
            status="Deleted",
            instance_type=seen.instance_type,
            changed_at=datetime.now(tz=UTC),
            lifecycle="",
        )
        instance.note(_journal(space, name), gone)
    _tell_cost(space, cloud, name)


@notebook.command()
@_name_option
@cloud_option
@json_option
def status(name: str, cloud_name: str, as_json: bool) -> None:
    """Show the instance's state and what it has cost."""
    from cli import show

    space = Workspace.here()
    cloud = space.open_cloud(cloud_name)
    seen = _note(space, cloud, name)
    if as_json:
        show.print_json({"instance": seen, "cost": _cost(space, cloud, name)})
        return
    show.say(f"{name}: {seen.status} on {seen.instance_type}" if seen else f"there is no {name}")
    _tell_cost(space, cloud, name)


def _plan(
    cloud: Boto3Cloud, name: str, instance_type: str, idle_min: int
) -> tuple[NotebookPlan, tuple[str, bytes]]:
    """The plan, and the key and bytes of the program it starts with."""
    from experiments.access import Foundation
    from experiments.contract import check
    from experiments.foundation import observe_role
    from experiments.notebooks.files import pack_program
    from experiments.notebooks.plan import plan_notebook
    from experiments.notebooks.policy import NOTEBOOK_ROLE
    from experiments.prepare import owner
    from experiments.prices import latest_book
    from experiments.records import Artifact

    home = Foundation(account_id=cloud.account_id, region=cloud.region)
    program = pack_program()
    key = f"notebooks/{program.digest.removeprefix('sha256:')[:16]}/pedigree.tar.gz"
    found = plan_notebook(
        name,
        foundation=home,
        files=Artifact(uri=f"s3://{home.bucket}/{key}", digest=program.digest),
        prices=latest_book(),
        owner=owner(),
        now=datetime.now(tz=UTC),
        idle_s=idle_min * 60,
        instance_type=instance_type,
        role=observe_role(cloud, NOTEBOOK_ROLE),
    )
    check(found.calls)
    return found, (key, program.data)


def _show(found: NotebookPlan) -> None:
    from decimal import Decimal

    from cli import show
    from experiments.cost import money
    from experiments.notebooks.plan import VOLUME_GB, month_usd

    show.say(f"{found.name}  {found.instance_type}: {found.why}")
    for call in found.calls:
        show.say(f"  {call.service} {call.operation}: {call.why}")
    month = money(month_usd(found, Decimal(_HOURS)))
    show.say(f"  {money(found.hour.usd)} an hour (read {found.hour.as_of}); stops when idle")
    disk = "" if found.disk else f"; its {VOLUME_GB} GB disk is not counted: no price in the book"
    show.say(f"  {_HOURS} hours a month: {month}{disk}")


def _journal(space: Workspace, name: str) -> Path:
    return space.state / "notebooks" / f"{name}.jsonl"


def _note(space: Workspace, cloud: Boto3Cloud, name: str) -> Seen | None:
    """Look at the instance and keep what AWS shows of it."""
    from experiments.notebooks import instance

    seen = instance.look(cloud, name)
    if seen is not None:
        instance.note(_journal(space, name), seen)
    return seen


def _cost(space: Workspace, cloud: Boto3Cloud, name: str) -> Cost | None:
    """What the instance has cost, by the states AWS showed; None before the first."""
    from experiments.notebooks import instance
    from experiments.notebooks.plan import disk_price
    from experiments.prices import latest_book
    from experiments.records import Basis

    entries = instance.history(_journal(space, name))
    if not entries:
        return None
    book = latest_book()
    simulated = cloud.basis is Basis.SIMULATED
    return instance.cost(
        entries,
        hour=book.find("sagemaker", "notebook", cloud.region, entries[-1]["instance_type"]),
        disk=disk_price(book, cloud.region),
        basis=Basis.SIMULATED if simulated else Basis.ESTIMATED,
        now=datetime.now(tz=UTC),
    )


def _tell_cost(space: Workspace, cloud: Boto3Cloud, name: str) -> None:
    from cli import show
    from experiments.cost import money

    found = _cost(space, cloud, name)
    if found is None:
        return
    show.say(f"  cost: {money(found.total_usd)} {found.basis.value}")
    for item in found.lines:
        show.say(f"  - {item.item}: {item.quantity} {item.price.unit} = {money(item.usd)}")
    for lacking in found.not_counted:
        show.say(f"  - not counted: {lacking}")
