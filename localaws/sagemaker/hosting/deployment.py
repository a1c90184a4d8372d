"""An update's DeploymentConfig: what SageMaker refuses, and the steps that it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from localaws.sagemaker.words import Doc, Params, invalid

CANARY_LIMIT = 0.5
LINEAR_RANGE = (0.1, 0.5)
ROLLING_RANGE = (0.05, 0.5)


@dataclass(frozen=True, kw_only=True)
class Rolling:
    """Instances of the largest variant that are replaced at once, and given back at once."""

    batch_share: float
    rollback_share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """How traffic goes over to a new fleet. Seconds are the clock's.

    shares: the new fleet's share of the traffic after each step, rising to 1; wait_s: how long
    each step is watched; limit_s: None for no limit.
    """

    shares: tuple[float, ...] = (1.0,)
    wait_s: float = 0.0
    termination_wait_s: float = 0.0
    limit_s: float | None = None
    alarms: tuple[str, ...] = ()
    rolling: Rolling | None = None


def deployment_of(config: Params, variants: Sequence[Doc]) -> Deployment:
    """The steps for bringing up `variants`. Raises SageMaker's ValidationException.

    An empty config is a blue/green deployment that shifts all at once, without a wait.
    """
    blue_green, rolling = config.get("BlueGreenUpdatePolicy"), config.get("RollingUpdatePolicy")
    if blue_green is not None and rolling is not None:
        raise invalid("Only one of BlueGreenUpdatePolicy and RollingUpdatePolicy can be specified.")
    alarms = _alarms(config)
    if (blue_green or rolling) and any("ServerlessConfig" in one for one in variants):
        raise invalid("Deployment guardrails are not supported for serverless endpoints.")
    if rolling is not None:
        return _rolling(rolling, variants, alarms)
    if blue_green is None:
        return Deployment(alarms=alarms)
    routing = blue_green["TrafficRoutingConfiguration"]
    wait_s = routing["WaitIntervalInSeconds"]
    termination_wait_s = blue_green.get("TerminationWaitInSeconds", 0)
    limit_s = blue_green.get("MaximumExecutionTimeoutInSeconds")
    if limit_s is not None and limit_s <= wait_s + termination_wait_s:
        raise invalid(
            "MaximumExecutionTimeoutInSeconds must be larger than the combined length of "
            "TerminationWaitInSeconds and WaitIntervalInSeconds."
        )
    return Deployment(
        shares=_shares(routing, variants),
        wait_s=wait_s,
        termination_wait_s=termination_wait_s,
        limit_s=limit_s,
        alarms=alarms,
    )


def instances_of(size: Params, total: int) -> int:
    """The instances that a CapacitySize means of `total`; part of an instance is none."""
    if size["Type"] == "INSTANCE_COUNT":
        return int(size["Value"])
    return total * int(size["Value"]) // 100


def _alarms(config: Params) -> tuple[str, ...]:
    alarms = config.get("AutoRollbackConfiguration", {}).get("Alarms", [])
    if any("AlarmName" not in alarm for alarm in alarms):
        raise invalid("AlarmName is required for each alarm of AutoRollbackConfiguration.")
    names = tuple(alarm["AlarmName"] for alarm in alarms)
    if len(set(names)) < len(names):
        raise invalid("The alarms of AutoRollbackConfiguration must be unique.")
    return names


def _shares(routing: Params, variants: Sequence[Doc]) -> tuple[float, ...]:
    kind = routing["Type"]
    for member, owner in (("CanarySize", "CANARY"), ("LinearStepSize", "LINEAR")):
        if (member in routing) != (kind == owner):
            verb = "is required" if kind == owner else "cannot be specified"
            raise invalid(f"{member} {verb} when the traffic routing type is {kind}.")
    if kind == "CANARY":
        share = _share("CanarySize", routing["CanarySize"], variants, 0.0, CANARY_LIMIT)
        return (share, 1.0)
    if kind == "LINEAR":
        step = _share("LinearStepSize", routing["LinearStepSize"], variants, *LINEAR_RANGE)
        return rising(step)
    return (1.0,)


def rising(step: float) -> tuple[float, ...]:
    """Multiples of `step` below 1, and 1."""
    # A tiny rest is no step of its own: 10 steps of 0.1 are ten.
    count = max(1, -int(-(1.0 - 1e-9) // step))
    return (*(number * step for number in range(1, count)), 1.0)


def _share(member: str, size: Params, variants: Sequence[Doc], least: float, most: float) -> float:
    """The smallest share that `size` is of a variant; each must lie between the limits."""
    shares: list[float] = []
    for variant in variants:
        total = variant["DesiredInstanceCount"]
        share = instances_of(size, total) / max(1, total)
        if not least <= share <= most or share == 0.0:
            span = f"{least:.0%} to {most:.0%}" if least else f"at most {most:.0%}"
            raise invalid(
                f"Invalid {member} for variant {variant['VariantName']}: Value must be {span} of "
                f"the variant's total instance count, which is {total}, and at least one instance."
            )
        shares.append(share)
    return min(shares)


def _rolling(policy: Params, variants: Sequence[Doc], alarms: tuple[str, ...]) -> Deployment:
    share = _share("MaximumBatchSize", policy["MaximumBatchSize"], variants, *ROLLING_RANGE)
    back = policy.get("RollbackMaximumBatchSize")
    limit_s = policy.get("MaximumExecutionTimeoutInSeconds")
    if limit_s is not None and limit_s <= policy["WaitIntervalInSeconds"]:
        raise invalid("MaximumExecutionTimeoutInSeconds must be larger than WaitIntervalInSeconds.")
    return Deployment(
        shares=rising(share),
        wait_s=policy["WaitIntervalInSeconds"],
        limit_s=limit_s,
        alarms=alarms,
        rolling=Rolling(
            batch_share=share,
            rollback_share=1.0
            if back is None
            else _share("RollbackMaximumBatchSize", back, variants, ROLLING_RANGE[0], 1.0),
        ),
    )
