"""`pedigree cloud`: AWS on this machine, up and down."""

from __future__ import annotations

import click

from cli.workspace import Workspace, json_option


@click.group()
def cloud() -> None:
    """Start, stop and look at AWS on this machine (localaws)."""


@cloud.command()
@click.option("--port", type=click.IntRange(1024, 65535), help="Default: PEDIGREE_PORT, else 4599.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0.0, max=1000.0, min_open=True),
    help="Times as fast as real time that its waits pass: cooldowns, bakes, alarms (1).",
)
def up(port: int | None, speed: float | None) -> None:
    """Start it in the background; what was live when it stopped is live again."""
    from cli import local_cloud, show

    url = local_cloud.start(Workspace.here().cloud_state, port, speed)
    show.say(f"AWS on this machine answers at {url}")
    show.say(f"any AWS client can use it: export AWS_ENDPOINT_URL={url}")


@cloud.command()
def down() -> None:
    """Stop it and every process it started. What it was given stays on disk."""
    from cli import local_cloud, show

    stopped = local_cloud.stop(Workspace.here().cloud_state)
    show.say("stopped" if stopped else "it was not running")


@cloud.command()
@json_option
def status(as_json: bool) -> None:
    """Say whether it runs, where, and since when."""
    from cli import local_cloud, show

    found = local_cloud.address(Workspace.here().cloud_state)
    if as_json:
        show.print_json({"up": found is not None, **(found or {})})
    elif found is None:
        show.say("not running; start it with `pedigree cloud up`")
    else:
        pace = f", {found['speed']:g} times as fast" if found.get("speed", 1.0) != 1.0 else ""
        show.say(f"up at {found['url']} (process {found['pid']}{pace})")


@cloud.command()
@click.option("-n", "lines", type=click.IntRange(1, 10_000), default=50, show_default=True)
def logs(lines: int) -> None:
    """Print the last lines of its log."""
    from collections import deque

    path = Workspace.here().cloud_state / "server.log"
    if not path.is_file():
        click.echo("no log yet")
        return
    with path.open(encoding="utf-8", errors="replace") as stream:
        click.echo("".join(deque(stream, maxlen=lines)), nl=False)


@cloud.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(yes: bool) -> None:
    """Stop it and forget everything it was given: buckets, models, endpoints, functions."""
    import shutil

    from cli import local_cloud, show

    state = Workspace.here().cloud_state
    if not yes:
        click.confirm(f"Delete everything in {state}?", abort=True)
    local_cloud.stop(state)
    shutil.rmtree(state, ignore_errors=True)
    show.say("gone")
