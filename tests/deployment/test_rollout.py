"""Blue/green: what is asked of AWS, and what happens when an alarm goes off."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment.apply import apply_proposal
from deployment.promote import prepare, propose
from deployment.release import ReleaseStatus
from deployment.rollout import Rollout, canary_instances, deployment_config, wanted_alarms
from deployment.store import ReleaseStore
from experiments.contract import faults
from experiments.errors import ReleaseError, SpecError
from experiments.records import Call
from tests.deployment.builders import BOOK, means, promote, proposal, rollback, run, settings
from tests.deployment.world import World


def update_of(world: World) -> dict[str, Any]:
    calls = [call.params for call in world.writes if call.operation == "update_endpoint"]
    return dict(calls[-1])


@given(instances=st.integers(0, 1000), percent=st.integers(1, 50))
def test_a_canary_is_at_most_half_of_the_instances(instances: int, percent: int) -> None:
    rollout = Rollout(canary_percent=percent, max_error_share=0.005)
    first = canary_instances(rollout, instances)
    assert 2 * first <= instances
    assert (first > 0) == (instances >= 2)


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("instances", [1, 2, 20])
def test_what_is_asked_is_known_to_aws(instances: int, back: bool) -> None:
    config = deployment_config(settings(), Rollout(), instances=instances, back=back)
    params = {"EndpointName": "x", "EndpointConfigName": "y", "DeploymentConfig": config}
    call = Call(service="sagemaker", operation="update_endpoint", params=params, why="x")
    assert faults(call) == []
    assert ("AutoRollbackConfiguration" in config) is not back
    for alarm in wanted_alarms(settings(), Rollout()):
        put = Call(service="cloudwatch", operation="put_metric_alarm", params=alarm, why="x")
        assert faults(put) == []


def test_one_instance_shifts_at_once_and_two_by_a_canary_and_the_plan_says_which() -> None:
    world = World()
    promote(world, run(world, "first"))
    plan = proposal(world, run(world, "second")).plan
    step = next(s for s in plan.steps if s.call and s.call.operation == "update_endpoint")
    assert "one instance: all traffic at once, watched for 300 s" in step.why
    world.endpoints.endpoints["dogs-prod"]["instances"] = 3
    promote(world, run(world, "second"))
    params = update_of(world)
    routing = params["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing["Type"] == "CANARY"
    assert routing["CanarySize"] == {"Type": "INSTANCE_COUNT", "Value": 1}
    assert params["RetainAllVariantProperties"] is True
    alarms = params["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
    assert [a["AlarmName"] for a in alarms] == ["dogs-prod-errors", "dogs-prod-latency"]


def test_a_plan_for_one_instance_is_not_carried_out_on_three() -> None:
    world = World()
    promote(world, run(world, "first"))
    stale = proposal(world, run(world, "second"))
    world.endpoints.endpoints["dogs-prod"]["instances"] = 3
    with pytest.raises(ReleaseError, match="has changed since this plan"):
        apply_proposal(stale, means(world))


def test_an_alarm_brings_the_release_back_and_the_reason_is_on_record() -> None:
    world = World()
    one = promote(world, run(world, "first"))
    world.endpoints.alarming_runs.add("second")
    with pytest.raises(ReleaseError, match=r"dogs-prod-errors went off.*is live as before"):
        promote(world, run(world, "second"))
    assert world.endpoints.serves("dogs-prod") == "first"
    store = ReleaseStore(cloud=world, name="dogs-prod")
    assert store.live().release_id == one.release.release_id
    second = store.records()[-1] if store.ids()[0] == one.release.release_id else store.records()[0]
    assert second.status is ReleaseStatus.ROLLED_BACK
    assert "dogs-prod-errors went off" in second.message
    assert proposal(world, run(world, "first")).is_done


def test_an_alarm_that_is_on_stops_a_promotion_and_not_the_way_back() -> None:
    world = World()
    promote(world, run(world, "first"))
    promote(world, run(world, "second"))
    world.endpoints.ringing.add("dogs-prod-errors")
    with pytest.raises(ReleaseError, match="alarm dogs-prod-errors is on"):
        proposal(world, run(world, "third"))
    rollback(world)
    assert world.endpoints.serves("dogs-prod") == "first"
    config = update_of(world)["DeploymentConfig"]
    assert "AutoRollbackConfiguration" not in config
    routing = config["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing == {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}


def test_alarms_of_your_own_have_to_exist() -> None:
    world = World()
    ready = prepare(world, run(world, "first"), settings(), now=world.moment.now())
    with pytest.raises(ReleaseError, match="there is no alarm mine"):
        propose(world, ready, book=BOOK, rollout=Rollout(alarms=("mine",)))


def test_a_changed_alarm_is_put_back_to_what_is_wanted() -> None:
    world = World()
    promote(world, run(world, "first"))
    world.alarms.alarms["dogs-prod-errors"]["Threshold"] = 0.9
    del world.writes[:]
    promote(world, run(world, "first"))
    assert world.written() == ["cloudwatch put_metric_alarm"]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"canary_percent": 51}, "at most half"),
        ({"canary_percent": 0}, "1 to 50"),
        ({"bake_s": 60}, "120 to 3600"),
        ({"max_error_share": 0.1}, "below that of the canary"),
        ({"max_model_ms": 0}, "1 ms"),
    ],
)
def test_a_rollout_that_would_watch_nothing_is_refused(bad: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError) as caught:
        Rollout(**bad)
    assert words in caught.value.fix
