"""End a launched run before its time: politely first, so that it can write its checkpoint."""

from __future__ import annotations

from experiments.aws import Cloud, is_code
from experiments.errors import CloudError
from experiments.records import RunHandle

STOP_TAG = "pedigree:stop"
POLITE_S = 90.0
"""For so long an instance that was asked to stop may write its checkpoint; SageMaker gives 120 s."""


def ask_to_stop(cloud: Cloud, handle: RunHandle, why: str) -> None:
    """Ask a run to stop; it takes its time. Raises CloudError if it had ended already.

    SageMaker sends SIGTERM. An instance finds the tag in its metadata and does the same.
    """
    if handle.launcher == "ec2":
        tag = {"Key": STOP_TAG, "Value": why[:200]}
        cloud.ask("ec2", "create_tags", Resources=[handle.resource_id], Tags=[tag])
    else:
        cloud.ask("sagemaker", "stop_training_job", TrainingJobName=handle.resource_id)


def end_now(cloud: Cloud, handle: RunHandle) -> None:
    """End an instance that did not stop when it was asked. A training job is ended by SageMaker."""
    if handle.launcher != "ec2":
        return
    try:
        cloud.ask("ec2", "terminate_instances", InstanceIds=[handle.resource_id])
    except CloudError as error:
        if not is_code(error, "InvalidInstanceID.NotFound"):
            raise
