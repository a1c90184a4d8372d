"""The serving image: built and pushed with Docker where there is one, and remembered by its digest.

What a release serves with is `<repository>@sha256:...`, so a tag that moves later changes no release.
localaws runs the same program as a process and pulls nothing.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from deployment.policy import SERVING_REPOSITORY
from deployment.state.desired import serving_image
from experiments.aws import Cloud, is_code
from experiments.errors import CloudError, ReleaseError
from experiments.foundation import OWNER_TAG, Foundation
from experiments.source import ROOT

RECORD = "images/serving.json"
_MAX_BYTES = 10_000
_LIMIT_S = 3600


class Runs(Protocol):
    """Runs a program to its end; what it wrote to standard output. Raises ReleaseError if it fails."""

    def __call__(self, command: Sequence[str], *, secret: str = "") -> str: ...


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """An image in the registry, by its digest."""

    uri: str
    digest: str


def run_docker(command: Sequence[str], *, secret: str = "") -> str:
    """Run `docker ...`; `secret` goes to its standard input and nowhere else.

    Raises ReleaseError if there is no Docker here, or with the last lines of what it said.
    """
    if shutil.which("docker") is None:
        raise ReleaseError(
            "there is no Docker on this machine",
            fix="have AWS build it: `pedigree image push --builder codebuild`; with --cloud local no"
            " image is needed: the same server runs as a process",
        )
    try:
        done = subprocess.run(
            ["docker", *command],
            input=secret,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
            # Attestations would make an index of the image, which SageMaker refuses.
            env={**os.environ, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"},
        )
    except subprocess.TimeoutExpired as error:
        raise ReleaseError(
            f"docker {command[0]} took over an hour", fix="see why, and run it again"
        ) from error
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise ReleaseError(
            f"docker {command[0]} failed: {last}", fix="mend what it says, then run this again"
        )
    return done.stdout


def build(foundation: Foundation, *, run: Runs = run_docker) -> str:
    """Build the image from the repository's own Dockerfile. The tag it got."""
    tag = serving_image(foundation)
    dockerfile = str(ROOT / "serving" / "Dockerfile")
    run(["build", "--platform", "linux/amd64", "-f", dockerfile, "-t", tag, str(ROOT)])
    return tag


def push(
    cloud: Cloud, *, now: datetime, say: Callable[[str], None], run: Runs = run_docker
) -> Pushed:
    """Push the built image, and remember its digest for the releases to come.

    Raises ReleaseError if Docker is missing or refuses, CloudError.
    """
    foundation = Foundation(account_id=cloud.account_id, region=cloud.region)
    tag = serving_image(foundation)
    ensure_repository(cloud, say)
    registry = tag.partition("/")[0]
    user, password = _token(cloud)
    run(["login", "--username", user, "--password-stdin", registry], secret=password)
    say(f"push {tag}")
    run(["push", tag])
    return remember(cloud, foundation, now=now)


def remember(cloud: Cloud, foundation: Foundation, *, now: datetime) -> Pushed:
    """Ask the registry for the digest behind the tag, and keep it for the releases to come."""
    tag = serving_image(foundation)
    version = tag.rpartition(":")[2]
    found = cloud.ask(
        "ecr",
        "describe_images",
        repositoryName=SERVING_REPOSITORY,
        imageIds=[{"imageTag": version}],
    )
    digest = str(found["imageDetails"][0]["imageDigest"])
    pushed = Pushed(uri=f"{tag.rpartition(':')[0]}@{digest}", digest=digest)
    record = {"uri": pushed.uri, "pushed_at": now.isoformat()}
    cloud.ask(
        "s3",
        "put_object",
        Bucket=foundation.bucket,
        Key=RECORD,
        Body=json.dumps(record).encode(),
        ContentType="application/json",
    )
    return pushed


def ensure_repository(cloud: Cloud, say: Callable[[str], None]) -> None:
    """Make the repository if there is none: scanned, and with tags that can be moved."""
    try:
        cloud.ask("ecr", "describe_repositories", repositoryNames=[SERVING_REPOSITORY])
    except CloudError as error:
        if not is_code(error, "RepositoryNotFoundException"):
            raise
        say(f"no repository {SERVING_REPOSITORY} yet: make it")
        cloud.ask(
            "ecr",
            "create_repository",
            repositoryName=SERVING_REPOSITORY,
            imageScanningConfiguration={"scanOnPush": True},
            tags=[OWNER_TAG],
        )


def _token(cloud: Cloud) -> tuple[str, str]:
    answer = cloud.ask("ecr", "get_authorization_token")
    token = base64.b64decode(answer["authorizationData"][0]["authorizationToken"]).decode()
    user, _, password = token.partition(":")
    return user, password


def image_to_serve(cloud: Cloud, foundation: Foundation) -> str:
    """The image that was pushed last, by its digest; its tag if none was pushed from here."""
    try:
        answer = cloud.ask("s3", "get_object", Bucket=foundation.bucket, Key=RECORD)
    except CloudError as error:
        if is_code(error, "NoSuchKey", "NoSuchBucket", "404"):
            return serving_image(foundation)
        raise
    try:
        uri = str(json.loads(answer["Body"].read(_MAX_BYTES))["uri"])
    except (ValueError, KeyError, TypeError) as error:
        raise ReleaseError(f"{RECORD} cannot be read", fix="push the image again") from error
    return uri
