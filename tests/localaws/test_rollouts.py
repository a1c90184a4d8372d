"""Blue/green and rolling updates on real processes, at a clock that runs fast."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.server import open_cloud
from tests.localaws.conftest import Client, StartCloud
from tests.localaws.sagemaker_world import BUCKET, prepare, sagemaker_services, until
from tests.localaws.test_endpoints import (
    SERVER,
    add_config,
    add_endpoint,
    add_model,
    invoke,
    settled,
    variant,
)

SPEED = 100.0
Start = Callable[..., Client]


@pytest.fixture
def serve_command(tmp_path: Path) -> list[str]:
    script = tmp_path / "serve.py"
    script.write_text(SERVER)
    return [sys.executable, str(script)]


@pytest.fixture
def hosted(start_cloud: StartCloud, serve_command: list[str]) -> Client:
    """The endpoint `dogs` with two instances of `beagle`; a configuration `second` of `collie`."""
    cloud = start_cloud(build=sagemaker_services, serve_command=serve_command, speed=SPEED)
    furnish(cloud)
    return cloud


def furnish(cloud: Client) -> None:
    prepare(cloud)
    add_model(cloud, "beagle")
    add_model(cloud, "collie")
    add_endpoint(cloud, "dogs", variant("beagle", count=2))
    add_config(cloud, "second", variant("collie", count=2))


def shifting(kind: str, wait_s: int = 60, *alarms: str, **members: Any) -> dict[str, Any]:
    sizes = {
        "CANARY": {"CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1}},
        "LINEAR": {"LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 50}},
    }
    routing = {"Type": kind, "WaitIntervalInSeconds": wait_s, **sizes.get(kind, {})}
    config: dict[str, Any] = {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **members}
    }
    if alarms:
        config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": one} for one in alarms]}
    return config


def rolling(wait_s: int = 30) -> dict[str, Any]:
    batch = {"Type": "INSTANCE_COUNT", "Value": 1}
    return {"RollingUpdatePolicy": {"MaximumBatchSize": batch, "WaitIntervalInSeconds": wait_s}}


def update(cloud: Client, config: str, **members: Any) -> None:
    cloud.client("sagemaker").update_endpoint(
        EndpointName="dogs", EndpointConfigName=config, **members
    )


def described(cloud: Client) -> dict[str, Any]:
    return dict(cloud.client("sagemaker").describe_endpoint(EndpointName="dogs"))


def variant_status(cloud: Client) -> str:
    """The first variant's status under way; "" before the update has given it one."""
    pending = described(cloud).get("PendingDeploymentSummary", {"ProductionVariants": [{}]})
    stages = pending["ProductionVariants"][0].get("VariantStatus", [{"Status": ""}])
    return str(stages[0]["Status"])


def alarm(cloud: Client, name: str = "errors", **members: Any) -> None:
    params: dict[str, Any] = {
        "AlarmName": name,
        "Namespace": "AWS/SageMaker",
        "MetricName": "Invocation5XXErrors",
        "Dimensions": [
            {"Name": "EndpointName", "Value": "dogs"},
            {"Name": "VariantName", "Value": "AllTraffic"},
        ],
        "Statistic": "Average",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 0.1,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        **members,
    }
    cloud.client("cloudwatch").put_metric_alarm(**params)


class Traffic:
    """Constant requests: which models answered, and every failure."""

    def __init__(self, cloud: Client, body: bytes = b"sleep=0.01") -> None:
        self.models: list[str] = []
        self.failures: list[Exception] = []
        self._cloud, self._body = cloud, body
        self._done = threading.Event()
        self._askers = [threading.Thread(target=self._ask) for _ in range(3)]

    def __enter__(self) -> Traffic:
        for asker in self._askers:
            asker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for asker in self._askers:
            asker.join()

    def since(self, count: int) -> set[str]:
        return set(self.models[count:])

    def _ask(self) -> None:
        while not self._done.is_set():
            try:
                self.models.append(invoke(self._cloud, "dogs", self._body)["model"])
            except Exception as error:
                self.failures.append(error)


