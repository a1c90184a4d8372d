"""`pedigree releases`, `rollback` and `teardown`: what is live, what was, and the ways back."""

from __future__ import annotations

import click

from cli.workspace import Workspace, cloud_option, json_option


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
    address = serving.address_of(cloud, [r for r in records if r.release.release_id == live])
    if as_json:
        show.print_json({"live": live, "address": address, "releases": records})
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
    if address:
        show.say(f"live at {address} for requests signed with AWS credentials (AWS_IAM)")
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
    from cli.promote import carry_out
    from deployment.undo import propose_rollback
    from experiments.prices import latest_book

    space = Workspace.here()
    cloud = space.open_cloud(cloud_name)
    app = serving.released_app(cloud, stage, app)
    proposal = propose_rollback(cloud, f"{app}-{stage}", book=latest_book(), to=release)
    return carry_out(
        cloud,
        space.open_tracker(),
        proposal,
        golden=None,
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
    )


@click.command()
@click.option("--app", help="Default: the one that is released.")
@click.option("--stage", default="prod", show_default=True)
@click.option("--dry-run", is_flag=True, help="Show what would go and stop.")
@click.option("--yes", is_flag=True, help="Do not ask for the name.")
@cloud_option
@json_option
def teardown(
    app: str | None, stage: str, dry_run: bool, yes: bool, cloud_name: str, as_json: bool
) -> int:
    """Take an application off the air: function, endpoint, scaling, alarms, models.

    Archives, roles and the records of releases stay: `pedigree rollback RELEASE` brings one back.
    """
    from cli import serving, show
    from deployment.reconcile.teardown import apply_teardown, propose_teardown

    if as_json and not (yes or dry_run):
        raise click.UsageError("--json asks nothing: give --yes or --dry-run with it")
    cloud = Workspace.here().open_cloud(cloud_name)
    name = f"{serving.released_app(cloud, stage, app)}-{stage}"
    found = propose_teardown(cloud, name)
    if as_json:
        calls = [step.call for step in found.steps if step.call is not None]
        show.print_json({"name": name, "steps": calls, "done": not dry_run})
    for number, step in enumerate(found.steps if not as_json else (), start=1):
        show.say(f"  {number:>2}. {step.title}: {step.why}")
    if dry_run or (found.remains.is_nothing and not as_json):
        if not as_json:
            show.say("nothing was changed (dry run)" if dry_run else f"nothing stands of {name}")
        return 0
    if not yes:
        typed = click.prompt(f"Type {name} to take it down", default="", show_default=False)
        if typed != name:
            raise click.Abort
    say = (lambda text: None) if as_json else (lambda text: show.say(f"  {text}"))
    apply_teardown(found, serving.means(cloud, golden=None, say=say))
    if not as_json:
        show.say(f"{name} is down; nothing of it costs by the hour any more")
    return 0
