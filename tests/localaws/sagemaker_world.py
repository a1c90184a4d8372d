"""What the tests of SageMaker share: a cloud with SageMaker only, a role, a bucket, waiting."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from localaws.hosts.isolation import probe
from localaws.hosts.processes import Processes
from localaws.sagemaker.service import SageMaker
from localaws.scaling.service import Autoscaling
from localaws.server import Parts, Service

BUCKET = "the-bucket"
ROLE = "arn:aws:iam::123456789012:role/trainer"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.14-cpu-py311"


def sagemaker_services(parts: Parts) -> Sequence[Service]:
    """SageMaker and its autoscaling, without Lambda and EC2."""
    processes = Processes(parts.settings.state_dir, parts.door)
    shared: dict[str, Any] = {
        "store": parts.store,
        "clock": parts.clock,
        "settings": parts.settings,
    }
    sagemaker = SageMaker(
        **shared,
        objects=parts.objects,
        records=parts.records,
        processes=processes,
        watch=parts.watch,
    )
    return (
        Closing(processes),
        sagemaker,
        Autoscaling(**shared, sagemaker=sagemaker, alarms=parts.watch.alarms),
    )


class Closing:
    """Closes the processes after the services that use them."""

    def __init__(self, processes: Processes) -> None:
        self.services: dict[str, Any] = {}
        self._processes = processes

    def start(self) -> None:
        """Nothing to resume."""

    def close(self) -> None:
        """End every process."""
        self._processes.close()


def prepare(cloud: Any) -> None:
    """A bucket and a role that SageMaker may assume."""
    cloud.client("s3").create_bucket(Bucket=BUCKET)
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    cloud.client("iam").create_role(RoleName="trainer", AssumeRolePolicyDocument=json.dumps(policy))


def until(condition: Callable[[], bool], limit_s: float = 20.0) -> bool:
    """Wait for what other processes bring about."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def can_mount(cloud: Any) -> bool:
    """Whether this machine has namespaces."""
    folder = cloud.cloud.settings.state_dir / "probe"
    return probe(folder)[0] == "namespaces"
