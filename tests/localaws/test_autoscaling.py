"""Target tracking: the decision, the loop on a clock moved by hand, and a real endpoint."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from localaws.clock import ManualClock
from localaws.metrics.alarms import AlarmBook
from localaws.metrics.data import MetricData
from localaws.scaling.decision import Decision, TrackingPolicy, decide
from localaws.scaling.loop import Capacity, ScalingLoop, strongest
from localaws.scaling.records import DIMENSION, Resource, ScalingRecords
from localaws.settings import ACCOUNT_ID, REGION, Settings
from localaws.store import Store
from tests.localaws.conftest import Client, StartCloud
from tests.localaws.sagemaker_world import prepare, sagemaker_services, until
from tests.localaws.test_endpoints import (
    SERVER,
    add_config,
    add_endpoint,
    add_model,
    gone,
    settled,
    variant,
)

NOW = 1_800_000_000.0


def policy(**members: Any) -> TrackingPolicy:
    facts: dict[str, Any] = {
        "target_value": 25.0,
        "min_capacity": 1,
        "max_capacity": 3,
        "scale_out_cooldown_s": 30.0,
        "scale_in_cooldown_s": 300.0,
        **members,
    }
    return TrackingPolicy(**facts)


def ask(
    datapoints: Sequence[float | None],
    *,
    current: int,
    last_out: float | None = None,
    last_in: float | None = None,
    **members: Any,
) -> Decision | None:
    return decide(
        policy(**members),
        datapoints,
        current=current,
        last_out=last_out,
        last_in=last_in,
        now=NOW,
    )


LOW: list[float | None] = [10.0] * 15


@pytest.mark.parametrize(
    ("datapoints", "current", "expected"),
    [
        ([26.0, 26.0, 26.0], 1, 2),
        ([26.0, 26.0, 60.0], 1, 3),
        ([26.0, 26.0, 600.0], 1, 3),
        ([26.0, None, 26.0], 1, 2),
        ([None, 26.0, 26.0], 1, None),
        ([26.0, 26.0], 1, None),
        ([26.0, 25.0, 26.0], 1, None),
        ([26.0, 26.0, 26.0], 3, None),
        (LOW, 3, 2),
        (LOW, 1, None),
        (LOW[1:], 3, None),
        ([*LOW[1:], 23.0], 3, None),
        ([10.0, *[None] * 14], 3, 2),
        ([None] * 15, 3, None),
        ([], 2, None),
        # Below 90% of the target, yet one instance less would be above it.
        ([22.0] * 15, 2, None),
    ],
)
def test_decisions(datapoints: list[float | None], current: int, expected: int | None) -> None:
    decision = ask(datapoints, current=current)
    assert (None if decision is None else decision.desired) == expected


def test_cooldowns_hold_back_their_own_direction_only() -> None:
    high: list[float | None] = [50.0] * 15
    assert ask(high, current=1, last_out=NOW - 29) is None
    assert ask(high, current=1, last_out=NOW - 30) == Decision(desired=2, cause="high")
    assert ask(high, current=1, last_in=NOW - 1) == Decision(desired=2, cause="high")
    assert ask(LOW, current=3, last_in=NOW - 299) is None
    assert ask(LOW, current=3, last_in=NOW - 300) == Decision(desired=2, cause="low")


def test_scale_in_can_be_switched_off() -> None:
    assert ask(LOW, current=3, disable_scale_in=True) is None
    assert ask(LOW, current=3, suspend_scale_in=True) is None
    assert ask([50.0] * 3, current=1, suspend_scale_out=True) is None


def test_bounds_come_first() -> None:
    assert ask([], current=0) == Decision(desired=1, cause="minimum")
    assert ask([50.0] * 3, current=5) == Decision(desired=3, cause="maximum")


points = st.lists(st.none() | st.floats(min_value=0, max_value=1e6), max_size=20)
times = st.none() | st.floats(min_value=NOW - 1000, max_value=NOW)


@given(datapoints=points, current=st.integers(0, 12), last_out=times, last_in=times)
def test_a_decision_keeps_to_bounds_cooldowns_and_direction(
    datapoints: list[float | None], current: int, last_out: float | None, last_in: float | None
) -> None:
    rules = policy(min_capacity=2, max_capacity=8)
    decision = decide(
        rules, datapoints, current=current, last_out=last_out, last_in=last_in, now=NOW
    )
    if decision is None:
        return
    assert 2 <= decision.desired <= 8
    assert decision.desired != current
    if decision.cause == "high":
        assert decision.desired > current
        assert last_out is None or NOW - last_out >= rules.scale_out_cooldown_s
        assert datapoints[-3] is not None
    if decision.cause == "low":
        assert decision.desired == current - 1
        assert last_in is None or NOW - last_in >= rules.scale_in_cooldown_s
        assert len(datapoints) >= 15


def test_policies_must_agree_to_scale_in() -> None:
    out, less = Decision(desired=4, cause="high"), Decision(desired=1, cause="low")
    assert strongest([less, None], 2) is None
    assert strongest([less, less], 2) is not None
    assert strongest([less, out], 2) == 1
    assert strongest([None, None], 2) is None


class FakeVariant:
    """One variant that takes `lag` ticks to become what was asked for."""

    def __init__(self, instances: int) -> None:
        self.now: Capacity | None = Capacity(
            status="InService", instances=instances, instance_type="ml.m5.large"
        )
        self.scaled = True

    def capacity(self, name: str, variant: str) -> Capacity | None:
        return self.now

    def set_capacity(self, name: str, variant: str, instances: int) -> None:
        self.now = Capacity(status="Updating", instances=instances, instance_type="ml.m5.large")

    def mark_scaled(self, name: str, variant: str, *, scaled: bool) -> None:
        self.scaled = scaled

    def settle(self) -> None:
        if self.now is not None:
            self.now = Capacity(
                status="InService", instances=self.now.instances, instance_type="ml.m5.large"
            )


class FakeTraffic:
    """Invocations per minute shared by the instances."""

    def __init__(self, variant: FakeVariant) -> None:
        self.per_minute: dict[int, float] = {}
        self._variant = variant

    def per_instance_minutes(
        self, endpoint: str, variant: str, *, before: int, count: int
    ) -> list[float | None]:
        return [self.per_minute.get(minute) for minute in range(before - count, before)]

    def minute(self, minute: int, invocations: float) -> None:
        if self._variant.now is not None and invocations:
            self.per_minute[minute] = invocations / self._variant.now.instances


class Scaled:
    """A registered variant with a policy, and the loop over it on a clock moved by hand."""

    def __init__(self, folder: Path, instances: int = 1) -> None:
        settings = Settings(
            state_dir=folder, port=0, url="", serve_command=(), account_id=ACCOUNT_ID,
            region=REGION, speed=1.0,
        )  # fmt: skip
        self.store = Store(folder / "state.sqlite3")
        self.clock = ManualClock(1_800_000_000.0)
        self.variant = FakeVariant(instances)
        self.traffic = FakeTraffic(self.variant)
        book = AlarmBook(self.store, MetricData(self.clock), self.clock)
        self.records = ScalingRecords(self.store, settings, book)
        resource = Resource(endpoint="dogs", variant="AllTraffic")
        target = self.records.new_target(resource, self.clock.now())
        target |= {"MinCapacity": 1, "MaxCapacity": 3}
        self.records.targets.put(resource.resource_id, target)
        asked = {"ResourceId": resource.resource_id, "PolicyName": "track"}
        stored = self.records.new_policy(asked, self.clock.now())
        stored["TargetTrackingScalingPolicyConfiguration"] = {
            "TargetValue": 25.0, "ScaleInCooldown": 300, "ScaleOutCooldown": 30,
        }  # fmt: skip
        self.records.policies.put(f"{resource.resource_id}\ntrack", stored)
        self.loop = ScalingLoop(self.records, self.variant, self.traffic, self.clock)

    def minutes(self, count: int, invocations: float) -> list[int]:
        """The instance count after each of `count` minutes with that many invocations."""
        counts = []
        for _ in range(count):
            self.traffic.minute(int(self.clock.now() // 60), invocations)
            for _ in range(6):
                self.clock.advance(10)
                self.loop.tick()
                self.variant.settle()
            counts.append(self.variant.now.instances if self.variant.now else 0)
        return counts

    def activities(self) -> list[dict[str, Any]]:
        return [doc for _, doc in self.records.activities.items()]


@pytest.fixture
def scaled(tmp_path: Path) -> Any:
    made = Scaled(tmp_path)
    yield made
    made.store.close()


def test_a_rising_and_falling_load_goes_up_to_three_and_back(scaled: Scaled) -> None:
    assert scaled.minutes(5, 40) == [1, 1, 2, 2, 2]
    assert scaled.minutes(4, 70) == [2, 2, 3, 3]
    falling = scaled.minutes(24, 10)
    assert sorted(set(falling), reverse=True) == [3, 2, 1]
    first_2, first_1 = falling.index(2), falling.index(1)
    assert first_2 >= 14
    # The cooldown of five minutes begins when the scale-in was fulfilled.
    assert first_1 - first_2 in (5, 6)
    descriptions = [activity["Description"] for activity in scaled.activities()]
    assert descriptions == [f"Setting desired instance count to {n}." for n in (2, 3, 2, 1)]
    assert {activity["StatusCode"] for activity in scaled.activities()} == {"Successful"}
    assert "AlarmHigh" in scaled.activities()[0]["Cause"]
    assert "AlarmLow" in scaled.activities()[-1]["Cause"]


def test_no_traffic_at_all_scales_nothing(scaled: Scaled) -> None:
    assert scaled.minutes(4, 70)[-1] == 3
    assert set(scaled.minutes(60, 0)) == {3}


def test_a_raised_minimum_is_applied_at_the_next_minute(scaled: Scaled) -> None:
    ((key, target),) = scaled.records.targets.items()
    scaled.records.targets.put(key, {**target, "MinCapacity": 2})
    assert scaled.minutes(2, 5) == [2, 2]
    assert scaled.activities()[0]["Cause"] == "minimum capacity was set to 2"


def test_a_change_that_was_not_fulfilled_is_a_failed_activity(scaled: Scaled) -> None:
    scaled.minutes(2, 70)
    scaled.traffic.minute(int(scaled.clock.now() // 60), 70)
    scaled.clock.advance(60)
    scaled.loop.tick()
    scaled.variant.now = Capacity(status="InService", instances=1, instance_type="ml.m5.large")
    scaled.loop.tick()
    (activity,) = scaled.activities()
    assert activity["StatusCode"] == "Failed"


def test_a_deleted_endpoint_is_deregistered(scaled: Scaled) -> None:
    scaled.variant.now = None
    scaled.loop.tick()
    assert scaled.records.targets.items() == []
    assert scaled.records.policies.items() == []
    assert not scaled.variant.scaled


# -- through boto3 ---------------------------------------------------------------------------

RESOURCE = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/dogs/variant/AllTraffic",
    "ScalableDimension": DIMENSION,
}
NAMED = (
    "service namespace: sagemaker, resource ID: endpoint/dogs/variant/AllTraffic, "
    f"scalable dimension: {DIMENSION}"
)


def tracking(target: float = 25.0) -> dict[str, Any]:
    return {
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": target,
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
            },
            "ScaleInCooldown": 300,
            "ScaleOutCooldown": 30,
        },
    }


@pytest.fixture
def hosted(start_cloud: StartCloud, tmp_path: Path) -> Callable[..., Client]:
    """A cloud with the endpoint `dogs` in service."""
    import sys

    def start(speed: float = 1.0) -> Client:
        script = tmp_path / "serve.py"
        script.write_text(SERVER)
        cloud = start_cloud(
            build=sagemaker_services, serve_command=[sys.executable, str(script)], speed=speed
        )
        prepare(cloud)
        add_model(cloud, "beagle")
        assert add_endpoint(cloud, "dogs", variant("beagle"))["EndpointStatus"] == "InService"
        return cloud

    return start


def test_targets_policies_and_what_aws_refuses(hosted: Callable[..., Client]) -> None:
    cloud = hosted()
    scaling = cloud.client("application-autoscaling")
    with pytest.raises(ClientError) as refused:
        scaling.put_scaling_policy(PolicyName="track", **RESOURCE, **tracking())
    assert refused.value.response["Error"] == {
        "Code": "ObjectNotFoundException",
        "Message": f"No scalable target registered for {NAMED}",
    }
    for wrong in (
        {**RESOURCE, "ResourceId": "endpoint/cats/variant/AllTraffic"},
        {**RESOURCE, "ServiceNamespace": "ecs"},
    ):
        with pytest.raises(ClientError, match="ValidationException"):
            scaling.register_scalable_target(**wrong, MinCapacity=1, MaxCapacity=3)
    with pytest.raises(ClientError, match="Maximum capacity cannot be less"):
        scaling.register_scalable_target(**RESOURCE, MinCapacity=3, MaxCapacity=1)
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []

    scaling.register_scalable_target(**RESOURCE, MinCapacity=1, MaxCapacity=2, Tags={"a": "b"})
    scaling.register_scalable_target(**RESOURCE, MaxCapacity=3)
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 3)
    arn = target["ScalableTargetARN"]
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"a": "b"}
    first = scaling.put_scaling_policy(PolicyName="track", **RESOURCE, **tracking())
    again = scaling.put_scaling_policy(PolicyName="track", **RESOURCE, **tracking(30.0))
    assert (first["PolicyARN"], len(first["Alarms"])) == (again["PolicyARN"], 2)
    (stored,) = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert stored["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 30.0

    sagemaker = cloud.client("sagemaker")
    add_config(cloud, "bigger", variant("beagle", InstanceType="ml.m5.xlarge"))
    with pytest.raises(ClientError, match="DeregisterScalableTarget"):
        sagemaker.update_endpoint(EndpointName="dogs", EndpointConfigName="bigger")

    scaling.delete_scaling_policy(PolicyName="track", **RESOURCE)
    with pytest.raises(ClientError, match="No scaling policy found for"):
        scaling.delete_scaling_policy(PolicyName="track", **RESOURCE)
    scaling.deregister_scalable_target(**RESOURCE)
    with pytest.raises(ClientError, match="No scalable target found for"):
        scaling.deregister_scalable_target(**RESOURCE)
    sagemaker.update_endpoint(EndpointName="dogs", EndpointConfigName="bigger")
    assert settled(cloud, "dogs")["EndpointConfigName"] == "bigger"


class Load:
    """So many requests a minute of the cloud's clock, until the block ends."""

    def __init__(self, cloud: Client, speed: float) -> None:
        self.per_minute = 1.0
        self.failures: list[Exception] = []
        self._speed = speed
        self._runtime = cloud.client("sagemaker-runtime")
        self._done = threading.Event()
        self._asker = threading.Thread(target=self._ask)

    def __enter__(self) -> Load:
        self._asker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._asker.join()

    def _ask(self) -> None:
        due = time.monotonic()
        while not self._done.wait(max(0.0, due - time.monotonic())):
            due = max(due, time.monotonic() - 1) + 60 / self._speed / self.per_minute
            try:
                self._runtime.invoke_endpoint(EndpointName="dogs", Body=b"x")["Body"].read()
            except ClientError as error:
                self.failures.append(error)


