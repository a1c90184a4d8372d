"""The folder a person works in: where state, runs and tracking live, and how to reach the clouds."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from experiments.aws import Boto3Cloud
    from experiments.tracking import Tracker

DEFAULT_REGION = "us-east-1"
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """`root` holds `mlflow.db`; everything else Pedigree keeps is under `root/.pedigree`."""

    root: Path

    @classmethod
    def here(cls) -> Workspace:
        """PEDIGREE_HOME if set, else the current folder."""
        return cls(root=Path(os.environ.get("PEDIGREE_HOME") or Path.cwd()).resolve())

    @property
    def state(self) -> Path:
        return self.root / ".pedigree"

    @property
    def cloud_state(self) -> Path:
        return self.state / "cloud"

    @property
    def cache(self) -> Path:
        return self.state / "cache"

    @property
    def run_logs(self) -> Path:
        return self.state / "runs"

    @property
    def budget(self) -> Path:
        """Where the limit on a month's spend is kept."""
        return self.state / "budget.json"

    def remember_data(self, folder: Path) -> None:
        """Keep which photographs were trained on, for the dashboard's gallery."""
        from experiments.files import write_whole

        write_whole(self.state / "last-data", str(folder.resolve()).encode())

    def open_cloud(self, name: str, region: str = DEFAULT_REGION) -> Boto3Cloud:
        """The cloud of this name. Raises CloudError, naming the command to start it, if it is down."""
        from experiments.aws import Address, Boto3Cloud

        if name == "aws":
            _refuse_redirected_aws()
            return Boto3Cloud(Address(name="aws", region=region, endpoint_url=None))
        from cli.local_cloud import require_up

        return Boto3Cloud(
            Address(name="local", region=region, endpoint_url=require_up(self.cloud_state))
        )

    def open_tracker(self) -> Tracker:
        """The tracker: MLFLOW_TRACKING_URI if set, else `mlflow.db` here."""
        from experiments.tracking import Tracker, default_uri

        return Tracker(default_uri(self.root), self.root)


def _refuse_redirected_aws() -> None:
    """What localaws costs must never pass for AWS's prices."""
    from experiments.errors import CloudError

    url = os.environ.get("AWS_ENDPOINT_URL", "")
    if url:
        raise CloudError(
            f"AWS_ENDPOINT_URL sends every request to {url}, which is not AWS",
            fix="`unset AWS_ENDPOINT_URL`, or use `--cloud local`",
        )


def cloud_option(command: _F) -> _F:
    """`--cloud local|aws`; local unless the person says otherwise."""
    return click.option(
        "--cloud",
        "cloud_name",
        type=click.Choice(["local", "aws"]),
        default="local",
        show_default=True,
        help="local: AWS on this machine. aws: the real one, which costs money.",
    )(command)


def json_option(command: _F) -> _F:
    """`--json`: one JSON document on standard output, for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")(
        command
    )
