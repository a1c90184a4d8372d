"""How an endpoint is brought from one model to the next: blue/green, watched by alarms. Pure.

SageMaker starts a second fleet (green) beside the one that serves (blue), gives the canary its share
of the traffic for the bake time, then the rest for another bake time. An alarm that goes off in
either sends all traffic back to blue. A canary is at most half of the instances, so one instance
shifts all at once and is watched while it bakes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deployment.settings import VARIANT, ServingSettings
from experiments.errors import SpecError
from experiments.foundation import OWNER_TAG

PERIOD_S = 60
_TIMEOUTS_S = (600, 28_800)
_START_S = 1800
Params = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How a new model takes over. Raises SpecError for what would watch nothing.

    `canary_percent`: the share of the instances that goes first, at least one and at most half.
    `bake_s`: how long the alarms watch the canary, and then the whole new fleet.
    `max_error_share`: the share of 5xx answers in a minute that rolls back.
    `max_model_ms`: the p99 of the model's latency in a minute that rolls back.
    `alarms`: names of further alarms of your own that roll back too; they have to exist.
    """

    canary_percent: int = 10
    bake_s: int = 300
    max_error_share: float = 0.05
    max_model_ms: int = 2000
    alarms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.canary_percent <= 50:
            raise SpecError(
                f"a canary of {self.canary_percent}% cannot be",
                fix="use 1 to 50: AWS allows at most half of the instances",
            )
        if not 2 * PERIOD_S <= self.bake_s <= 3600:
            raise SpecError(
                f"a bake time of {self.bake_s} s shows the alarms nothing",
                fix=f"use {2 * PERIOD_S} to 3600: the metrics come once a minute",
            )
        if not 0 < self.max_error_share < self.canary_percent / 100:
            raise SpecError(
                f"errors of {self.max_error_share:.0%} are not seen in a canary of"
                f" {self.canary_percent}%",
                fix="lower the share of errors below that of the canary",
            )
        if self.max_model_ms < 1 or len(self.alarms) > 8:
            raise SpecError("no such alarms", fix="use 1 ms or more, and at most 8 of your own")

    @property
    def limit_s(self) -> int:
        """How long an update may take: instances start, two bakes, the old fleet ends."""
        return _START_S + 2 * self.bake_s


def canary_instances(rollout: Rollout, instances: int) -> int:
    """How many of `instances` go first; 0 if all have to go at once."""
    return max(1, instances * rollout.canary_percent // 100) if instances >= 2 else 0


def wanted_alarms(settings: ServingSettings, rollout: Rollout) -> tuple[Params, ...]:
    """The alarms of an endpoint, as PutMetricAlarm takes them. No traffic is no alarm."""
    latency = f"p99 of the model's latency above {rollout.max_model_ms} ms in a minute"
    errors = f"more than {rollout.max_error_share:.0%} of the answers in a minute are 5xx"
    return (
        _alarm(
            settings,
            "errors",
            errors,
            MetricName="Invocation5XXErrors",
            Statistic="Average",
            Threshold=rollout.max_error_share,
        ),
        _alarm(
            settings,
            "latency",
            latency,
            MetricName="ModelLatency",
            ExtendedStatistic="p99",
            Threshold=float(rollout.max_model_ms * 1000),
        ),
    )


def alarm_names(settings: ServingSettings) -> tuple[str, ...]:
    """The names of the alarms that belong to an endpoint."""
    return tuple(alarm["AlarmName"] for alarm in wanted_alarms(settings, Rollout()))


def _alarm(settings: ServingSettings, what: str, description: str, **more: Any) -> Params:
    return {
        "AlarmName": f"{settings.name}-{what}",
        "AlarmDescription": description,
        "ActionsEnabled": True,
        "Namespace": "AWS/SageMaker",
        "Dimensions": [
            {"Name": "EndpointName", "Value": settings.name},
            {"Name": "VariantName", "Value": VARIANT},
        ],
        "Period": PERIOD_S,
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        "Tags": [OWNER_TAG, {"Key": "pedigree:app", "Value": settings.app}],
        **more,
    }


def deployment_config(
    settings: ServingSettings, rollout: Rollout, *, instances: int, back: bool
) -> Params:
    """The DeploymentConfig of UpdateEndpoint for an endpoint that has `instances` now.

    The way back to a model that was live is not watched: the alarms may be on because of the model
    that is to go, and they would keep it.
    """
    if back:
        routing: Params = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
        return {"BlueGreenUpdatePolicy": _policy(routing, rollout)}
    routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": rollout.bake_s}
    if first := canary_instances(rollout, instances):
        size = {"Type": "INSTANCE_COUNT", "Value": first}
        routing = {**routing, "Type": "CANARY", "CanarySize": size}
    names = (*alarm_names(settings), *rollout.alarms)
    return {
        "BlueGreenUpdatePolicy": _policy(routing, rollout),
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in names]},
    }


def _policy(routing: Params, rollout: Rollout) -> Params:
    least, most = _TIMEOUTS_S
    return {
        "TrafficRoutingConfiguration": routing,
        "TerminationWaitInSeconds": 0,
        "MaximumExecutionTimeoutInSeconds": min(max(rollout.limit_s, least), most),
    }


def told(rollout: Rollout, *, instances: int, back: bool) -> str:
    """How an update will go, for whoever reads the plan."""
    if back:
        return "all at once and without alarms: the way back to a model that was live"
    if first := canary_instances(rollout, instances):
        return (
            f"canary of {first} of {instances} instances for {rollout.bake_s} s, then all for"
            f" another {rollout.bake_s} s; an alarm sends all traffic back"
        )
    return (
        f"one instance: all traffic at once, watched for {rollout.bake_s} s; an alarm sends it back"
        " (a canary needs two: --min-instances 2)"
    )
