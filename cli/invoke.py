"""`pedigree invoke`: ask the live model about a photograph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.workspace import Workspace, cloud_option, json_option

if TYPE_CHECKING:
    from deployment.invoke import Answer


@click.command()
@click.argument("photo", type=click.Path(path_type=Path))
@click.option("--app", help="Default: the one that is released.")
@click.option("--stage", default="prod", show_default=True)
@cloud_option
@json_option
def invoke(photo: Path, app: str | None, stage: str, cloud_name: str, as_json: bool) -> int:
    """Send PHOTO through Lambda to the endpoint and show what comes back."""
    from cli import serving, show
    from deployment.invoke import invoke as ask
    from experiments.errors import DataError
    from experiments.prices import latest_book

    data, kind = serving.read_photo(photo)
    cloud = Workspace.here().open_cloud(cloud_name)
    settings = serving.live_settings(cloud, serving.released_app(cloud, stage, app), stage)
    answer = ask(cloud, settings, data, kind, book=latest_book())
    if answer.status != 200:
        raise DataError(
            f"the answer has status {answer.status}: {answer.error}",
            fix="send another photograph" if answer.status < 500 else "see `pedigree cloud logs`",
        )
    if as_json:
        show.print_json({**show.plain(answer), "cost": _cost(answer)})
    else:
        show_answer(answer)
    return 0


def _cost(answer: Answer) -> dict[str, object]:
    from cli import show

    return {**show.plain(answer.cost), "total_usd": str(answer.cost.total_usd)}


def show_answer(answer: Answer) -> None:
    """The class with its probability, the latency and what the call cost."""
    from cli import show
    from experiments.cost import money

    best = answer.predictions[0]
    show.say(f"answer: {best.label.replace(' ', '_')} {best.probability:.1%}")
    for other in answer.predictions[1:]:
        show.say(f"        {other.label} {other.probability:.1%}")
    inside = f", {answer.endpoint_ms:.0f} ms of it at the endpoint" if answer.endpoint_ms else ""
    warm = "cold start" if answer.cold_start else "warm"
    show.say(f"latency: {answer.latency_ms:.0f} ms{inside} ({warm})")
    show.say(
        f"this call: {money(answer.cost.total_usd)} {answer.cost.basis.value},"
        f" {answer.billed_ms} ms billed by Lambda"
    )
    if answer.standing_usd_per_h is not None:
        show.say(f"standing: {money(answer.standing_usd_per_h)} an hour, asked or not")
