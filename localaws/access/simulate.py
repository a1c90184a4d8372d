"""IAM's SimulatePrincipalPolicy and SimulateCustomPolicy, which moto lacks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from werkzeug import Request, Response

from localaws.access.policies import Context, Policy, evaluate
from localaws.access.principals import policies_of
from localaws.wire.protocol import AwsError, Caller
from localaws.wire.query import QueryService
from localaws.wire.scope import operation_name

_OPERATIONS = ("SimulatePrincipalPolicy", "SimulateCustomPolicy")
_PAGE = 100


class Simulator:
    """Sees IAM's requests first and answers the two simulations; the rest is moto's."""

    services: Mapping[str, Any] = {}
    intercepts = ("iam",)

    def __init__(self) -> None:
        self._answers = QueryService(
            "iam",
            SimpleNamespace(
                simulate_principal_policy=simulate_principal_policy,
                simulate_custom_policy=simulate_custom_policy,
            ),
        )

    def start(self) -> None:
        """Nothing to resume."""

    def close(self) -> None:
        """Nothing to end."""

    def intercept(
        self, request: Request, caller: Caller, forward: Callable[[Request], Response]
    ) -> Response:
        """The HTTP answer."""
        if operation_name(request) in _OPERATIONS:
            return self._answers.respond(request, caller)
        return forward(request)


def simulate_principal_policy(params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
    """What the policies of a user, group or role, and those of the request, allow."""
    source = params["PolicySourceArn"]
    policies = policies_of(caller.account_id, source)
    if policies is None:
        text = f"The principal {source} does not exist"
        raise AwsError("NoSuchEntity", text, status=404)
    return _simulated(params, [*policies, *_documents(params)])


def simulate_custom_policy(params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
    """What the policies of the request allow."""
    del caller
    return _simulated(params, _documents(params))


def _documents(params: Mapping[str, Any]) -> list[Policy]:
    try:
        return [json.loads(text) for text in params.get("PolicyInputList", [])]
    except ValueError as error:
        raise AwsError("InvalidInput", "A policy of PolicyInputList is not JSON") from error


def _simulated(params: Mapping[str, Any], policies: Sequence[Policy]) -> dict[str, Any]:
    context = {
        entry["ContextKeyName"].lower(): entry.get("ContextKeyValues", [])
        for entry in params.get("ContextEntries", [])
    }
    resources = params.get("ResourceArns") or ["*"]
    pairs = [(action, resource) for action in params["ActionNames"] for resource in resources]
    first, most = int(params.get("Marker") or 0), int(params.get("MaxItems") or _PAGE)
    results = [_result(policies, *pair, context) for pair in pairs[first : first + most]]
    more = first + most < len(pairs)
    return {
        "EvaluationResults": results,
        "IsTruncated": more,
        "Marker": str(first + most) if more else None,
    }


def _result(
    policies: Sequence[Policy], action: str, resource: str, context: Context
) -> dict[str, Any]:
    try:
        decision = evaluate(policies, action=action, resource=resource, context=context)
    except (ValueError, KeyError) as error:
        raise AwsError("InvalidInput", str(error)) from error
    return {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": decision.value,
        "MatchedStatements": [],
        "MissingContextValues": [],
    }