@pytest.mark.parametrize(
    "config",
    [{}, shifting("CANARY", TerminationWaitInSeconds=30), rolling()],
    ids=["plain", "canary", "rolling"],
)
def test_an_update_loses_no_request(hosted: Client, config: dict[str, Any]) -> None:
    with Traffic(hosted) as traffic:
        assert until(lambda: len(traffic.models) > 20)
        update(hosted, "second", **({"DeploymentConfig": config} if config else {}))
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            update(hosted, "second")
        done = settled(hosted, "dogs")
        seen = len(traffic.models)
        assert until(lambda: len(traffic.models) > seen + 20)
    assert traffic.failures == []
    assert (done["EndpointStatus"], done["EndpointConfigName"]) == ("InService", "second")
    assert "PendingDeploymentSummary" not in done
    assert done.get("LastDeploymentConfig", {}) == config
    (shown,) = done["ProductionVariants"]
    assert (shown["CurrentInstanceCount"], shown["DesiredInstanceCount"]) == (2, 2)
    assert traffic.models[0] == "beagle"
    assert traffic.since(seen + 3) == {"collie"}


def test_a_canary_is_watched_before_the_rest_follows(hosted: Client) -> None:
    with Traffic(hosted) as traffic:
        update(hosted, "second", DeploymentConfig=shifting("CANARY"))
        assert until(lambda: variant_status(hosted) == "Baking")
        shown = described(hosted)
        assert shown["EndpointStatus"] == "Updating"
        assert shown["EndpointConfigName"] == "dogs"
        pending = shown["PendingDeploymentSummary"]
        assert pending["EndpointConfigName"] == "second"
        assert pending["ProductionVariants"][0]["InstanceType"] == "ml.m5.large"
        seen = len(traffic.models)
        assert until(lambda: len(traffic.models) > seen + 60)
        assert traffic.since(seen) == {"beagle", "collie"}
        assert settled(hosted, "dogs")["EndpointConfigName"] == "second"
    assert traffic.failures == []


def test_an_alarm_on_real_errors_rolls_back(hosted: Client) -> None:
    alarm(hosted)
    add_model(hosted, "poor", fails=True)
    add_config(hosted, "third", variant("poor", count=2))
    runtime = hosted.client("sagemaker-runtime")
    done, codes = threading.Event(), list[str]()

    def ask() -> None:
        while not done.wait(0.01):
            try:
                runtime.invoke_endpoint(EndpointName="dogs", Body=b"x")["Body"].read()
            except ClientError as error:
                codes.append(error.response["Error"]["Code"])

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        update(hosted, "third", DeploymentConfig=shifting("CANARY", 600, "errors"))
        assert until(lambda: described(hosted)["EndpointStatus"] in ("RollingBack", "InService"))
        back = settled(hosted, "dogs")
    finally:
        done.set()
        asker.join()
    assert (back["EndpointStatus"], back["EndpointConfigName"]) == ("InService", "dogs")
    assert "errors" in back["FailureReason"]
    assert "ALARM state" in back["FailureReason"]
    assert set(codes) == {"ModelError"}
    assert {invoke(hosted, "dogs")["model"] for _ in range(6)} == {"beagle"}


