"""`promote-model`: the best run goes live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.foresight import foresight_options, tell_foresight
from cli.own_rate import own_rate_option
from cli.promote_options import promote_options
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
@promote_options
@own_rate_option
@foresight_options
@click.option(
    "--photo", type=click.Path(path_type=Path), help="Try the release with this photo too."
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
    photo: Path | None,
    dry_run: bool,
    yes: bool,
    cloud_name: str,
    as_json: bool,
    **options: Any,
) -> int:
    """Make the best run's model live (or that of RUN, by id or name).

    Every gate shows its evidence, then every step its reason, with the monthly price before and
    after; only then anything changes. docs/promotion.md tells the whole way, and
    docs/concurrency-and-scaling.md what the numbers mean and cost.
    """
    from cli import promote_options as read
    from cli import serving
    from cli.own_rate import book_with

    rule, demands, rollout = read.rule(options), read.demands(options), read.rollout(options)
    golden = serving.golden_photo(photo)
    space = Workspace.here()
    cloud, tracker = space.open_cloud(cloud_name), space.open_tracker()
    record = _choose(tracker, run, experiment, rule, as_json=as_json)
    app = app or record.params.get("launch/app", "pedigree")
    settings = read.settings(options, app=app, stage=stage)
    tell_foresight(settings, options, cloud.region)
    book = book_with(options, cloud.region)
    proposal = serving.propose_run(
        cloud, record, settings, book=book, demands=demands, rollout=rollout
    )
    return carry_out(
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


def carry_out(
    cloud: Boto3Cloud,
    tracker: Tracker,
    proposal: Proposal,
    *,
    golden: object,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Show a proposal, ask, make it live and say so; with `dry_run` only show it."""
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
        if applied.address:
            show.say(f"at {applied.address} for requests signed with AWS credentials (AWS_IAM)")
    return 0
