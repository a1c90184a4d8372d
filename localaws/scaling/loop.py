"""Acts on the scaling policies minute by minute, from the real invocation counts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from localaws.clock import Timer
from localaws.sagemaker.words import Doc
from localaws.scaling.decision import IN_DATAPOINTS, Decision, decide
from localaws.scaling.records import Resource, ScalingRecords, tracking_policy
from localaws.wire.protocol import AwsError

TICK_S = 10.0
MINUTE_S = 60.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """A variant as SageMaker has it now."""

    status: str
    instances: int
    instance_type: str


class Variants(Protocol):
    """What scaling asks of SageMaker: `localaws.sagemaker.hosting.endpoints.Endpoints`."""

    def capacity(self, name: str, variant: str) -> Capacity | None:
        """None when there is no such variant."""

    def set_capacity(self, name: str, variant: str, instances: int) -> None:
        """Ask for so many instances; raises `AwsError` when the endpoint is busy."""

    def mark_scaled(self, name: str, variant: str, *, scaled: bool) -> None:
        """Whether the variant is a scalable target."""


class Invocations(Protocol):
    """Where the metric comes from: `localaws.sagemaker.hosting.metrics.EndpointMetrics`."""

    def per_instance_minutes(
        self, endpoint: str, variant: str, *, before: int, count: int
    ) -> list[float | None]:
        """Invocations per instance by minute, oldest first; None where there were none."""


class ScalingLoop:
    """One thread on the given clock; `tick` does what is due at the clock's present."""

    def __init__(
        self, records: ScalingRecords, variants: Variants, metrics: Invocations, clock: Timer
    ) -> None:
        self._records = records
        self._variants = variants
        self._metrics = metrics
        self._clock = clock
        self._minute = int(clock.now() // MINUTE_S)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="autoscaling", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def tick(self) -> None:
        """Settle activities in progress and, once a minute, decide for every target."""
        minute = int(self._clock.now() // MINUTE_S)
        decides, self._minute = minute != self._minute, minute
        with self._records.lock:
            for resource_id, target in self._records.targets.items():
                _, endpoint, _, variant = resource_id.split("/")
                resource = Resource(endpoint=endpoint, variant=variant)
                self._attend(resource, target, minute if decides else None)

    def _attend(self, resource: Resource, target: Doc, minute: int | None) -> None:
        capacity = self._variants.capacity(resource.endpoint, resource.variant)
        if capacity is None or capacity.status == "Deleting":
            # Deleting an endpoint deregisters its variants, as on AWS.
            self._variants.mark_scaled(resource.endpoint, resource.variant, scaled=False)
            self._records.remove_target(resource.resource_id)
        elif capacity.status == "InService":
            self._settle(target, capacity)
            if minute is not None:
                self._decide(resource, target, capacity, minute)

    def _run(self) -> None:
        while not self._clock.sleep(TICK_S, self._stop):
            try:
                self.tick()
            except Exception:
                _log.exception("autoscaling")

    def _settle(self, target: Doc, capacity: Capacity) -> None:
        pending = target.pop("Pending", None)
        if pending is None:
            return
        now = self._clock.now()
        fulfilled = capacity.instances == pending["Desired"]
        self._records.end_activity(
            pending["Key"], desired=pending["Desired"], fulfilled=fulfilled, now=now
        )
        if fulfilled:
            target["LastOut" if pending["Desired"] > pending["From"] else "LastIn"] = now
        self._records.targets.put(target["ResourceId"], target)

    def _decide(self, resource: Resource, target: Doc, capacity: Capacity, minute: int) -> None:
        policies = self._records.policies_of(resource.resource_id)
        points = self._metrics.per_instance_minutes(
            resource.endpoint, resource.variant, before=minute, count=IN_DATAPOINTS
        )
        decisions = [
            decide(
                tracking_policy(target, policy),
                points,
                current=capacity.instances,
                last_out=target.get("LastOut"),
                last_in=target.get("LastIn"),
                now=self._clock.now(),
            )
            for policy in policies
        ]
        chosen = strongest(decisions, capacity.instances)
        if chosen is not None:
            decision = decisions[chosen]
            if decision is not None:
                self._act(resource, target, policies[chosen], decision, capacity)

    def _act(
        self, resource: Resource, target: Doc, policy: Doc, decision: Decision, capacity: Capacity
    ) -> None:
        try:
            self._variants.set_capacity(resource.endpoint, resource.variant, decision.desired)
        except AwsError as error:
            _log.info("%s is not scaled now: %s", resource.resource_id, error)
            return
        key = self._records.add_activity(
            resource.resource_id,
            desired=decision.desired,
            cause=_cause(decision, policy),
            now=self._clock.now(),
        )
        target["Pending"] = {"Key": key, "Desired": decision.desired, "From": capacity.instances}
        self._records.targets.put(resource.resource_id, target)


def strongest(decisions: Sequence[Decision | None], current: int) -> int | None:
    """Index of the decision that leaves most capacity; scaling in needs all policies to agree."""
    made = [(one.desired, i) for i, one in enumerate(decisions) if one is not None]
    if not made:
        return None
    desired, index = max(made)
    return index if desired > current or len(made) == len(decisions) else None


def _cause(decision: Decision, policy: Doc) -> str:
    if decision.cause in ("minimum", "maximum"):
        return f"{decision.cause} capacity was set to {decision.desired}"
    alarm = policy["Alarms"][0 if decision.cause == "high" else 1]["AlarmName"]
    return f"monitor alarm {alarm} in state ALARM triggered policy {policy['PolicyName']}"
