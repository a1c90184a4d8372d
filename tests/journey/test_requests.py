"""What the planners print is what AWS is sent: their plans against localaws's request log."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name

from experiments.aws import Boto3Cloud
from experiments.foundation import Standing, observe_foundation, plan_foundation
from experiments.records import Call
from tests.deployment.builders import handler
from tests.deployment.test_on_localaws import carry_out, cloud, ready
from tests.experiments.build import plan as launch_plan

pytestmark = pytest.mark.slow
__all__ = ["cloud"]
_SIGNED_AS = {"cloudwatch": "monitoring"}
_READS = ("get_", "head_", "list_", "describe_", "invoke")
# botocore adds these to what it is given.
_ADDED = {"ClientToken", "ContentLength", "ChecksumAlgorithm", "ChecksumCRC32", "ContentMD5"}
Asked = tuple[str, str, Any]


def log_of(cloud: Boto3Cloud) -> list[dict[str, Any]]:
    """All that localaws was asked."""
    with urllib.request.urlopen(f"{cloud.address.endpoint_url}/_localaws/requests") as answer:
        found: list[dict[str, Any]] = json.load(answer)
        return found


def writes(entries: Iterable[Mapping[str, Any]]) -> list[Asked]:
    """Service, operation and parameters of the requests that may change something."""
    asked = [
        (one["service"], xform_name(one["operation"]), one["params"])
        for one in entries
        if one["status"] < 300
    ]
    return [one for one in asked if not one[1].startswith(_READS)]


def planned(calls: Iterable[Call]) -> list[Asked]:
    """The same of a plan, with bytes as the log shows them."""
    return [
        (_SIGNED_AS.get(call.service, call.service), call.operation, shown(call.params))
        for call in calls
    ]


def shown(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": len(value)}
    if isinstance(value, Mapping):
        return {key: shown(item) for key, item in value.items()}
    return [shown(item) for item in value] if isinstance(value, (list, tuple)) else value


def same(plan: Asked, sent: Asked) -> bool:
    """Whether this request is the planned one: every member, and none besides.

    The log keeps no body of an object; user data goes out in base64.
    """
    if plan[:2] != sent[:2]:
        return False
    wanted = {key: value for key, value in plan[2].items() if key != "Body"}
    told = {key: value for key, value in (sent[2] or {}).items() if key not in _ADDED - set(wanted)}
    if "UserData" in told:
        told["UserData"] = base64.b64decode(told["UserData"]).decode()
    return wanted == told


def assert_sent(plan: list[Asked], sent: list[Asked]) -> list[Asked]:
    """The planned requests were sent in their order; what was sent besides."""
    besides, waiting = [], list(plan)
    for one in sent:
        if waiting and same(waiting[0], one):
            waiting.pop(0)
        else:
            besides.append(one)
    candidates = [one for one in besides if waiting and one[:2] == waiting[0][:2]]
    assert not waiting, (waiting[0], candidates)
    return besides


def test_a_foundation_and_launches_are_sent_as_planned(cloud: Boto3Cloud) -> None:
    # The fixture laid it: the plan for an account that has nothing is what was sent.
    found, _ = observe_foundation(cloud)
    nothing = Standing(
        bucket=False,
        bucket_closed=False,
        roles={},
        ec2_profile=False,
        profile_role=False,
        closed_group=False,
    )
    foundation = plan_foundation(found, nothing)
    assert len(foundation) > 5
    assert assert_sent(planned(foundation), writes(log_of(cloud))) == []

    count = len(log_of(cloud))
    launches = [call for name in ("one", "two", "plain") for call in launch_plan(name).calls]
    for call in launches:
        cloud.client(call.service)
    sent = [refused_or_not(cloud, call) for call in launches]
    assert assert_sent(planned(launches), sent) == []
    assert len(log_of(cloud)) == count + len(launches)


def refused_or_not(cloud: Boto3Cloud, call: Call) -> Asked:
    """Send the call; what the log says of it, also where localaws has no such image or data."""
    from experiments.errors import CloudError

    try:
        cloud.perform(call)
    except CloudError as error:
        assert error.code in ("ValidationException", "InvalidAMIID.NotFound"), error.message
    entry = log_of(cloud)[-1]
    return (entry["service"], xform_name(entry["operation"]), entry["params"])


def test_a_promotion_is_sent_as_planned(cloud: Boto3Cloud, tmp_path: Path) -> None:
    for run_id, label, code in (
        ("first", "beagle", None),
        ("second", "whippet", handler(tmp_path, "changed")),
    ):
        proposal = ready(cloud, run_id, label, code)
        calls = [step.call for step in proposal.plan.steps if step.call is not None]
        count = len(log_of(cloud))
        carry_out(cloud, proposal, label)
        besides = assert_sent(planned(calls), writes(log_of(cloud)[count:]))
        # The lease, the record and the pointer are objects; nothing else is changed unplanned.
        assert {one[0] for one in besides} <= {"s3"}, besides
