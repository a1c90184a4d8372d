"""`pedigree drift`: whether the photos that come in still look like those the model was tested on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from cli.workspace import Workspace, cloud_option, json_option

if TYPE_CHECKING:
    from deployment.drift.check import Drift


@click.command()
@click.option("--app", help="Default: the one that is released.")
@click.option("--stage", default="prod", show_default=True)
@click.option(
    "--days", type=click.FloatRange(0, 3650, min_open=True), default=7.0, show_default=True,
    help="How far back to look.",
)  # fmt: skip
@click.option(
    "--capture", "place", metavar="S3-ADDRESS", help="Default: where the endpoint writes."
)
@click.option(
    "--alpha", type=click.FloatRange(0, 0.5, min_open=True), default=0.01, show_default=True,
    help="How often a check may cry wolf where nothing has changed.",
)  # fmt: skip
@cloud_option
@json_option
def drift(
    app: str | None,
    stage: str,
    days: float,
    place: str | None,
    alpha: float,
    cloud_name: str,
    as_json: bool,
) -> int:
    """Compare what the live endpoint answered with what the model said of its test photos.

    Two things are compared: the mix of classes and how sure the model is, each by the population
    stability index and a chi-square test. An index from 0.1 that the test confirms is a shift, from
    0.25 a drift. A change of mix may be the world's: it says that somebody should look.
    """
    from cli import serving, show
    from deployment.drift.check import capture_place, check_drift
    from deployment.store import ReleaseStore

    cloud = Workspace.here().open_cloud(cloud_name)
    settings = serving.live_settings(cloud, serving.released_app(cloud, stage, app), stage)
    store = ReleaseStore(cloud=cloud, name=settings.name)
    release = store.read(store.live().release_id).release
    found = check_drift(
        cloud,
        release,
        place=place or capture_place(cloud, release),
        since=datetime.now(tz=UTC) - timedelta(days=days),
        alpha=alpha,
    )
    if as_json:
        show.print_json({**show.plain(found), "verdict": found.verdict.value})
    else:
        _show(found)
    return 0


def _show(found: Drift) -> None:
    from cli import show
    from deployment.drift.statistics import MIN_ANSWERS, Verdict

    unread = f" ({found.unreadable} captured lines were no answers)" if found.unreadable else ""
    show.say(f"{found.answers} answers{unread} against {found.test_photos} test photos")
    for one in found.comparisons:
        moved = sorted(one.shares, key=lambda share: -abs(share.live - share.reference))[:8]
        rows = [(s.name, f"{s.reference:.1%}", f"{s.live:.1%}") for s in moved]
        show.table(
            f"{one.what}: index {one.psi:.3f} (chance alone {one.psi_noise:.3f}),"
            f" p {one.p_value:.2g}: {one.verdict.value}",
            ("what moved most", ">test photos", ">live"),
            rows,
        )
    show.say(f"verdict: {found.verdict.value}")
    if found.verdict is Verdict.TOO_FEW:
        show.say(f"  at least {MIN_ANSWERS} of each are needed: look further back with --days")
