"""What AWS says of a launched run, in our words. Foreign statuses cross the border here, by table."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from experiments.aws import Cloud, is_code
from experiments.errors import CloudError, RunError
from experiments.following.output import read_json
from experiments.launching.host_script import GRACE_S
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
_ENDINGS = {
    "interrupted": "AWS took the spot instance back; its checkpoint is kept",
    "stopped": "stopped when asked to",
    "limit": "stopped at its maximum run time",
}
"""Why an instance's script says that it ended its training."""
EC2_STATUS = {
    "pending": RunStatus.SUBMITTED,
    "running": RunStatus.RUNNING,
    "stopping": RunStatus.RUNNING,
    "shutting-down": RunStatus.RUNNING,
    "stopped": RunStatus.STOPPED,
    "terminated": RunStatus.STOPPED,
}
_COMPLAINT = re.compile(r"error|denied|not authorized|failed|unable to", re.IGNORECASE)
_YOUNG_S = 120.0
_FORGOTTEN_S = 3600.0
_REASON_TIME = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) GMT\)")


def translate(table: dict[str, RunStatus], foreign: str) -> RunStatus:
    """Our word for a foreign status. An unknown one is an error, never a guess."""
    if foreign not in table:
        raise RunError(
            f"AWS answered with a status not known here: {foreign!r}",
            fix="update pedigree; the run itself is not touched",
        )
    return table[foreign]


def observe(cloud: Cloud, handle: RunHandle, plan: LaunchPlan, now: datetime) -> Observation:
    """Ask AWS once how a run is."""
    if handle.launcher == "sagemaker":
        answer = cloud.ask("sagemaker", "describe_training_job", TrainingJobName=handle.resource_id)
        return read_training_job(answer, hosts=plan.instance_count)
    instance = _describe_instance(cloud, handle, now)
    if instance is None and (now - handle.submitted_at).total_seconds() < _YOUNG_S:
        return Observation(status=RunStatus.SUBMITTED, phase="pending")
    seen = read_instance(instance) if instance else None
    if seen is not None and not seen.status.settled:
        return seen
    end = read_json(cloud, f"{plan.output_uri}end.json")
    seen = seen or _forgotten(handle, plan, now, has_note=end is not None)
    complaint = find_complaint(_console(cloud, handle)) if end is None else ""
    return settle_instance(
        seen, end, model_uri=f"{plan.output_uri}model.tar.gz", complaint=complaint
    )


def _describe_instance(cloud: Cloud, handle: RunHandle, now: datetime) -> dict[str, Any] | None:
    """EC2's description; None if EC2 does not know the instance yet, or any more."""
    try:
        answer = cloud.ask("ec2", "describe_instances", InstanceIds=[handle.resource_id])
    except CloudError as error:
        age_s = (now - handle.submitted_at).total_seconds()
        expected = age_s < _YOUNG_S or age_s > _FORGOTTEN_S
        if not (expected and is_code(error, "InvalidInstanceID.NotFound")):
            raise
        return None
    for reservation in answer["Reservations"]:
        found: dict[str, Any] = reservation["Instances"][0]
        return found
    return None


def _console(cloud: Cloud, handle: RunHandle) -> str:
    """What EC2 still has of the instance's console: the one witness where nothing could be uploaded."""
    try:
        answer = cloud.ask("ec2", "get_console_output", InstanceId=handle.resource_id)
    except (CloudError, OSError):
        return ""
    return str(answer.get("Output", ""))


def find_complaint(console: str) -> str:
    """The last line of a console that tells of an error, in at most 300 printable characters. Pure."""
    for line in reversed(console.splitlines()):
        if _COMPLAINT.search(line):
            return "".join(c for c in line.strip() if c.isprintable())[:300]
    return ""


