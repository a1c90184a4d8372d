"""The serving image built by AWS CodeBuild from the same Dockerfile, for machines without Docker.

The build takes a zip file of what the Dockerfile copies from the bucket, and pushes to the account's own
registry. Never run on AWS: docs/serving.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployment.access.table import PUSH_ACTIONS
from deployment.artifact.image import Pushed, ensure_repository, remember
from deployment.artifact.zipped import zipped
from deployment.clock import Clock
from deployment.policy import SERVING_REPOSITORY, Policy, allow, log_group
from deployment.state.desired import serving_image
from experiments.aws import Cloud, is_code, perform_with_role
from experiments.errors import CloudError, ReleaseError
from experiments.foundation import OWNER_TAG, Foundation, observe_role, role_calls
from experiments.records import Call
from experiments.source import ROOT

NAME = "pedigree-image"
"""Of the build project and of its role."""
_LOGS = f"/aws/codebuild/{NAME}"
CONTEXTS = "images/context/"
BASE = "public.ecr.aws/docker/library/python:3.11-slim"
"""Docker's own image from AWS's gallery: Docker Hub counts what comes from addresses that many share."""
_ENVIRONMENT = "aws/codebuild/amazonlinux-x86_64-standard:5.0"
_LIMIT_MINUTES, _QUEUED_LIMIT_MINUTES = 30, 60
_FIRST_POLL_S, _LONGEST_POLL_S = 3.0, 15.0


@dataclass(frozen=True, kw_only=True)
class Context:
    """The zip file that a build starts from, and its key in the bucket."""

    data: bytes
    key: str


def pack_context(root: Path = ROOT) -> Context:
    """What the Dockerfile copies, with reproducible bytes: the same files, the same key."""
    files = (path for path in (root / "serving").rglob("*") if path.is_file())
    kept = (path for path in files if "__pycache__" not in path.parts)
    data = zipped({path.relative_to(root).as_posix(): path for path in kept})
    return Context(data=data, key=f"{CONTEXTS}{hashlib.sha256(data).hexdigest()}.zip")


def builder_policy(foundation: Foundation) -> Policy:
    """Read the context, push to the one repository, write the build's own log. Pure.

    The registry's token knows no resource.
    """
    place = f"{foundation.region}:{foundation.account_id}"
    repository = f"arn:aws:ecr:{place}:repository/{SERVING_REPOSITORY}"
    contexts = f"arn:aws:s3:::{foundation.bucket}/{CONTEXTS}*"
    logs = log_group(foundation, _LOGS)
    push = [f"ecr:{name}" for name in PUSH_ACTIONS]
    write = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
    return {
        "Version": "2012-10-17",
        "Statement": [
            allow("ReadContext", ["s3:GetObject", "s3:GetObjectVersion"], [contexts]),
            allow("RegistryToken", ["ecr:GetAuthorizationToken"], ["*"]),
            allow("PushImage", push, [repository]),
            allow("WriteLogs", write, [logs, f"{logs}:*"]),
        ],
    }


def project(foundation: Foundation, context: Context) -> dict[str, Any]:
    """The build project, as CreateProject and UpdateProject take it. Pure."""
    tag = serving_image(foundation)
    # One phase: AWS runs post_build after a build that failed, too.
    commands = [
        'aws ecr get-login-password | docker login --username AWS --password-stdin "$REGISTRY"',
        'docker build --build-arg BASE="$BASE" -f serving/Dockerfile -t "$TAG" .',
        'docker push "$TAG"',
    ]
    variables = {
        "REGISTRY": tag.partition("/")[0],
        "TAG": tag,
        "BASE": BASE,
        # Attestations would make an index of the image, which SageMaker refuses.
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
    }
    return {
        "name": NAME,
        "description": "Builds the image that Pedigree's endpoints run",
        "source": {
            "type": "S3",
            "location": f"{foundation.bucket}/{context.key}",
            # Every YAML reader reads JSON.
            "buildspec": json.dumps({"version": 0.2, "phases": {"build": {"commands": commands}}}),
        },
        "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": {
            "type": "LINUX_CONTAINER",
            "image": _ENVIRONMENT,
            "computeType": "BUILD_GENERAL1_SMALL",
            "privilegedMode": True,  # Docker inside the build's own container
            "environmentVariables": [{"name": k, "value": v} for k, v in variables.items()],
        },
        "serviceRole": foundation.role_arn(NAME),
        "timeoutInMinutes": _LIMIT_MINUTES,
        "queuedTimeoutInMinutes": _QUEUED_LIMIT_MINUTES,
        "logsConfig": {"cloudWatchLogs": {"status": "ENABLED", "groupName": _LOGS}},
        "tags": [{"key": OWNER_TAG["Key"], "value": OWNER_TAG["Value"]}],
    }


def build_and_push(cloud: Cloud, *, clock: Clock, say: Callable[[str], None]) -> Pushed:
    """Have AWS build and push the image, and remember its digest for the releases to come.

    A build that is interrupted here is stopped there. Raises ReleaseError if the build fails, CloudError.
    """
    foundation = Foundation(account_id=cloud.account_id, region=cloud.region)
    context = pack_context()
    _upload(cloud, foundation, context)
    ensure_repository(cloud, say)
    for call in role_calls(
        foundation, NAME, "codebuild", builder_policy(foundation), *_standing(cloud)
    ):
        say(call.why)
        cloud.perform(call)
    _bring_in_line(cloud, project(foundation, context), clock)
    build_id = str(cloud.ask("codebuild", "start_build", projectName=NAME)["build"]["id"])
    say(f"build {build_id}")
    try:
        _follow(cloud, build_id, clock, say)
    except BaseException:
        with contextlib.suppress(CloudError):  # it has ended, or the way to AWS is gone
            cloud.ask("codebuild", "stop_build", id=build_id)
        raise
    return remember(cloud, foundation, now=clock.now())


def _standing(cloud: Cloud) -> tuple[Policy | None, bool]:
    exists, policy = observe_role(cloud, NAME)
    return policy, exists


def _upload(cloud: Cloud, foundation: Foundation, context: Context) -> None:
    try:
        cloud.ask("s3", "put_object", Bucket=foundation.bucket, Key=context.key, Body=context.data)
    except CloudError as error:
        if not is_code(error, "NoSuchBucket"):
            raise
        raise ReleaseError(
            f"there is no bucket {foundation.bucket} yet", fix="run `pedigree init --cloud aws`"
        ) from error


def _bring_in_line(cloud: Cloud, wanted: Mapping[str, Any], clock: Clock) -> None:
    def send(operation: str) -> None:
        call = Call(
            service="codebuild", operation=operation, params=wanted, why="the build project"
        )
        perform_with_role(cloud, call, sleep=clock.sleep)

    try:
        send("create_project")
    except CloudError as error:
        if not is_code(error, "ResourceAlreadyExistsException"):
            raise
        send("update_project")


def _follow(cloud: Cloud, build_id: str, clock: Clock, say: Callable[[str], None]) -> None:
    """Wait for the build's end and tell its phases. Raises ReleaseError if it ends badly."""
    told, pause = "", _FIRST_POLL_S
    deadline = clock.monotonic() + 60 * (_LIMIT_MINUTES + _QUEUED_LIMIT_MINUTES + 5)
    while clock.monotonic() < deadline:
        found = cloud.ask("codebuild", "batch_get_builds", ids=[build_id])["builds"]
        build = found[0] if found else {}  # not listed yet
        phase = str(build.get("currentPhase", ""))
        if phase not in ("", told):
            say(phase.replace("_", " ").lower())
            told = phase
        if build.get("buildComplete"):
            if build["buildStatus"] != "SUCCEEDED":
                raise _failed(build)
            return
        clock.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_POLL_S)
    raise ReleaseError(f"the build {build_id} did not end", fix="see it in AWS's console")


def _failed(build: Mapping[str, Any]) -> ReleaseError:
    reasons = [
        str(context.get("message", "")).strip()
        for phase in build.get("phases", ())
        if phase.get("phaseStatus") not in (None, "SUCCEEDED")
        for context in phase.get("contexts", ())
    ]
    told = "; ".join(reason for reason in reasons if reason) or "AWS gives no reason"
    where = build.get("logs", {}).get("deepLink", f"the log group {_LOGS}")
    words = str(build["buildStatus"]).replace("_", " ").lower()
    return ReleaseError(f"the build ended as {words}: {told}", fix=f"its log has the rest: {where}")
