"""`pedigree shell`: a shell on the host of a run, by Session Manager instead of SSH."""

from __future__ import annotations

import os
import shlex
import shutil
from typing import TYPE_CHECKING

import click

from cli.workspace import Workspace

if TYPE_CHECKING:
    from experiments.aws import Boto3Cloud


@click.command()
@click.argument("run")
@click.option(
    "--host",
    type=click.IntRange(1, 20),
    default=1,
    show_default=True,
    help="Which host of the run.",
)
@click.option("--print", "only_print", is_flag=True, help="Print the command and start nothing.")
def shell(run: str, host: int, only_print: bool) -> None:
    """Open a shell on a host of RUN (an id or a name) while it runs.

    Needs the AWS CLI with its Session Manager plugin. A SageMaker run needs `shell: true` in its file.
    """
    from cli.launched import cloud_of, find_log
    from experiments.errors import RunError
    from experiments.following.session import session_command

    space = Workspace.here()
    log = find_log(space, run)
    if log.is_settled:
        raise RunError(f"run {log.run_id} is over, its host is gone", fix="see `pedigree attach`")
    command = session_command(log.intent().plan, log.progress(), host=host)
    if only_print:
        click.echo(shlex.join(command))
        return
    _refuse_without_sessions(cloud_of(space, log))
    os.execvp(command[0], command)  # noqa: S606 (a fixed program with quoted arguments)


def _refuse_without_sessions(cloud: Boto3Cloud) -> None:
    from experiments.errors import CloudError

    try:
        cloud.ask("ssm", "describe_sessions", State="Active", MaxResults=1)
    except CloudError as error:
        if error.code in ("AccessDenied", "AccessDeniedException"):
            return  # it is there; whether a session may be started is another permission
        raise CloudError(
            f"this cloud has no Session Manager ({error.code})",
            fix="AWS on this machine runs hosts as processes here: `pedigree attach --logs` shows them",
        ) from error
    for program, where in (
        ("aws", "install the AWS CLI"),
        ("session-manager-plugin", "install the AWS CLI's Session Manager plugin"),
    ):
        if shutil.which(program) is None:
            raise CloudError(f"{program} is not on this machine", fix=f"{where}, or use --print")