@pytest.mark.parametrize("config", [shifting("LINEAR", 600, "drill"), rolling(600)])
def test_an_alarm_that_somebody_sets_rolls_back(hosted: Client, config: dict[str, Any]) -> None:
    alarm(hosted, "drill")
    config = {**config, "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "drill"}]}}
    with Traffic(hosted) as traffic:
        update(hosted, "second", DeploymentConfig=config)
        assert until(lambda: variant_status(hosted) == "Baking")
        hosted.client("cloudwatch").set_alarm_state(
            AlarmName="drill", StateValue="ALARM", StateReason="a drill"
        )
        back = settled(hosted, "dogs")
    assert traffic.failures == []
    assert (back["EndpointStatus"], back["EndpointConfigName"]) == ("InService", "dogs")
    assert "drill" in back["FailureReason"]
    (shown,) = back["ProductionVariants"]
    assert shown["CurrentInstanceCount"] == 2
    assert {invoke(hosted, "dogs")["model"] for _ in range(6)} == {"beagle"}
    # The alarm is forgotten by the next update, which may keep the last way of deploying.
    update(hosted, "second", RetainDeploymentConfig=True)
    assert described(hosted)["LastDeploymentConfig"] == config


def test_a_deployment_that_takes_too_long_rolls_back(
    start_cloud: StartCloud, serve_command: list[str]
) -> None:
    hosted = start_cloud(build=sagemaker_services, serve_command=serve_command, speed=1000.0)
    furnish(hosted)
    config = shifting("LINEAR", 500, MaximumExecutionTimeoutInSeconds=601)
    update(hosted, "second", DeploymentConfig=config)
    back = settled(hosted, "dogs")
    assert back["EndpointConfigName"] == "dogs"
    assert "MaximumExecutionTimeoutInSeconds" in back["FailureReason"]


def test_alarms_must_exist(hosted: Client) -> None:
    with pytest.raises(ClientError, match="alarms do not exist: nothing"):
        update(hosted, "second", DeploymentConfig=shifting("CANARY", 60, "nothing"))
    assert described(hosted)["EndpointStatus"] == "InService"


@contextmanager
def first_life(folder: Path, serve_command: list[str]) -> Iterator[Client]:
    options: dict[str, Any] = {"build": sagemaker_services, "serve_command": serve_command}
    with open_cloud(state_dir=folder, speed=SPEED, **options) as opened:
        cloud = Client(opened)
        furnish(cloud)
        yield cloud


def test_a_half_done_update_goes_on_after_a_restart(
    start_cloud: StartCloud, serve_command: list[str], tmp_path: Path
) -> None:
    with first_life(tmp_path / "state", serve_command) as cloud:
        update(cloud, "second", DeploymentConfig=shifting("CANARY", 3600))
        assert until(lambda: variant_status(cloud) == "Baking")
    again = start_cloud(build=sagemaker_services, serve_command=serve_command, speed=SPEED * 100)
    assert described(again)["EndpointStatus"] == "Updating"
    assert invoke(again, "dogs")["model"] in ("beagle", "collie")
    assert settled(again, "dogs")["EndpointConfigName"] == "second"
    assert {invoke(again, "dogs")["model"] for _ in range(6)} == {"collie"}


def test_a_rollback_that_fails_leaves_both_fleets_answering(hosted: Client) -> None:
    alarm(hosted, "drill")
    drill = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "drill"}]}}
    update(hosted, "second", DeploymentConfig={**rolling(200), **drill})
    assert until(lambda: baking(hosted) == 1)
    # Without its archive, what ended of the old fleet cannot be started again.
    hosted.client("s3").delete_object(Bucket=BUCKET, Key="models/beagle.tar.gz")
    assert until(lambda: baking(hosted) == 2)
    hosted.client("cloudwatch").set_alarm_state(
        AlarmName="drill", StateValue="ALARM", StateReason="a drill"
    )
    assert until(lambda: described(hosted)["EndpointStatus"] == "UpdateRollbackFailed")
    mixed = described(hosted)
    assert "The rollback failed too" in mixed["FailureReason"]
    assert {invoke(hosted, "dogs")["model"] for _ in range(30)} == {"beagle", "collie"}
    update(hosted, "second")
    assert settled(hosted, "dogs")["EndpointConfigName"] == "second"
    assert {invoke(hosted, "dogs")["model"] for _ in range(6)} == {"collie"}


def baking(cloud: Client) -> int:
    """How many new instances are watched just now."""
    if variant_status(cloud) != "Baking":
        return 0
    pending = described(cloud)["PendingDeploymentSummary"]
    return int(pending["ProductionVariants"][0]["CurrentInstanceCount"])


@pytest.mark.soak
def test_many_updates_under_traffic_lose_no_request(hosted: Client) -> None:
    add_config(hosted, "first", variant("beagle", count=2))
    kinds = [{}, shifting("ALL_AT_ONCE", 30), shifting("CANARY", 60), shifting("LINEAR"), rolling()]
    with Traffic(hosted) as traffic:
        for number in range(30):
            config = kinds[number % len(kinds)]
            target = "second" if number % 2 == 0 else "first"
            update(hosted, target, **({"DeploymentConfig": config} if config else {}))
            assert settled(hosted, "dogs")["EndpointConfigName"] == target
    assert traffic.failures == []
    assert len(traffic.models) > 1000
