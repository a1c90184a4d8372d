"""What AWS says of a launched run, in our words. Foreign statuses cross the border here, by table."""

from __future__ import annotations

import io
import json
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from experiments.aws import Cloud, is_code
from experiments.errors import CloudError, RunError
from experiments.records import LaunchPlan, Observation, RunHandle, RunStatus, Usage

SAGEMAKER_STATUS = {
    "InProgress": RunStatus.RUNNING,
    "Stopping": RunStatus.RUNNING,
    "Completed": RunStatus.SUCCEEDED,
    "Failed": RunStatus.FAILED,
    "Stopped": RunStatus.STOPPED,
    "Deleting": RunStatus.STOPPED,  # only an ended job can be deleted; how it ended is not said
}
_SAGEMAKER_LIMITS = {
    "MaxRuntimeExceeded": "stopped by SageMaker at its maximum run time",
    "MaxWaitTimeExceeded": "stopped by SageMaker at its maximum waiting time",
}
EC2_STATUS = {
    "pending": RunStatus.SUBMITTED,
    "running": RunStatus.RUNNING,
    "stopping": RunStatus.RUNNING,
    "shutting-down": RunStatus.RUNNING,
    "stopped": RunStatus.STOPPED,
    "terminated": RunStatus.STOPPED,
}
_LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_MAX_OUTPUT_BYTES = 256 * 1024**2
_REASON_TIME = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) GMT\)")


def translate(table: dict[str, RunStatus], foreign: str) -> RunStatus:
    """Our word for a foreign status. An unknown one is an error, never a guess."""
    if foreign not in table:
        raise RunError(
            f"AWS answered with a status not known here: {foreign!r}",
            fix="update pedigree; the run itself is not touched",
        )
    return table[foreign]


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """How far the live lines of a run have been read: a token for each log stream, or a line count."""

    tokens: tuple[tuple[str, str], ...] = ()
    lines: int = 0


def observe(cloud: Cloud, handle: RunHandle, plan: LaunchPlan) -> Observation:
    """Ask AWS once how a run is."""
    if handle.launcher == "sagemaker":
        answer = cloud.ask("sagemaker", "describe_training_job", TrainingJobName=handle.resource_id)
        return read_training_job(answer, hosts=plan.instance_count)
    answer = cloud.ask("ec2", "describe_instances", InstanceIds=[handle.resource_id])
    instance = answer["Reservations"][0]["Instances"][0]
    seen = read_instance(instance)
    if not seen.status.settled:
        return seen
    end = _read_json(cloud, f"{plan.output_uri}end.json")
    return settle_instance(seen, end, model_uri=f"{plan.output_uri}model.tar.gz")


def read_training_job(job: dict[str, Any], *, hosts: int) -> Observation:
    """Translate DescribeTrainingJob's answer. Pure."""
    started, ended = job.get("TrainingStartTime"), job.get("TrainingEndTime")
    seconds = Decimal(str(job.get("BillableTimeInSeconds", 0)))
    status = translate(SAGEMAKER_STATUS, job["TrainingJobStatus"])
    phase = job.get("SecondaryStatus", "")
    return Observation(
        status=status,
        phase=str(phase),
        reason=str(job.get("FailureReason") or _SAGEMAKER_LIMITS.get(str(phase), "")),
        usage=Usage(billable_s=seconds, hosts=hosts, started_at=started, ended_at=ended),
        model_uri=job.get("ModelArtifacts", {}).get("S3ModelArtifacts")
        if status is RunStatus.SUCCEEDED
        else None,
    )


