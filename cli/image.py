"""`pedigree image build|push`: the endpoint's image, by Docker where there is one or by AWS CodeBuild."""

from __future__ import annotations

import click

from cli.workspace import Workspace, cloud_option


@click.group()
def image() -> None:
    """Build and push the image that endpoints on AWS run (with --cloud local none is needed)."""


@image.command()
@cloud_option
def build(cloud_name: str) -> None:
    """Build it from serving/Dockerfile under the name that this account's registry knows."""
    from cli import show
    from deployment.artifact import image as images
    from experiments.foundation import Foundation

    cloud = Workspace.here().open_cloud(cloud_name)
    foundation = Foundation(account_id=cloud.account_id, region=cloud.region)
    with show.waiting("building"):
        tag = images.build(foundation)
    show.say(f"built {tag}")


@image.command()
@cloud_option
@click.option(
    "--builder", type=click.Choice(["docker", "codebuild"]), default="docker", show_default=True,
    help="codebuild: AWS builds it, too, and bills the minutes; no Docker is needed here.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask before AWS builds.")
def push(cloud_name: str, builder: str, *, yes: bool) -> None:
    """Push it to ECR and remember its digest: the next release serves exactly this image."""
    from datetime import UTC, datetime

    from cli import show
    from deployment.artifact import image as images
    from deployment.artifact.codebuild import build_and_push
    from deployment.clock import Clock
    from experiments.errors import ReleaseError

    if cloud_name == "local":
        raise ReleaseError(
            "AWS on this machine has no registry: its endpoints run the same server as a process",
            fix="push to AWS: --cloud aws",
        )
    cloud = Workspace.here().open_cloud(cloud_name)
    if builder == "codebuild" and not yes:
        show.say("AWS bills a small build machine by the minute; its price is not in the book.")
        click.confirm("Build the image on AWS?", abort=True)
    if builder == "codebuild":
        pushed = build_and_push(cloud, clock=Clock(), say=show.say)
    else:
        pushed = images.push(cloud, now=datetime.now(tz=UTC), say=show.say)
    show.say(f"pushed {pushed.uri}")
