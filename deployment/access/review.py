"""Hold the roles of an account against what was generated, and against what was ever used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deployment.access.template import template
from deployment.clock import Clock
from deployment.settings import ServingSettings
from experiments.aws import Cloud, is_code
from experiments.errors import CloudError
from experiments.foundation import Foundation, Policy, observe_role

_UNUSED_DAYS = 90
_POLLS = 20


@dataclass(frozen=True, kw_only=True)
class RoleReview:
    """One role. `drift`: what differs from what was generated, in words; empty if nothing.

    `unused`: what its policy allows and it did not use in 90 days: a whole service (`ecr`), or an action
    (`s3:PutObject`) of those that IAM tracks one by one; None where AWS does not tell.
    """

    role: str
    exists: bool
    drift: tuple[str, ...]
    unused: tuple[str, ...] | None


def review(cloud: Cloud, settings: ServingSettings, *, clock: Clock) -> tuple[RoleReview, ...]:
    """Look at the four roles. Changes nothing. Raises CloudError."""
    foundation = Foundation(account_id=cloud.account_id, region=cloud.region)
    found = []
    for resource in template(foundation, settings)["Resources"].values():
        if resource["Type"] != "AWS::IAM::Role":
            continue
        wanted = resource["Properties"]
        name, inline = wanted["RoleName"], wanted["Policies"][0]
        exists, policy = observe_role(cloud, name, inline["PolicyName"])
        found.append(
            RoleReview(
                role=name,
                exists=exists,
                drift=drift(inline["PolicyDocument"], policy) if exists else (),
                unused=_unused(cloud, foundation.role_arn(name), policy or {}, clock)
                if exists
                else None,
            )
        )
    return tuple(found)


def drift(wanted: Policy, seen: Policy | None) -> tuple[str, ...]:
    """What one policy allows and the other does not, grant by grant. Pure."""
    if seen is None:
        return ("its policy is not there",)
    mine, theirs = _grants(wanted), _grants(seen)
    missing = [f"missing: {action} on {resource}" for action, resource, _ in mine - theirs]
    added = [f"added: {action} on {resource}" for action, resource, _ in theirs - mine]
    return tuple(sorted(missing) + sorted(added))


def _grants(policy: Policy) -> set[tuple[str, str, str]]:
    return {
        (action, resource, str(statement.get("Condition", "")))
        for statement in policy.get("Statement", [])
        for action in _many(statement.get("Action", []))
        for resource in _many(statement.get("Resource", []))
    }


def _many(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _unused(cloud: Cloud, arn: str, policy: Policy, clock: Clock) -> tuple[str, ...] | None:
    """What the role may do and did not in 90 days, by IAM's last access."""
    answer = _last_access(cloud, arn, clock)
    if answer is None or answer["JobStatus"] != "COMPLETED":
        return None
    now, unused = clock.now(), []
    allowed = {action for action, _, _ in _grants(policy)}
    for service in answer.get("ServicesLastAccessed", []):
        name = service["ServiceNamespace"]
        if _is_old(service.get("LastAuthenticated"), now):
            unused.append(name)
            continue
        tracked = service.get("TrackedActionsLastAccessed", [])
        old = [t["ActionName"] for t in tracked if _is_old(t.get("LastAccessedTime"), now)]
        unused += [f"{name}:{action}" for action in old if f"{name}:{action}" in allowed]
    return tuple(sorted(unused))


def _is_old(last: datetime | None, now: datetime) -> bool:
    return last is None or (now - last).days >= _UNUSED_DAYS


def _last_access(cloud: Cloud, arn: str, clock: Clock) -> dict[str, Any] | None:
    """IAM's report on a role, down to actions; None where AWS does not tell."""
    try:
        job = cloud.ask(
            "iam", "generate_service_last_accessed_details", Arn=arn, Granularity="ACTION_LEVEL"
        )["JobId"]
        for _ in range(_POLLS):
            answer: dict[str, Any] = cloud.ask(
                "iam", "get_service_last_accessed_details", JobId=job
            )
            if answer["JobStatus"] != "IN_PROGRESS":
                break
            clock.sleep(1)
    except CloudError as error:
        if is_code(error, "NotImplemented", "InvalidAction", "501", "404"):
            return None
        raise
    return answer
