"""`promote-model`, `pedigree releases` and `pedigree rollback`: what is live, and how to change it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.workspace import Workspace, cloud_option, json_option

if TYPE_CHECKING:
    from deployment.promote import Proposal
    from experiments.aws import Boto3Cloud
    from experiments.records import RunRecord
    from experiments.tracking import Tracker


@click.command()
@click.argument("run", required=False)
@click.option("--experiment", help="Choose among the runs of this experiment only.")
@click.option(
    "--app", help="Names endpoint and function. Default: the app of the run's experiment."
)
@click.option(
    "--stage", default="prod", show_default=True, help="A second set of them, for trials."
)
@click.option("--metric", default="test/top1", show_default=True, help="The largest is the best.")
@click.option("--min-metric", type=float, help="Refuse runs below this.")
@click.option("--max-cost-usd", type=Decimal, help="Refuse runs that cost more than this.")
@click.option("--instance-type", default="ml.m5.large", show_default=True, help="Of the endpoint.")
@click.option(
    "--photo", type=click.Path(path_type=Path), help="Try the release with this photo first."
)
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@click.option("--yes", is_flag=True, help="Do not ask before changing what is live.")
@cloud_option
@json_option
def promote(
    run: str | None,
    experiment: str | None,
    app: str | None,
    stage: str,
    metric: str,
    min_metric: float | None,
    max_cost_usd: Decimal | None,
    instance_type: str,
    photo: Path | None,
    dry_run: bool,
    yes: bool,
    cloud_name: str,
    as_json: bool,
) -> int:
    """Make the best run's model live (or that of RUN, by id or name).

    Shows every step with its reason and the monthly price before anything changes. The endpoint
    scales between 1 and 3 instances at 25 invocations per instance and minute; the function has 5
    reserved and 3 provisioned environments.
    """
    from cli import serving
    from deployment.choose import Rule
    from deployment.settings import ServingSettings

    space = Workspace.here()
    cloud, tracker = space.open_cloud(cloud_name), space.open_tracker()
    golden = serving.golden_photo(photo)
    rule = Rule(metric=metric, max_cost_usd=max_cost_usd, min_metric=min_metric)
    record = _choose(tracker, run, experiment, rule, as_json=as_json)
    settings = ServingSettings(
        app=app or record.params.get("launch/app", "pedigree"),
        stage=stage,
        instance_type=instance_type,
    )
    proposal = serving.propose_run(cloud, record, settings)
    return _carry_out(
        cloud, tracker, proposal, golden=golden, dry_run=dry_run, yes=yes, as_json=as_json
    )


def _choose(
    tracker: Tracker, run: str | None, experiment: str | None, rule: object, *, as_json: bool
) -> RunRecord:
    from cli import serving, show

    records = tracker.runs(experiment)
    if run is not None:
        records = [tracker.find(run, records)]
    choice = serving.choose_run(records, rule)  # type: ignore[arg-type]
    best = choice.best()
    if not as_json:
        show.say(f"chosen: {best.name} ({best.run_id})")
        for record, reason in choice.refused:
            show.say(f"  not {record.name} ({record.run_id}): {reason}")
        for note in choice.notes:
            show.say(f"  note: {note}")
    return best


def _carry_out(
    cloud: Boto3Cloud,
    tracker: Tracker,
    proposal: Proposal,
    *,
    golden: object,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    from cli import serving, show

    if not as_json:
        serving.show_proposal(proposal)
    if dry_run:
        if as_json:
            show.print_json(proposal.plan)
        else:
            show.say("nothing was changed (dry run)")
        return 0
    if proposal.is_done and not as_json:
        show.say(f"nothing to do: release {proposal.release.release_id} is live")
    elif not yes and not as_json:
        click.confirm("Make this live?", abort=True)
    say = (lambda text: None) if as_json else (lambda text: show.say(f"  {text}"))
    applied = serving.apply(cloud, tracker, proposal, golden=golden, say=say)  # type: ignore[arg-type]
    if as_json:
        show.print_json({"release": applied.release.release_id, "tags": applied.tags})
    else:
        show.say(f"live: {applied.release.release_id} (before: {applied.previous_id or 'nothing'})")
    return 0


@click.command()
@click.option("--app", help="Default: the one that is released.")
@click.option("--stage", default="prod", show_default=True)
@cloud_option
@json_option
def releases(app: str | None, stage: str, cloud_name: str, as_json: bool) -> int:
    """Show what is live and what was live before, newest first."""
    from cli import serving, show
    from deployment.store import ReleaseStore

    cloud = Workspace.here().open_cloud(cloud_name)
    app = serving.released_app(cloud, stage, app)
    store = ReleaseStore(cloud=cloud, name=f"{app}-{stage}")
    records = sorted(store.records(), key=lambda r: r.release.created_at, reverse=True)
    live = store.live().release_id
    if as_json:
        show.print_json({"live": live, "releases": records})
        return 0
    if not records:
        show.say("nothing was released yet; promote a run with `promote-model`")
        return 0
    rows = [
        (
            "*" if record.release.release_id == live else "",
            record.release.release_id,
            record.status.value,
            record.release.run_name,
            f"{record.release.metrics.get('test/top1', 0):.1%}",
            record.release.created_at.strftime("%Y-%m-%d %H:%M"),
            record.message[:60],
        )
        for record in records
    ]
    columns = ("live", "release", "status", "run", ">test top-1", "made (UTC)", "note")
    show.table(f"Releases of {app}-{stage}", columns, rows)
    return 0


@click.command()
@click.argument("release", required=False)
@click.option("--app", help="Default: the one that is released.")
@click.option("--stage", default="prod", show_default=True)
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@cloud_option
@json_option
def rollback(
    release: str | None,
    app: str | None,
    stage: str,
    dry_run: bool,
    yes: bool,
    cloud_name: str,
    as_json: bool,
) -> int:
    """Go back to RELEASE, or to the one that was live before: its model and its function."""
    from cli import serving
    from deployment.undo import propose_rollback
    from experiments.prices import latest_book

    space = Workspace.here()
    cloud = space.open_cloud(cloud_name)
    app = serving.released_app(cloud, stage, app)
    proposal = propose_rollback(cloud, f"{app}-{stage}", book=latest_book(), to=release)
    return _carry_out(
        cloud,
        space.open_tracker(),
        proposal,
        golden=None,
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
    )
