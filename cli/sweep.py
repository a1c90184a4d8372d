"""`pedigree sweep`: what costs money and belongs to nobody, and its end in two steps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from cli.workspace import Workspace, cloud_option, json_option

if TYPE_CHECKING:
    from deployment.sweep.sweep import Found, Swept


@click.command()
@click.option(
    "--delete",
    "digest",
    metavar="LIST",
    help="Remove exactly the list that was shown by this name.",
)
@cloud_option
@json_option
def sweep(digest: str | None, cloud_name: str, as_json: bool) -> int:
    """List what carries Pedigree's tag, costs money, and belongs to nothing live.

    Endpoints, configurations, models, functions, versions kept warm, alarms, training jobs, EC2
    instances, volumes, notebooks, unfinished uploads and archives of no release, with USD per day.
    Nothing younger than 15 minutes is listed. Nothing is removed without --delete, and only if the
    list is still the same by then.
    """
    from cli import serving, show
    from deployment.sweep.inventory import Inventory
    from deployment.sweep.sweep import look, remove
    from experiments.prices import latest_book

    space = Workspace.here()
    cloud = space.open_cloud(cloud_name)
    runs = [r.run_id for r in space.open_tracker().runs() if not r.status.settled]
    inventory = Inventory(cloud=cloud, book=latest_book())
    if digest is None:
        found = look(inventory, runs, datetime.now(tz=UTC))
        if as_json:
            show.print_json({"list": found.digest, "orphans": found.orphans})
        else:
            _tell(found)
        return 0
    means = serving.means(cloud, golden=None, say=show.say)
    swept = remove(inventory, runs, digest, means)
    if as_json:
        show.print_json(swept)
    else:
        _told(swept)
    return 6 if swept.left else 0


def _tell(found: Found) -> None:
    from cli import show
    from experiments.cost import money

    for kind in found.unknown:
        show.say(f"note: this cloud has no {kind}")
    if not found.orphans:
        show.say("nothing: everything that carries Pedigree's tag is needed by something")
        return
    rows = [
        (
            orphan.resource.kind.value,
            orphan.resource.name,
            "no price" if (usd := orphan.resource.usd_per_day) is None else money(usd),
            orphan.why,
        )
        for orphan in found.orphans
    ]
    show.table("Needed by nobody", ("what", "name", ">USD a day", "why"), rows)
    show.say(f"{money(found.usd_per_day)} a day; to remove exactly these:")
    show.say(f"  pedigree sweep --delete {found.digest}")


def _told(swept: Swept) -> None:
    from cli import show

    for orphan in swept.removed:
        show.say(f"removed {orphan.resource.kind.value} {orphan.resource.name}")
    for orphan, why in swept.left:
        show.say(f"LEFT    {orphan.resource.kind.value} {orphan.resource.name}: {why}")