def read_instance(instance: dict[str, Any]) -> Observation:
    """Translate one instance of DescribeInstances' answer. Pure; `terminated` says nothing of success."""
    state = instance["State"]["Name"]
    reason = str(instance.get("StateTransitionReason", ""))
    found = _REASON_TIME.search(reason)
    started = instance["LaunchTime"]
    ended = (
        datetime.strptime(found.group(1), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        if found
        else None
    )
    return Observation(
        status=translate(EC2_STATUS, state),
        phase=state,
        reason=reason,
        usage=Usage(
            billable_s=_seconds(started, ended), hosts=1, started_at=started, ended_at=ended
        ),
    )


def _seconds(started: datetime, ended: datetime | None) -> Decimal:
    if ended is None:
        return Decimal(0)
    return Decimal(str(max((ended - started).total_seconds(), 0)))


def settle_instance(
    seen: Observation, end: dict[str, Any] | None, *, model_uri: str
) -> Observation:
    """Join an ended instance with the note its script left: did the training itself succeed? Pure."""
    usage = seen.usage
    if end is None or usage is None or usage.started_at is None:
        return replace(seen, reason=seen.reason or "the instance ended before its script did")
    ended = usage.ended_at or datetime.fromtimestamp(end["ended_at"], tz=UTC)
    usage = replace(usage, ended_at=ended, billable_s=_seconds(usage.started_at, ended))
    if end["exit_code"] == 0:
        return replace(
            seen, status=RunStatus.SUCCEEDED, reason="", usage=usage, model_uri=model_uri
        )
    reason = f"the training script ended with exit code {end['exit_code']}"
    return replace(seen, status=RunStatus.FAILED, reason=reason, usage=usage)


def ended_by(seen: Observation, now: datetime) -> Observation:
    """An instance whose end neither AWS nor its script told had ended by `now`. Pure.

    Its bill is reckoned up to then: a little too high, where nothing at all would be far too low.
    """
    usage = seen.usage
    if usage is None or usage.started_at is None or usage.ended_at is not None:
        return seen
    billable = _seconds(usage.started_at, now)
    return replace(seen, usage=replace(usage, ended_at=now, billable_s=billable))


def find_launched(cloud: Cloud, plan: LaunchPlan) -> str | None:
    """AWS's name for a plan's run, if AWS has it; for a launch whose answer was never read."""
    if plan.launcher == "sagemaker":
        name = str(plan.calls[-1].params["TrainingJobName"])
        try:
            cloud.ask("sagemaker", "describe_training_job", TrainingJobName=name)
        except CloudError as error:
            if is_code(error, "ValidationException", "ResourceNotFound"):
                return None
            raise
        return name
    mine = {"Name": "tag:pedigree:run", "Values": [plan.run_id]}
    found = cloud.pages("ec2", "describe_instances", "Reservations", Filters=[mine])
    return str(found[0]["Instances"][0]["InstanceId"]) if found else None


def live_lines(
    cloud: Cloud, handle: RunHandle, plan: LaunchPlan, cursor: Cursor
) -> tuple[list[str], Cursor]:
    """The lines a run has printed since `cursor`, and the cursor for the next call."""
    if handle.launcher == "ec2":
        data = read_object(cloud, f"{plan.output_uri}events.jsonl")
        lines = (data or b"").decode("utf-8", "replace").splitlines()
        return lines[cursor.lines :], Cursor(lines=len(lines))
    tokens = dict(cursor.tokens)
    lines = []
    for stream in _streams(cloud, handle.resource_id):
        found, tokens[stream] = _stream_lines(cloud, stream, tokens.get(stream))
        lines += found
    return lines, Cursor(tokens=tuple(tokens.items()))


def _streams(cloud: Cloud, job: str) -> list[str]:
    try:
        found = cloud.pages(
            "logs",
            "describe_log_streams",
            "logStreams",
            logGroupName=_LOG_GROUP,
            logStreamNamePrefix=f"{job}/",
        )
    except CloudError as error:
        if is_code(error, "ResourceNotFoundException"):
            return []
        raise
    return [stream["logStreamName"] for stream in found]


def _stream_lines(cloud: Cloud, stream: str, token: str | None) -> tuple[list[str], str]:
    lines: list[str] = []
    while True:
        more = {"nextToken": token} if token else {}
        answer = cloud.ask(
            "logs",
            "get_log_events",
            logGroupName=_LOG_GROUP,
            logStreamName=stream,
            startFromHead=True,
            **more,
        )
        lines += [event["message"] for event in answer["events"]]
        if answer["nextForwardToken"] == token:
            return lines, answer["nextForwardToken"]
        token = answer["nextForwardToken"]


def output_files(cloud: Cloud, plan: LaunchPlan) -> dict[str, str]:
    """The text files at the top of a run's output.tar.gz, by name; empty if it left none.

    `events.jsonl` among them is the whole truth once a run has ended. Raises RunError for an
    archive that cannot be read.
    """
    uri = f"{plan.output_uri}output.tar.gz"
    data = read_object(cloud, uri)
    try:
        return dict(_text_files(data)) if data else {}
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise RunError(f"{uri} is damaged: {error}", fix="the log kept here has it all") from error


def _text_files(archive: bytes) -> Iterator[tuple[str, str]]:
    left = _MAX_OUTPUT_BYTES
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for entry in tar:
            name = entry.name.removeprefix("./")
            wanted = "/" not in name and name.endswith((".json", ".jsonl"))
            if not (wanted and entry.isfile()) or entry.size > left:
                continue
            left -= entry.size
            stream = tar.extractfile(entry)
            if stream is not None:
                yield name, stream.read().decode("utf-8", "replace")


def read_object(cloud: Cloud, uri: str) -> bytes | None:
    """The bytes at an S3 URI (at most 256 MiB), or None if nothing is there."""
    parts = urlsplit(uri)
    try:
        answer = cloud.ask("s3", "get_object", Bucket=parts.netloc, Key=parts.path.lstrip("/"))
    except CloudError as error:
        if is_code(error, "NoSuchKey", "404"):
            return None
        raise
    if answer["ContentLength"] > _MAX_OUTPUT_BYTES:
        raise RunError(f"{uri} is over 256 MiB", fix="look at it by hand; it is not read here")
    data: bytes = answer["Body"].read()
    return data


def _read_json(cloud: Cloud, uri: str) -> dict[str, Any] | None:
    data = read_object(cloud, uri)
    return json.loads(data) if data else None
