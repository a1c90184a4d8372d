"""The runs that were launched from this folder: finding one, and opening the cloud it is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.errors import RunError

if TYPE_CHECKING:
    from cli.workspace import Workspace
    from experiments.aws import Boto3Cloud
    from experiments.following.run_log import RunLog


def find_log(space: Workspace, word: str) -> RunLog:
    """The log of the newest run with this id or name. Raises RunError naming those there are."""
    from experiments.following.run_log import all_logs

    logs = list(reversed(all_logs(space.run_logs)))
    for log in logs:
        if word in (log.run_id, log.run_name):
            return log
    shown = ", ".join(f"{log.run_name or '?'} ({log.run_id})" for log in logs[:8])
    raise RunError(
        f"no run {word!r} was launched from this folder",
        fix=f"name one of: {shown or 'none yet'}; or go to the folder it was launched from",
    )


def cloud_of(space: Workspace, log: RunLog) -> Boto3Cloud:
    """The cloud a run was launched in."""
    intent = log.intent()
    return space.open_cloud(intent.cloud, intent.plan.region)