def _forgotten(
    handle: RunHandle, plan: LaunchPlan, now: datetime, *, has_note: bool
) -> Observation:
    """An instance that EC2 has forgotten: its note says when it ended, or it was its watchdog."""
    started = handle.submitted_at
    latest = min(now, started + timedelta(seconds=plan.max_runtime_s + GRACE_S))
    usage = Usage(
        billable_s=_seconds(started, latest),
        hosts=1,
        started_at=started,
        ended_at=None if has_note else latest,
    )
    reason = "EC2 does not know the instance any more and it left no note of how it ended"
    return Observation(status=RunStatus.STOPPED, phase="terminated", reason=reason, usage=usage)


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
        usage=Usage(
            billable_s=seconds,
            hosts=hosts,
            started_at=started,
            ended_at=ended,
            training_s=_whole_seconds(job, "TrainingTimeInSeconds"),
            retained_s=_whole_seconds(
                job.get("WarmPoolStatus", {}), "ResourceRetainedBillableTimeInSeconds"
            )
            or Decimal(0),
            spot=bool(job.get("EnableManagedSpotTraining", False)),
            download_s=_downloading(job),
        ),
        model_uri=job.get("ModelArtifacts", {}).get("S3ModelArtifacts")
        if status is RunStatus.SUCCEEDED
        else None,
    )


def read_instance(instance: dict[str, Any]) -> Observation:
    """Translate one instance of DescribeInstances' answer. Pure; `terminated` says nothing of success."""
    state = instance["State"]["Name"]
    reason = str(instance.get("StateTransitionReason", ""))
    found = _REASON_TIME.search(reason)
    if instance.get("StateReason", {}).get("Code") == "Server.SpotInstanceTermination":
        reason = _ENDINGS["interrupted"]
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
            billable_s=_seconds(started, ended),
            hosts=1,
            started_at=started,
            ended_at=ended,
            spot=instance.get("InstanceLifecycle") == "spot",
            interrupted=reason == _ENDINGS["interrupted"],
        ),
    )


def _downloading(job: dict[str, Any]) -> Decimal | None:
    """Seconds of a job's Downloading phases: several where a spot host came back."""
    spans = [
        _seconds(move["StartTime"], move["EndTime"])
        for move in job.get("SecondaryStatusTransitions", ())
        if move["Status"] == "Downloading" and "EndTime" in move
    ]
    return sum(spans, Decimal(0)) if spans else None


def _whole_seconds(answer: dict[str, Any], name: str) -> Decimal | None:
    return Decimal(str(answer[name])) if name in answer else None


def _seconds(started: datetime, ended: datetime | None) -> Decimal:
    if ended is None:
        return Decimal(0)
    return Decimal(str(max((ended - started).total_seconds(), 0)))


def settle_instance(
    seen: Observation, end: dict[str, Any] | None, *, model_uri: str, complaint: str = ""
) -> Observation:
    """Join an ended instance with the note its script left: did the training itself succeed? Pure.

    `complaint` is what its console says, which stands in for a note that could not be left.
    """
    usage = seen.usage
    if end is None or usage is None or usage.started_at is None:
        reason = seen.reason or "the instance ended before its script did"
        if complaint:
            reason = f"{reason}; it left no note, and its console says: {complaint}"
        return replace(seen, reason=reason)
    ended = usage.ended_at or datetime.fromtimestamp(end["ended_at"], tz=UTC)
    usage = replace(usage, ended_at=ended, billable_s=_seconds(usage.started_at, ended))
    if "fetched_at" in end:
        fetching = Decimal(end["fetched_at"]) - Decimal(end["started_at"])
        usage = replace(usage, download_s=max(fetching, Decimal(0)))
    if end["exit_code"] == 0:
        return replace(
            seen, status=RunStatus.SUCCEEDED, reason="", usage=usage, model_uri=model_uri
        )
    why = str(end.get("why", ""))
    if why in _ENDINGS:
        return replace(seen, status=RunStatus.STOPPED, reason=_ENDINGS[why], usage=usage)
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
