"""End a launched run before its time, and say why it was ended."""

from __future__ import annotations

from experiments.aws import Cloud
from experiments.errors import PedigreeError
from experiments.records import RunHandle


def stop(cloud: Cloud, handle: RunHandle) -> None:
    """Ask AWS to end a run; it takes its time. Raises CloudError if it had ended already."""
    if handle.launcher == "ec2":
        cloud.ask("ec2", "terminate_instances", InstanceIds=[handle.resource_id])
    else:
        cloud.ask("sagemaker", "stop_training_job", TrainingJobName=handle.resource_id)


def why_stopped(error: BaseException) -> str:
    """The reason on record for a run that was stopped because of `error` in its launcher."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped by Ctrl-C"
    what = error.message if isinstance(error, PedigreeError) else repr(error)
    return f"stopped because following it broke: {what}"
