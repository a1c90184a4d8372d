"""Create or update the stack, and wait for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deployment.access.template import STACK, template
from deployment.clock import Clock
from deployment.settings import ServingSettings
from experiments.aws import Cloud, is_code
from experiments.contract import check
from experiments.errors import CloudError, ReleaseError
from experiments.foundation import OWNER_TAG, Foundation
from experiments.records import Call

_LIMIT_S = 900.0
_POLL_S = 3.0
_DONE = ("CREATE_COMPLETE", "UPDATE_COMPLETE")


@dataclass(frozen=True, kw_only=True)
class InitPlan:
    """The one request, or None if the stack is as wanted; and the template that it sends."""

    name: str
    call: Call | None
    body: str


def plan_init(cloud: Cloud, settings: ServingSettings) -> InitPlan:
    """Look whether the stack is there, and say what to send. Changes nothing.

    Raises ReleaseError for a stack in a state that a person has to look at, CloudError.
    """
    foundation = Foundation(account_id=cloud.account_id, region=cloud.region)
    name = f"{STACK}-{settings.name}"
    body = json.dumps(template(foundation, settings), indent=1)
    status = _status(cloud, name)
    if not status:
        plan = InitPlan(name=name, call=_send("create_stack", name, body), body=body)
    elif status in _DONE or status == "UPDATE_ROLLBACK_COMPLETE":
        held = cloud.ask("cloudformation", "get_template", StackName=name)["TemplateBody"]
        same = _parsed(held) == json.loads(body)
        call = None if same else _send("update_stack", name, body)
        plan = InitPlan(name=name, call=call, body=body)
    else:
        raise ReleaseError(
            f"stack {name} is {status}",
            fix="see its events in the CloudFormation console; delete it if it never stood",
        )
    check([plan.call] if plan.call else [])
    return plan


def _parsed(body: Any) -> Any:
    return json.loads(body) if isinstance(body, str) else json.loads(json.dumps(body))


def _send(operation: str, name: str, body: str) -> Call:
    params: dict[str, Any] = {
        "StackName": name,
        "TemplateBody": body,
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
        "Tags": [OWNER_TAG],
    }
    why = "no stack yet" if operation == "create_stack" else "the template differs"
    return Call(service="cloudformation", operation=operation, params=params, why=why)


def _status(cloud: Cloud, name: str) -> str:
    try:
        answer = cloud.ask("cloudformation", "describe_stacks", StackName=name)
    except CloudError as error:
        if is_code(error, "ValidationError") and "does not exist" in error.message:
            return ""
        raise
    return str(answer["Stacks"][0]["StackStatus"])


def apply_init(cloud: Cloud, plan: InitPlan, *, clock: Clock, say: Callable[[str], None]) -> None:
    """Send the request and wait. Raises ReleaseError if the stack ends in another state, CloudError."""
    if plan.call is None:
        return
    cloud.perform(plan.call)
    started = clock.monotonic()
    while clock.monotonic() - started < _LIMIT_S:
        status = _status(cloud, plan.name)
        if status in _DONE:
            return
        if not status.endswith("_IN_PROGRESS"):
            break
        say(f"stack {plan.name}: {status}")
        clock.sleep(_POLL_S)
    raise ReleaseError(
        f"stack {plan.name} is {status or 'gone'}: {_reasons(cloud, plan.name)}",
        fix="a bucket or role of that name that is not the stack's has to be deleted first, or be"
        " left to `pedigree run` and `promote-model`, which make what is missing themselves",
    )


def _reasons(cloud: Cloud, name: str) -> str:
    events = cloud.pages("cloudformation", "describe_stack_events", "StackEvents", StackName=name)
    failed = [e for e in events if str(e.get("ResourceStatus", "")).endswith("_FAILED")]
    return "; ".join(
        f"{e.get('LogicalResourceId')}: {e.get('ResourceStatusReason', '')}" for e in failed[-3:]
    )
