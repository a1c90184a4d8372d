"""The Session Manager command that opens a shell on a run's host. Pure."""

from __future__ import annotations

from experiments.errors import RunError
from experiments.following.run_log import Progress
from experiments.records import LaunchPlan


def session_command(plan: LaunchPlan, progress: Progress, *, host: int = 1) -> list[str]:
    """`aws ssm start-session` for one host of a launched run.

    SageMaker's hosts are `sagemaker-training-job:<job>_algo-<n>` and take sessions only if the job was
    created with RemoteDebugConfig. Raises RunError naming what is missing.
    """
    if not progress.resource:
        raise RunError(f"run {plan.run_id} is not launched yet", fix="wait, or `pedigree attach`")
    if not 1 <= host <= plan.instance_count:
        raise RunError(
            f"run {plan.run_id} has no host {host}", fix=f"use 1 to {plan.instance_count}"
        )
    target = progress.resource
    if plan.launcher == "sagemaker":
        if "RemoteDebugConfig" not in plan.calls[-1].params:
            raise RunError(
                f"run {plan.run_name!r} was launched without a way in",
                fix="add `shell: true` to the run in the experiment file and launch it again",
            )
        target = f"sagemaker-training-job:{target}_algo-{host}"
    return ["aws", "ssm", "start-session", "--target", target, "--region", plan.region]
