"""Serverless variants: instances that start on demand, and the limit on how many."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localaws.conftest import Client, StartCloud
from tests.localaws.sagemaker_world import alive, prepare, sagemaker_services, until
from tests.localaws.test_endpoints import SERVER, add_config, add_model, gone, invoke, settled


@pytest.fixture
def cloud(start_cloud: StartCloud, tmp_path: Path) -> Client:
    script = tmp_path / "serve.py"
    script.write_text(SERVER)
    command = [sys.executable, str(script)]
    started = start_cloud(build=sagemaker_services, serve_command=command, speed=300.0)
    prepare(started)
    add_model(started, "beagle")
    return started


def serverless(**members: Any) -> dict[str, Any]:
    config = {"MemorySizeInMB": 2048, "MaxConcurrency": 2, **members}
    return {"VariantName": "AllTraffic", "ModelName": "beagle", "ServerlessConfig": config}


def host(cloud: Client, **members: Any) -> dict[str, Any]:
    add_config(cloud, "small", serverless(**members))
    cloud.client("sagemaker").create_endpoint(EndpointName="dogs", EndpointConfigName="small")
    return settled(cloud, "dogs")


def test_instances_start_on_demand_and_end_when_idle(cloud: Client) -> None:
    described = host(cloud)
    assert described["EndpointStatus"] == "InService", described
    (shown,) = described["ProductionVariants"]
    assert shown["CurrentServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 2}
    with pytest.raises(ClientError, match="has no instances to scale"):
        cloud.client("application-autoscaling").register_scalable_target(
            ServiceNamespace="sagemaker",
            ResourceId="endpoint/dogs/variant/AllTraffic",
            ScalableDimension="sagemaker:variant:DesiredInstanceCount",
            MinCapacity=1,
            MaxCapacity=2,
        )
    first = invoke(cloud, "dogs")["pid"]
    assert invoke(cloud, "dogs")["pid"] == first
    # Five minutes of this clock are a second.
    assert until(lambda: not alive(first))
    assert invoke(cloud, "dogs")["pid"] != first
    cloud.client("sagemaker").delete_endpoint(EndpointName="dogs")
    assert until(lambda: gone(cloud, "dogs"))


def test_more_calls_than_the_limit_are_throttled(cloud: Client) -> None:
    host(cloud)
    pids, codes = set[int](), list[tuple[str, int]]()
    start = threading.Barrier(3)

    def ask() -> None:
        start.wait()
        try:
            pids.add(invoke(cloud, "dogs", b"sleep=1.5")["pid"])
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            codes.append((error.response["Error"]["Code"], status))

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert len(pids) == 2
    assert codes == [("ThrottlingException", 429)]


def test_provisioned_instances_stay_warm(cloud: Client) -> None:
    host(cloud, ProvisionedConcurrency=1)
    first = invoke(cloud, "dogs")["pid"]
    assert not until(lambda: not alive(first), limit_s=2.5)
    assert invoke(cloud, "dogs")["pid"] == first
    wish = {"VariantName": "AllTraffic", "ServerlessUpdateConfig": {"MaxConcurrency": 1}}
    sagemaker = cloud.client("sagemaker")
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="dogs", DesiredWeightsAndCapacities=[wish]
    )
    (shown,) = settled(cloud, "dogs")["ProductionVariants"]
    assert shown["CurrentServerlessConfig"]["MaxConcurrency"] == 1
    assert shown["CurrentServerlessConfig"]["ProvisionedConcurrency"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"MemorySizeInMB": 1500}, "MemorySizeInMB must be one of"),
        ({"MemorySizeInMB": 8192}, "less than or equal to 6144"),
        ({"MaxConcurrency": 201}, "less than or equal to 200"),
        ({"ProvisionedConcurrency": 3}, "less than or equal to MaxConcurrency"),
    ],
)
def test_what_sagemaker_refuses(cloud: Client, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message):
        add_config(cloud, "small", serverless(**change))


def test_serverless_and_instances_do_not_mix(cloud: Client) -> None:
    instances = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    with pytest.raises(ClientError, match="together with InstanceType"):
        add_config(cloud, "small", {**serverless(), **instances})
    with pytest.raises(ClientError, match="exactly one production variant"):
        other = {**serverless(), "VariantName": "other"}
        add_config(cloud, "small", serverless(), other)
