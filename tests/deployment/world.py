"""A small AWS in memory: the calls that deployment makes, with AWS's rules and its own clock.

It duplicates nothing and forgets nothing: names are taken once, conditional writes are conditional,
provisioned concurrency fits the reserved one, versions are frozen, what takes time takes time on the
world's clock. Invoking a function runs the code that was uploaded against the endpoint that stands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from experiments.contract import faults
from experiments.errors import CloudError
from experiments.records import Basis, Call
from tests.deployment.world_ground import Moment, Objects, Refused, Roles
from tests.deployment.world_lambda import Functions
from tests.deployment.world_sagemaker import Endpoints

ACCOUNT = "123456789012"
REGION = "us-east-1"
_READS = ("get_", "head_", "list_", "describe_", "invoke")


class Killed(BaseException):
    """The command was ended from outside: nothing of it runs on."""


@dataclass
class Scaling:
    """Application Auto Scaling: one target and one policy for each resource."""

    endpoints: Endpoints
    targets: dict[str, dict[str, Any]] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)

    def register_scalable_target(self, ResourceId: str, **more: Any) -> dict[str, Any]:
        if not self.endpoints.has_variant(ResourceId):
            raise Refused("ValidationException", f"No endpoint variant {ResourceId}")
        self.targets[ResourceId] = {"ResourceId": ResourceId, **more}
        return {}

    def put_scaling_policy(self, ResourceId: str, **more: Any) -> dict[str, Any]:
        if ResourceId not in self.targets:
            raise Refused("ObjectNotFoundException", f"No scalable target {ResourceId}")
        self.policies[ResourceId] = {"ResourceId": ResourceId, **more}
        return {}

    def deregister_scalable_target(self, ResourceId: str, **more: Any) -> dict[str, Any]:
        del more
        if self.targets.pop(ResourceId, None) is None:
            raise Refused("ObjectNotFoundException", f"No scalable target {ResourceId}")
        self.policies.pop(ResourceId, None)
        return {}

    def describe_scalable_targets(self, ResourceIds: list[str], **more: Any) -> dict[str, Any]:
        del more
        return {"ScalableTargets": [self.targets[r] for r in ResourceIds if r in self.targets]}

    def describe_scaling_policies(self, ResourceId: str, **more: Any) -> dict[str, Any]:
        del more
        found = self.policies.get(ResourceId)
        return {"ScalingPolicies": [found] if found else []}


@dataclass
class Alarms:
    """CloudWatch's alarms. One is on as long as its name is among those that ring."""

    endpoints: Endpoints
    alarms: dict[str, dict[str, Any]] = field(default_factory=dict)

    def put_metric_alarm(self, AlarmName: str, **more: Any) -> dict[str, Any]:
        more.pop("Tags")
        self.alarms[AlarmName] = {"AlarmName": AlarmName, **more}
        self.endpoints.alarm_names.add(AlarmName)
        return {}

    def describe_alarms(self, AlarmNames: list[str]) -> dict[str, Any]:
        found = [self.alarms[name] for name in AlarmNames if name in self.alarms]
        ringing = self.endpoints.ringing
        return {
            "MetricAlarms": [
                {**a, "StateValue": "ALARM" if a["AlarmName"] in ringing else "OK"} for a in found
            ]
        }

    def delete_alarms(self, AlarmNames: list[str]) -> dict[str, Any]:
        for name in AlarmNames:
            self.alarms.pop(name, None)
            self.endpoints.alarm_names.discard(name)
        return {}


class World:
    """An experiments.aws.Cloud. `before` and `after` see every writing call and may raise."""

    region = REGION
    account_id = ACCOUNT

    def __init__(self, *, basis: Basis = Basis.SIMULATED) -> None:
        self.basis = basis
        self.moment = Moment()
        self.objects = Objects()
        self.roles = Roles(self.moment)
        self.endpoints = Endpoints(self.moment, self.objects, self.roles)
        self.scaling = Scaling(self.endpoints)
        self.alarms = Alarms(self.endpoints)
        self.functions = Functions(self.moment, self.objects, self.roles, self.endpoints)
        self.writes: list[Call] = []
        self.before: Callable[[Call], None] = lambda call: None
        self.after: Callable[[Call], None] = lambda call: None
        self._services: dict[str, Any] = {
            "s3": self.objects,
            "iam": self.roles,
            "sagemaker": self.endpoints,
            "application-autoscaling": self.scaling,
            "lambda": self.functions,
            "cloudwatch": self.alarms,
        }

    def ask(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        return self.perform(Call(service=service, operation=operation, params=params, why="asked"))

    def perform(self, call: Call) -> dict[str, Any]:
        found = faults(call)
        assert not found, f"{call.service} {call.operation}: {found}"
        is_write = not call.operation.startswith(_READS)
        if is_write:
            self.before(call)
        try:
            answer: dict[str, Any] = getattr(self._services[call.service], call.operation)(
                **call.params
            )
        except Refused as refusal:
            raise CloudError(
                f"{call.service} {call.operation} was refused: {refusal.code}: {refusal.message}",
                fix="see the message above",
                code=refusal.code,
            ) from refusal
        if is_write:
            self.writes.append(call)
            self.after(call)
        return answer

    def pages(self, service: str, operation: str, member: str, **params: Any) -> list[Any]:
        return list(self.ask(service, operation, **params)[member])

    def client(self, service: str) -> Any:
        raise AssertionError(f"nothing in deployment needs the {service} client itself")

    def written(self) -> list[str]:
        """`service operation` of every writing call that took effect, but for notes in S3."""
        return [
            f"{call.service} {call.operation}"
            for call in self.writes
            if not str(call.params.get("Key", "")).startswith("releases/")
        ]
