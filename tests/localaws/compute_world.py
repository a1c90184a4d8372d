"""Builders for the tests of Lambda and EC2: clouds that have only these, roles, code, waiting."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from localaws.ec2 import Ec2
from localaws.functions import Functions
from localaws.hosts.processes import Processes
from localaws.server import Parts, Service, SharedProcesses
from tests.localaws.conftest import Client

Found = TypeVar("Found")

HANDLER = """
import json, os, sys, time
print("loading")
def handler(event, context):
    print("event", json.dumps(event))
    time.sleep(event.get("sleep", 0))
    if "raise" in event:
        raise ValueError(event["raise"])
    if "exit" in event:
        os._exit(event["exit"])
    if "megabytes" in event:
        block = bytearray(event["megabytes"] << 20)
        time.sleep(0.3)
    if "big" in event:
        return "x" * event["big"]
    if "env" in event:
        return {name: os.environ.get(name) for name in event["env"]}
    return {"pid": os.getpid(), "version": context.function_version,
            "arn": context.invoked_function_arn, "file": __file__}
"""


def lambda_only(parts: Parts) -> Sequence[Service]:
    """A cloud with Lambda."""
    processes = Processes(parts.settings.state_dir)
    functions = Functions(
        store=parts.store,
        clock=parts.clock,
        objects=parts.objects,
        records=parts.records,
        processes=processes,
        settings=parts.settings,
        metrics=parts.watch.data,
    )
    return (SharedProcesses(processes), functions)


def ec2_only(parts: Parts) -> Sequence[Service]:
    """A cloud with EC2."""
    processes = Processes(parts.settings.state_dir)
    ec2 = Ec2(
        store=parts.store,
        clock=parts.clock,
        objects=parts.objects,
        records=parts.records,
        processes=processes,
        settings=parts.settings,
    )
    return (SharedProcesses(processes), ec2)


def zipped(source: str = HANDLER, name: str = "handler.py") -> bytes:
    """A deployment package of one file; the same source gives the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), source)
    return buffer.getvalue()


def role(cloud: Client, name: str, service: str) -> str:
    """The ARN of a new role that `service` may assume."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    answer = cloud.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=policy)
    arn: str = answer["Role"]["Arn"]
    return arn


def make_function(cloud: Client, name: str = "f", **settings: Any) -> dict[str, Any]:
    """An active function with a role of its own."""
    client = cloud.client("lambda")
    params: dict[str, Any] = {
        "FunctionName": name,
        "Runtime": "python3.11",
        "Handler": "handler.handler",
        "Code": {"ZipFile": zipped()},
        "MemorySize": 256,
        **settings,
    }
    if "Role" not in params:
        params["Role"] = role(cloud, f"role-of-{name}", "lambda.amazonaws.com")
    client.create_function(**params)
    return settle(cloud, name)


def settle(cloud: Client, name: str = "f") -> dict[str, Any]:
    """The function's configuration once it is active and its last update is in force."""
    client = cloud.client("lambda")

    def settled() -> dict[str, Any] | None:
        config: dict[str, Any] = client.get_function_configuration(FunctionName=name)
        return config if config.get("LastUpdateStatus") == "Successful" else None

    return until(settled)


def until(look: Callable[[], Found | None], timeout_s: float = 20.0) -> Found:
    """What `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"nothing was found within {timeout_s} s")
