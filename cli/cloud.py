"""`pedigree cloud`: AWS on this machine, up and down."""

from __future__ import annotations

from typing import Any

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
@click.option("--enforce-iam", is_flag=True, help="Refuse what the caller's policies do not allow.")
def up(port: int | None, speed: float | None, enforce_iam: bool) -> None:
    """Start it in the background; what was live when it stopped is live again."""
    from cli import local_cloud, show

    url = local_cloud.start(Workspace.here().cloud_state, port, speed, enforce_iam=enforce_iam)
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
@click.option(
    "--since", type=float, default=0.0, help="Epoch seconds; all that is kept, if absent."
)
@json_option
def requests(since: float, as_json: bool) -> None:
    """Print what clients asked: service, operation, parameters. Secrets and bodies are left out."""
    from cli import local_cloud, show

    found = local_cloud.ask(Workspace.here().cloud_state, f"requests?since={since!r}")
    if as_json:
        show.print_json(found)
        return
    for entry in found:
        fault = f" [fault: {entry['fault']}]" if "fault" in entry else ""
        call = f"{entry['service']} {entry['operation']}"
        show.say(f"{entry['status']:3} {entry['duration_ms']:8.1f} ms  {call}{fault}")


@cloud.command()
@click.option("--endpoint", help="Kill one instance of this endpoint.")
@click.option("--variant", help="Of this variant of the endpoint.")
@click.option("--training-job", help="Kill one host of this training job.")
@click.option("--host", help="This host of the job, such as algo-2.")
def kill(
    endpoint: str | None, variant: str | None, training_job: str | None, host: str | None
) -> None:
    """End one instance or host with SIGKILL, as a crash would."""
    from cli import local_cloud, show
    from experiments.errors import CloudError

    named = {"endpoint": endpoint, "variant": variant, "training_job": training_job, "host": host}
    wanted = {name: value for name, value in named.items() if value is not None}
    if not local_cloud.ask(Workspace.here().cloud_state, "kill", method="POST", fields=wanted)[
        "killed"
    ]:
        raise CloudError(
            "no such process runs", fix="name a live --endpoint or a running --training-job"
        )
    show.say("killed")


@cloud.command()
@click.argument("instance", required=False)
@click.option("--training-job", help="Take the capacity of this managed spot job back instead.")
@click.option(
    "--away",
    "away_s",
    type=click.FloatRange(0, 999_999),
    default=0.0,
    help="Seconds until there is capacity again for the job.",
)
def interrupt(instance: str | None, training_job: str | None, away_s: float) -> None:
    """Take back the spot INSTANCE (two minutes' notice, then its end) or a job's capacity."""
    from cli import local_cloud, show
    from experiments.errors import CloudError

    if (instance is None) == (training_job is None):
        raise click.UsageError("name an INSTANCE or a --training-job")
    wanted = {"instance": instance} if instance else {"training_job": training_job or ""}
    state, fields = Workspace.here().cloud_state, {**wanted, "away_s": f"{away_s:f}"}
    if not local_cloud.ask(state, "interrupt", method="POST", fields=fields)["interrupted"]:
        raise CloudError(
            f"{instance or training_job} does not run on spot, or is being interrupted already",
            fix="name an instance of the market type spot or a job with managed spot training",
        )
    show.say("interrupted: its programs have two minutes of the cloud's clock")


@cloud.group()
def faults() -> None:
    """Let calls fail on demand: throttled, lost, without an answer, or told of yesterday."""


@faults.command("add")
@click.argument("service")
@click.argument("operation", default="*")
@click.option(
    "--kind",
    type=click.Choice(["throttle", "error", "timeout", "drop", "stale", "delay"]),
    required=True,
    help="timeout: the effect happens and no answer comes; drop: neither.",
)
@click.option("--times", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--always", is_flag=True, help="Until it is cleared, instead of --times.")
@click.option(
    "--after", type=click.IntRange(min=0), default=0, help="Let so many calls pass first."
)
@click.option("--probability", type=click.FloatRange(0, 1), default=1.0, show_default=True)
@click.option("--delay", "delay_s", type=click.FloatRange(0, 900), default=0.0, help="Seconds.")
@click.option("--status", type=click.Choice(["500", "502", "503", "504"]), default="500")
@json_option
def add_fault(always: bool, status: str, as_json: bool, **fields: Any) -> None:
    """Add a fault for OPERATION (* for any) of SERVICE, such as sagemaker CreateEndpoint."""
    from cli import local_cloud, show

    times = None if always else fields["times"]
    asked = {**fields, "times": times, "status": int(status)}
    made = local_cloud.ask(Workspace.here().cloud_state, "faults", method="POST", fields=asked)
    if as_json:
        show.print_json(made)
    else:
        show.say(f"fault {made['id']} is waiting")


@faults.command("list")
@json_option
def list_faults(as_json: bool) -> None:
    """Show the faults and how many calls met each."""
    from cli import local_cloud, show

    found = local_cloud.ask(Workspace.here().cloud_state, "faults")
    if as_json:
        show.print_json(found)
        return
    for one in found:
        state = "over" if one["over"] else "waiting"
        call = f"{one['service']} {one['operation']}"
        show.say(f"{one['id']:3} {one['kind']:9} {call}: met {one['met']}, {state}")
    if not found:
        show.say("no faults")


@faults.command("clear")
@click.argument("number", type=int, required=False)
def clear_faults(number: int | None) -> None:
    """Forget one fault by its number, or all."""
    from cli import local_cloud, show

    page = "faults" if number is None else f"faults?id={number}"
    gone = local_cloud.ask(Workspace.here().cloud_state, page, method="DELETE")["cleared"]
    show.say(f"cleared {gone}")


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
