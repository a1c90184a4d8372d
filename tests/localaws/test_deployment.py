"""An update's steps and what SageMaker refuses, without a server."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.sagemaker.hosting.deployment import deployment_of, rising
from localaws.sagemaker.hosting.document import retain
from localaws.sagemaker.hosting.traffic import Side, Traffic, alone, split
from localaws.wire.protocol import AwsError


def variants(*counts: int) -> list[dict[str, Any]]:
    return [
        {"VariantName": f"v{number}", "DesiredInstanceCount": count}
        for number, count in enumerate(counts)
    ]


def blue_green(kind: str, wait_s: int = 60, **members: Any) -> dict[str, Any]:
    policy = {key: members.pop(key) for key in list(members) if key.endswith("InSeconds")}
    routing = {"Type": kind, "WaitIntervalInSeconds": wait_s, **members}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **policy}}


def instances(count: int) -> dict[str, Any]:
    return {"Type": "INSTANCE_COUNT", "Value": count}


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def test_without_a_config_everything_goes_over_at_once() -> None:
    plan = deployment_of({}, variants(1))
    assert (plan.shares, plan.wait_s, plan.termination_wait_s) == ((1.0,), 0, 0)


@pytest.mark.parametrize(
    ("config", "counts", "shares"),
    [
        (blue_green("ALL_AT_ONCE"), (1,), (1.0,)),
        (blue_green("CANARY", CanarySize=instances(1)), (2,), (0.5, 1.0)),
        (blue_green("CANARY", CanarySize=instances(1)), (4, 2), (0.25, 1.0)),
        (blue_green("CANARY", CanarySize=percent(50)), (3,), (1 / 3, 1.0)),
        (blue_green("LINEAR", LinearStepSize=percent(50)), (2,), (0.5, 1.0)),
        (blue_green("LINEAR", LinearStepSize=instances(1)), (4,), (0.25, 0.5, 0.75, 1.0)),
        (blue_green("LINEAR", LinearStepSize=instances(2)), (5,), (0.4, 0.8, 1.0)),
    ],
)
def test_steps(config: dict[str, Any], counts: tuple[int, ...], shares: tuple[float, ...]) -> None:
    assert deployment_of(config, variants(*counts)).shares == pytest.approx(shares)


def test_rolling_replaces_batch_by_batch() -> None:
    policy = {"MaximumBatchSize": instances(1), "WaitIntervalInSeconds": 30}
    plan = deployment_of({"RollingUpdatePolicy": policy}, variants(4))
    assert plan.shares == (0.25, 0.5, 0.75, 1.0)
    assert plan.rolling is not None
    assert (plan.rolling.batch_share, plan.rolling.rollback_share) == (0.25, 1.0)


ROLLING = {"MaximumBatchSize": instances(1), "WaitIntervalInSeconds": 700}


@pytest.mark.parametrize(
    ("config", "count", "message"),
    [
        (blue_green("CANARY", CanarySize=instances(2)), 3, "at most 50%"),
        (blue_green("CANARY", CanarySize=percent(51)), 100, "at most 50%"),
        # One instance cannot be halved.
        (blue_green("CANARY", CanarySize=percent(50)), 1, "at least one instance"),
        (blue_green("CANARY", CanarySize=instances(1)), 1, "at most 50%"),
        (blue_green("CANARY"), 2, "CanarySize is required"),
        (blue_green("ALL_AT_ONCE", CanarySize=instances(1)), 2, "CanarySize cannot be specified"),
        (blue_green("LINEAR", CanarySize=instances(1)), 2, "cannot be specified"),
        (blue_green("LINEAR", LinearStepSize=percent(9)), 100, "10% to 50%"),
        (blue_green("LINEAR", LinearStepSize=instances(3)), 4, "10% to 50%"),
        ({**blue_green("ALL_AT_ONCE"), "RollingUpdatePolicy": ROLLING}, 2, "Only one of"),
        (
            blue_green(
                "ALL_AT_ONCE",
                wait_s=400,
                TerminationWaitInSeconds=300,
                MaximumExecutionTimeoutInSeconds=700,
            ),
            1,
            "must be larger than the combined length",
        ),
        (
            {"RollingUpdatePolicy": {**ROLLING, "MaximumExecutionTimeoutInSeconds": 600}},
            2,
            "must be larger than WaitIntervalInSeconds",
        ),
        ({"RollingUpdatePolicy": ROLLING}, 1, "5% to 50%"),
        (
            {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}, {"AlarmName": "a"}]}},
            1,
            "must be unique",
        ),
        ({"AutoRollbackConfiguration": {"Alarms": [{}]}}, 1, "AlarmName is required"),
    ],
)
def test_what_sagemaker_refuses(config: dict[str, Any], count: int, message: str) -> None:
    with pytest.raises(AwsError, match=message):
        deployment_of(config, variants(count))


@given(step=st.floats(min_value=0.05, max_value=1.0))
def test_steps_rise_to_all_traffic_and_none_is_larger_than_asked(step: float) -> None:
    shares = rising(step)
    assert shares[-1] == 1.0
    for before, after in itertools.pairwise((0.0, *shares)):
        assert 0 < after - before <= step + 1e-6


@pytest.mark.parametrize(
    ("excluded", "count", "weight"),
    [([], 3, 0.5), (["DesiredInstanceCount"], 1, 0.5), (["DesiredWeight"], 3, 1.0)],
)
def test_properties_are_retained_unless_excluded(
    excluded: list[str], count: int, weight: float
) -> None:
    old = {"VariantName": "a", "DesiredInstanceCount": 3, "DesiredWeight": 0.5}
    new = {"VariantName": "a", "DesiredInstanceCount": 1, "DesiredWeight": 1.0}
    other = {"VariantName": "b", "DesiredInstanceCount": 1, "DesiredWeight": 1.0}
    retain([new, other], [old], excluded)
    assert (new["DesiredInstanceCount"], new["DesiredWeight"]) == (count, weight)
    assert (other["DesiredInstanceCount"], other["DesiredWeight"]) == (1, 1.0)


class Nothing:
    """A fleet that only stands there."""

    size = 1


def side(config: str, **weights: float) -> Side:
    fleets: Any = {name: Nothing() for name in weights}
    return Side(config=config, fleets=fleets, weights=weights)


def shares_of(traffic: Traffic, variant: str | None = None) -> dict[tuple[str, str], float]:
    chance, counts = random.Random(7), dict[tuple[str, str], int]()
    for _ in range(4000):
        chosen = traffic.choose(variant, chance)
        assert chosen is not None
        key = (chosen[0].config, chosen[1])
        counts[key] = counts.get(key, 0) + 1
    return {key: count / 4000 for key, count in counts.items()}


def test_a_canary_gets_its_share_and_variants_their_weight() -> None:
    old, new = side("old", a=3.0, b=1.0), side("new", a=1.0)
    found = shares_of(split(old, new, 0.25))
    assert found[("new", "a")] == pytest.approx(0.25, abs=0.03)
    assert found[("old", "b")] == pytest.approx(0.75 / 4, abs=0.03)
    assert set(shares_of(split(old, new, 0.25), "b")) == {("old", "b")}
    assert shares_of(split(old, new, 1.0)) == {("new", "a"): 1.0}


def test_no_variant_and_no_weight() -> None:
    chance = random.Random(7)
    assert alone(side("old", a=0.0, b=0.0)).choose(None, chance) is None
    assert alone(side("old", a=1.0)).choose("b", chance) is None
    assert alone(side("old", a=0.0)).choose(None, chance) is not None
