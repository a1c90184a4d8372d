"""Spot instances through plain boto3: what they show, their notice, their end."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.server import open_cloud
from tests.localaws.compute_world import ec2_only, until
from tests.localaws.conftest import Client, StartCloud, fetch
from tests.localaws.test_ec2 import console, describe, in_state, run, said

SPOT = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}
WATCH = """\
#!/usr/bin/env python
import os, signal, sys, time, urllib.error, urllib.request
signal.signal(signal.SIGTERM, lambda *_: (print("asked to end", flush=True), sys.exit(0)))
url = os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"] + "latest/meta-data/spot/instance-action"
print("watching", flush=True)
while True:
    try:
        print("notice", urllib.request.urlopen(url).read().decode(), flush=True)
        break
    except urllib.error.HTTPError as error:
        assert error.code == 404, error.code
    time.sleep(0.05)
time.sleep(600)
"""


def interrupt(cloud: Client, **wanted: str) -> bool:
    status, body = fetch(f"{cloud.url}/_localaws/interrupt", "POST", json.dumps(wanted))
    assert status == 200
    answer: bool = json.loads(body)["interrupted"]
    return answer


def spot(cloud: Client, script: str = "", **params: Any) -> str:
    (instance_id,) = run(cloud, script, InstanceMarketOptions=SPOT, **params)
    in_state(cloud, instance_id, "running")
    return instance_id


def test_a_spot_instance_sees_its_notice_and_is_ended(start_cloud: StartCloud) -> None:
    cloud = start_cloud(build=ec2_only, speed=30)
    tagged = {"ResourceType": "spot-instances-request", "Tags": [{"Key": "a", "Value": "b"}]}
    instance_id = spot(cloud, WATCH, TagSpecifications=[tagged])
    assert describe(cloud, instance_id)["InstanceLifecycle"] == "spot"
    said(cloud, instance_id, "(watching)")
    before = datetime.now(UTC)
    assert interrupt(cloud, instance=instance_id)
    assert not interrupt(cloud, instance=instance_id)
    notice = json.loads(said(cloud, instance_id, r"notice (\{.*\})"))
    ends_at = datetime.fromisoformat(notice["time"])
    assert notice["action"] == "terminate"
    # Two minutes at thirty times the speed are four seconds; the stamp has whole seconds.
    assert 2.9 < (ends_at - before).total_seconds() < 8
    assert describe(cloud, instance_id)["State"]["Name"] == "running"
    shown = in_state(cloud, instance_id, "terminated")
    assert shown["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    assert shown["StateTransitionReason"].startswith("Server.SpotInstanceTermination (")
    assert "asked to end" in console(cloud, instance_id)


def test_only_a_running_spot_instance_is_interrupted(start_cloud: StartCloud) -> None:
    cloud = start_cloud(build=ec2_only)
    (on_demand,) = run(cloud)
    in_state(cloud, on_demand, "running")
    assert "InstanceLifecycle" not in describe(cloud, on_demand)
    assert not interrupt(cloud, instance=on_demand)
    assert not interrupt(cloud, instance="i-0")
    instance_id = spot(cloud)
    with pytest.raises(ClientError, match="one-time Spot Instance request"):
        cloud.client("ec2").stop_instances(InstanceIds=[instance_id])
    assert interrupt(cloud, instance=instance_id)
    cloud.client("ec2").terminate_instances(InstanceIds=[instance_id])
    shown = in_state(cloud, instance_id, "terminated")
    assert shown["StateReason"]["Code"] == "Client.UserInitiatedShutdown"


@pytest.mark.parametrize(
    "options",
    [
        {"SpotInstanceType": "persistent"},
        {"InstanceInterruptionBehavior": "hibernate"},
    ],
)
def test_what_is_not_done_is_refused(start_cloud: StartCloud, options: dict[str, str]) -> None:
    cloud = start_cloud(build=ec2_only)
    market = {"MarketType": "spot", "SpotOptions": options}
    with pytest.raises(ClientError, match="UnsupportedOperation"):
        run(cloud, InstanceMarketOptions=market)


def test_a_spot_instance_that_powers_off_is_gone_and_stays_known(
    start_cloud: StartCloud, tmp_path: Any
) -> None:
    with open_cloud(build=ec2_only, state_dir=tmp_path / "state") as first:
        cloud = Client(first)
        instance_id = run(cloud, "#!/bin/sh\npoweroff\n", InstanceMarketOptions=SPOT)[0]
        in_state(cloud, instance_id, "terminated")
    again = start_cloud(build=ec2_only)
    shown = until(lambda: describe(again, instance_id))
    assert (shown["State"]["Name"], shown["InstanceLifecycle"]) == ("terminated", "spot")
