"""Send a plan's requests so that a lost answer, or a launcher that died, never makes a second run.

SageMaker knows a job by its name, EC2 an instance by its ClientToken: both are in the plan that was
written down before, so sending the same request again finds the run that the first one started.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from experiments.aws import Cloud, is_code, perform_with_role
from experiments.errors import CloudError
from experiments.following.observe import find_launched
from experiments.following.run_log import RunLog
from experiments.records import LaunchPlan

LOST = (
    "Unreachable", "RequestTimeout", "InternalFailure", "InternalError", "ServiceUnavailable",
    "Unavailable", "ServerInternal", "500", "502", "503", "504",
)  # fmt: skip
"""Codes after which nobody knows whether AWS did what it was asked."""
BUSY = ("Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException")
_WAITS_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_FINDING_WAITS_S = (0.0, 3.0, 6.0)


def submit(
    plan: LaunchPlan, *, cloud: Cloud, log: RunLog, now: datetime, sleep: Callable[[float], None]
) -> str:
    """Launch a plan and return AWS's name for it: the job's name or the instance's id.

    May be called again for the same plan at any time. Raises CloudError: with a code of `LOST` or
    `BUSY` it is not known yet whether there is a run, with any other AWS refused it.
    """
    log.note("asked", at=now)
    for wait_s in _WAITS_S:
        try:
            return _send(plan, cloud, sleep)
        except CloudError as error:
            if not is_code(error, *LOST, *BUSY):
                raise
        sleep(wait_s)
    return _send(plan, cloud, sleep)


def _send(plan: LaunchPlan, cloud: Cloud, sleep: Callable[[float], None]) -> str:
    answer: dict[str, object] = {}
    for call in plan.calls:
        try:
            answer = perform_with_role(cloud, call, sleep=sleep)
        except CloudError as error:
            # The name holds the run's id: a job that has it is the one an earlier request started.
            if call.operation != "create_training_job" or not is_code(error, "ResourceInUse"):
                raise
    if plan.launcher == "ec2":
        instances = answer["Instances"]
        return str(instances[0]["InstanceId"])  # type: ignore[index]
    return str(plan.calls[-1].params["TrainingJobName"])


def find(plan: LaunchPlan, cloud: Cloud, sleep: Callable[[float], None]) -> str | None:
    """AWS's name for a plan's run if there is one; EC2 may take seconds to list a new instance."""
    for wait_s in _FINDING_WAITS_S if plan.launcher == "ec2" else (0.0,):
        if wait_s:
            sleep(wait_s)
        found = find_launched(cloud, plan)
        if found is not None:
            return found
    return None