def test_a_rising_rate_takes_an_endpoint_to_three_and_back_to_one(
    hosted: Callable[..., Client],
) -> None:
    speed = 240.0
    cloud = hosted(speed=speed)
    scaling = cloud.client("application-autoscaling")
    scaling.register_scalable_target(**RESOURCE, MinCapacity=1, MaxCapacity=3)
    policy = tracking(2.0)
    policy["TargetTrackingScalingPolicyConfiguration"]["ScaleOutCooldown"] = 120
    scaling.put_scaling_policy(PolicyName="track", **RESOURCE, **policy)

    def instances() -> int:
        described = cloud.client("sagemaker").describe_endpoint(EndpointName="dogs")
        count: int = described["ProductionVariants"][0]["CurrentInstanceCount"]
        return count

    seen = [1]
    with Load(cloud, speed) as load:
        for per_minute, wanted in ((3.5, 2), (9.0, 3), (1.0, 1)):
            load.per_minute = per_minute

            def arrived(wanted: int = wanted) -> bool:
                if instances() != seen[-1]:
                    seen.append(instances())
                return seen[-1] == wanted

            assert until(arrived, 30), (seen, wanted)
    assert load.failures == []
    assert seen == [1, 2, 3, 2, 1]
    made = settled_activities(scaling)
    assert [one["Description"][-2:-1] for one in made] == ["2", "3", "2", "1"]
    assert "AlarmHigh" in made[0]["Cause"]
    assert "AlarmLow" in made[-1]["Cause"]
    pauses = [
        (later["StartTime"] - earlier["EndTime"]).total_seconds()
        for earlier, later in itertools.pairwise(made)
    ]
    # The second scale-out waits for the first one's cooldown, a scale-in for the other's.
    assert pauses[0] >= 120
    assert pauses[2] >= 300
    # Fifteen minutes under the target come before the first scale-in.
    assert pauses[1] >= 14 * 60
    cloud.client("sagemaker").delete_endpoint(EndpointName="dogs")
    assert until(lambda: gone(cloud, "dogs"))
    assert until(
        lambda: (
            not scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
        )
    )
    assert cloud.client("cloudwatch").describe_alarms()["MetricAlarms"] == []


def settled_activities(scaling: Any) -> list[dict[str, Any]]:
    """Every activity, the oldest first, when none is under way."""

    def activities() -> list[dict[str, Any]]:
        found = scaling.describe_scaling_activities(ServiceNamespace="sagemaker")
        return list(found["ScalingActivities"])[::-1]

    assert until(lambda: {one["StatusCode"] for one in activities()} == {"Successful"})
    return activities()


def test_a_policys_alarms_are_in_cloudwatch(hosted: Callable[..., Client]) -> None:
    cloud = hosted()
    scaling, cloudwatch = cloud.client("application-autoscaling"), cloud.client("cloudwatch")
    scaling.register_scalable_target(**RESOURCE, MinCapacity=1, MaxCapacity=3)
    made = scaling.put_scaling_policy(PolicyName="track", **RESOURCE, **tracking(20.0))
    high, low = cloudwatch.describe_alarms()["MetricAlarms"]
    assert [one["AlarmARN"] for one in made["Alarms"]] == [high["AlarmArn"], low["AlarmArn"]]
    assert (high["Threshold"], high["EvaluationPeriods"]) == (20.0, 3)
    assert (low["Threshold"], low["EvaluationPeriods"]) == (18.0, 15)
    assert high["AlarmActions"] == [made["PolicyARN"]]
    scaling.delete_scaling_policy(PolicyName="track", **RESOURCE)
    assert cloudwatch.describe_alarms()["MetricAlarms"] == []
