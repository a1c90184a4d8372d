"""Endpoints through plain boto3: a tiny model server in real processes."""

from __future__ import annotations

import io
import itertools
import json
import os
import signal
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.account.log_lines import LogLines
from localaws.hosts.processes import Processes
from localaws.sagemaker.hosting.instances import Instance, InstanceSpec
from localaws.sagemaker.hosting.model_server import TimedOut
from localaws.sagemaker.world import World
from localaws.server import open_cloud
from tests.localaws.conftest import Client, StartCloud, fetch
from tests.localaws.sagemaker_world import (
    BUCKET,
    IMAGE,
    ROLE,
    alive,
    prepare,
    sagemaker_services,
    until,
)

SERVER = """
import http.server, json, os, pathlib, socketserver, sys, time

FOLDER = pathlib.Path(os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))
MODEL = json.loads((FOLDER / "model.json").read_text())
print("loaded", MODEL["name"], flush=True)
if MODEL.get("broken"):
    sys.exit("the model is broken")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self.answer(200 if not MODEL.get("sick") else 500, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body == b"hangup":
            self.close_connection = True  # without saying so in a header
        if body == b"die":
            os._exit(9)
        if MODEL.get("fails"):
            return self.answer(500, b"no idea")
        if body.startswith(b"status="):
            return self.answer(int(body[7:]), b"no such breed")
        if body.startswith(b"sleep="):
            time.sleep(float(body[6:]))
        said = {"model": MODEL["name"], "pid": os.getpid(), "size": len(body),
                "type": self.headers["Content-Type"], "accept": self.headers["Accept"],
                "custom": self.headers["X-Amzn-SageMaker-Custom-Attributes"],
                "greeting": os.environ.get("GREETING")}
        self.answer(200, json.dumps(said).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Amzn-SageMaker-Custom-Attributes", "seen")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


bind = os.environ["PEDIGREE_BIND"], int(os.environ["SAGEMAKER_BIND_TO_PORT"])
Server(bind, Handler).serve_forever()
"""


@pytest.fixture
def serve_command(tmp_path: Path) -> list[str]:
    script = tmp_path / "serve.py"
    script.write_text(SERVER)
    return [sys.executable, str(script)]


@pytest.fixture
def cloud(start_cloud: StartCloud, serve_command: list[str]) -> Client:
    started = start_cloud(build=sagemaker_services, serve_command=serve_command)
    prepare(started)
    return started


def archive(**model: Any) -> bytes:
    """A model.tar.gz with model.json."""
    content = json.dumps(model).encode()
    member = tarfile.TarInfo("model.json")
    member.size = len(content)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def add_model(cloud: Client, name: str, data: bytes | None = None, **model: Any) -> None:
    key = f"models/{name}.tar.gz"
    cloud.client("s3").put_object(
        Bucket=BUCKET, Key=key, Body=archive(name=name, **model) if data is None else data
    )
    cloud.client("sagemaker").create_model(
        ModelName=name,
        PrimaryContainer={
            "Image": IMAGE,
            "ModelDataUrl": f"s3://{BUCKET}/{key}",
            "Environment": {"GREETING": "hello"},
        },
        ExecutionRoleArn=ROLE,
    )


IN_TURN = {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}


def variant(model: str, *, name: str = "AllTraffic", count: int = 1, **members: Any) -> Any:
    return {
        "VariantName": name,
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": count,
        "InitialVariantWeight": 1.0,
        **members,
    }


def add_config(cloud: Client, name: str, *variants: Any) -> None:
    cloud.client("sagemaker").create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=list(variants)
    )


def add_endpoint(cloud: Client, name: str, *variants: Any) -> dict[str, Any]:
    """Create an endpoint with a configuration of its own name and wait for it."""
    add_config(cloud, name, *variants)
    cloud.client("sagemaker").create_endpoint(EndpointName=name, EndpointConfigName=name)
    return settled(cloud, name)


def settled(cloud: Client, name: str) -> dict[str, Any]:
    sagemaker = cloud.client("sagemaker")

    def describe() -> dict[str, Any]:
        answer: dict[str, Any] = sagemaker.describe_endpoint(EndpointName=name)
        return answer

    assert until(lambda: describe()["EndpointStatus"] in ("InService", "Failed")), describe()
    return describe()


def invoke(cloud: Client, name: str, body: bytes = b"x", **members: Any) -> dict[str, Any]:
    runtime = cloud.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(EndpointName=name, Body=body, **members)
    said: dict[str, Any] = json.loads(answer["Body"].read())
    return said


def gone(cloud: Client, name: str) -> bool:
    try:
        cloud.client("sagemaker").describe_endpoint(EndpointName=name)
    except ClientError as error:
        return "Could not find endpoint" in str(error)
    return False


@pytest.mark.parametrize("isolation", ["namespaces", "paths"])
def test_an_endpoint_answers_and_goes(
    start_cloud: StartCloud,
    serve_command: list[str],
    monkeypatch: pytest.MonkeyPatch,
    isolation: str,
) -> None:
    if isolation == "paths":
        monkeypatch.setenv("LOCALAWS_ISOLATION", "paths")
    cloud = start_cloud(build=sagemaker_services, serve_command=serve_command)
    prepare(cloud)
    add_model(cloud, "beagle")
    described = add_endpoint(cloud, "dogs", variant("beagle"))
    assert described["EndpointStatus"] == "InService", described
    (shown,) = described["ProductionVariants"]
    assert (shown["CurrentInstanceCount"], shown["DesiredInstanceCount"]) == (1, 1)
    assert shown["DeployedImages"][0]["SpecifiedImage"] == IMAGE

    runtime = cloud.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(
        EndpointName="dogs",
        Body=b"12345",
        ContentType="image/jpeg",
        Accept="application/json",
        CustomAttributes="trace=1",
        InferenceId="one",
    )
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["ContentType"] == "application/json"
    assert answer["CustomAttributes"] == "seen"
    said = json.loads(answer["Body"].read())
    pid = said.pop("pid")
    assert said == {
        "model": "beagle",
        "size": 5,
        "type": "image/jpeg",
        "accept": "application/json",
        "custom": "trace=1",
        "greeting": "hello",
    }
    assert alive(pid)
    cloud.client("sagemaker").delete_endpoint(EndpointName="dogs")
    assert until(lambda: gone(cloud, "dogs"))
    assert not alive(pid)
    with pytest.raises(ClientError) as missing:
        invoke(cloud, "dogs")
    assert missing.value.response["Error"] == {
        "Code": "ValidationError",
        "Message": "Endpoint dogs of account 123456789012 not found.",
    }


def test_container_logs_and_metrics_reach_cloudwatch(cloud: Client) -> None:
    add_model(cloud, "beagle")
    add_endpoint(cloud, "dogs", variant("beagle"))
    for _ in range(3):
        invoke(cloud, "dogs")
    with pytest.raises(ClientError):
        invoke(cloud, "dogs", b"status=400")
    logs, group = cloud.client("logs"), "/aws/sagemaker/Endpoints/dogs"

    def messages() -> list[str]:
        try:
            events = logs.filter_log_events(logGroupName=group)["events"]
        except ClientError:
            return []
        return [event["message"] for event in events]

    assert until(lambda: "loaded beagle" in messages())

    now = time.time()
    named = [
        {"Name": "EndpointName", "Value": "dogs"},
        {"Name": "VariantName", "Value": "AllTraffic"},
    ]

    def values(metric: str, stat: str, *more: dict[str, str]) -> list[float]:
        one = {
            "Namespace": "AWS/SageMaker",
            "MetricName": metric,
            "Dimensions": [*named, *more],
        }
        query = {"Id": "m1", "MetricStat": {"Metric": one, "Period": 3600, "Stat": stat}}
        found = cloud.client("cloudwatch").get_metric_data(
            MetricDataQueries=[query], StartTime=now - 1800, EndTime=now + 1800
        )
        return list(found["MetricDataResults"][0]["Values"])

    assert values("Invocations", "Sum") == [4.0]
    assert values("InvocationsPerInstance", "Sum") == [4.0]
    # Every other invocation is a 0, so that the average is the rate.
    assert values("Invocation4XXErrors", "Average") == [0.25]
    assert values("InvocationModelErrors", "Sum") == [1.0]
    assert values("Invocation5XXErrors", "Sum") == [0.0]
    (median,), (tail,) = values("ModelLatency", "p50"), values("ModelLatency", "p99")
    assert 0 < median <= tail < 60e6
    assert 0 < values("OverheadLatency", "p99")[0] < 60e6
    of_config = {"Name": "EndpointConfigName", "Value": "dogs"}
    assert values("Invocations", "Sum", of_config) == [4.0]


def test_model_errors_carry_what_the_container_said(cloud: Client) -> None:
    add_model(cloud, "beagle")
    add_endpoint(cloud, "dogs", variant("beagle"))
    for status, side in ((415, "client"), (500, "server")):
        with pytest.raises(ClientError) as failed:
            invoke(cloud, "dogs", f"status={status}".encode())
        answer = failed.value.response
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
        assert answer["Error"]["Code"] == "ModelError"
        assert answer["OriginalStatusCode"] == status
        assert answer["OriginalMessage"] == "no such breed"
        assert answer["LogStreamArn"].endswith(":log-group:/aws/sagemaker/Endpoints/dogs")
        assert answer["Error"]["Message"].startswith(
            f'Received {side} error ({status}) from primary with message "no such breed". See '
        )


def test_a_body_over_the_limit_is_refused(cloud: Client) -> None:
    add_model(cloud, "beagle")
    add_endpoint(cloud, "dogs", variant("beagle"))
    assert invoke(cloud, "dogs", b"x" * 6_291_456)["size"] == 6_291_456
    with pytest.raises(ClientError, match="exceeded 6291456 bytes") as refused:
        invoke(cloud, "dogs", b"x" * 6_291_457)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_a_dead_instance_is_replaced(cloud: Client) -> None:
    add_model(cloud, "beagle")
    add_endpoint(cloud, "dogs", variant("beagle"))
    first = invoke(cloud, "dogs")["pid"]
    with pytest.raises(ClientError) as lost:
        invoke(cloud, "dogs", b"die")
    assert lost.value.response["Error"]["Code"] == "ServiceUnavailable"
    assert until(lambda: _answers(cloud, "dogs"))
    assert invoke(cloud, "dogs")["pid"] != first


def test_an_instance_that_is_killed_on_demand_is_replaced(cloud: Client) -> None:
    add_model(cloud, "beagle")
    add_endpoint(cloud, "dogs", variant("beagle", count=2, RoutingConfig=IN_TURN))
    pids = {invoke(cloud, "dogs")["pid"] for _ in range(4)}
    wanted = json.dumps({"endpoint": "dogs", "variant": "AllTraffic"})
    status, said = fetch(f"{cloud.url}/_localaws/kill", "POST", wanted)
    assert (status, json.loads(said)) == (200, {"killed": True})
    assert until(lambda: sum(map(alive, pids)) == 1)

    def replaced() -> bool:
        return (
            _answers(cloud, "dogs") and len({invoke(cloud, "dogs")["pid"] for _ in range(4)}) == 2
        )

    assert until(replaced)


def _answers(cloud: Client, name: str) -> bool:
    try:
        invoke(cloud, name)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ServiceUnavailable"
        return False
    return True


def test_requests_go_where_the_fewest_wait(cloud: Client) -> None:
    add_model(cloud, "beagle")
    described = add_endpoint(cloud, "dogs", variant("beagle", count=2, RoutingConfig=IN_TURN))
    assert described["ProductionVariants"][0]["RoutingConfig"] == IN_TURN
    assert len({invoke(cloud, "dogs")["pid"] for _ in range(4)}) == 2
    slow = threading.Thread(target=invoke, args=(cloud, "dogs", b"sleep=2"))
    slow.start()
    time.sleep(0.3)
    assert len({invoke(cloud, "dogs")["pid"] for _ in range(6)}) == 1
    slow.join()


def test_without_a_strategy_requests_go_anywhere(cloud: Client) -> None:
    add_model(cloud, "beagle")
    described = add_endpoint(cloud, "dogs", variant("beagle", count=2))
    assert "RoutingConfig" not in described["ProductionVariants"][0]
    pids = [invoke(cloud, "dogs")["pid"] for _ in range(40)]
    assert len(set(pids)) == 2
    # In turn no instance would be asked twice in a row. By chance: 1 in 2**39 that none is.
    assert any(one == other for one, other in itertools.pairwise(pids))


def test_scaling_adds_and_removes_instances(cloud: Client) -> None:
    sagemaker = cloud.client("sagemaker")
    add_model(cloud, "beagle")
    add_endpoint(cloud, "dogs", variant("beagle", RoutingConfig=IN_TURN))
    for count in (3, 1):
        wish = {"VariantName": "AllTraffic", "DesiredInstanceCount": count}
        sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="dogs", DesiredWeightsAndCapacities=[wish]
        )
        (shown,) = settled(cloud, "dogs")["ProductionVariants"]
        assert (shown["CurrentInstanceCount"], shown["DesiredInstanceCount"]) == (count, count)
        assert len({invoke(cloud, "dogs")["pid"] for _ in range(6)}) == count


def test_a_bad_update_leaves_the_old_model_in_service(cloud: Client) -> None:
    sagemaker = cloud.client("sagemaker")
    add_model(cloud, "beagle")
    add_model(cloud, "bad", broken=True)
    add_endpoint(cloud, "dogs", variant("beagle"))
    add_config(cloud, "second", variant("bad"))
    sagemaker.update_endpoint(EndpointName="dogs", EndpointConfigName="second")
    described = settled(cloud, "dogs")
    assert described["EndpointStatus"] == "InService"
    assert described["EndpointConfigName"] == "dogs"
    assert "did not pass the ping health check" in described["FailureReason"]
    assert invoke(cloud, "dogs")["model"] == "beagle"


def test_an_update_may_keep_the_instance_count(cloud: Client) -> None:
    sagemaker = cloud.client("sagemaker")
    add_model(cloud, "beagle")
    add_endpoint(cloud, "dogs", variant("beagle"))
    wish = {"VariantName": "AllTraffic", "DesiredInstanceCount": 2}
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="dogs", DesiredWeightsAndCapacities=[wish]
    )
    settled(cloud, "dogs")
    add_config(cloud, "second", variant("beagle"))
    for keeps, count in ((True, 2), (False, 1)):
        sagemaker.update_endpoint(
            EndpointName="dogs", EndpointConfigName="second", RetainAllVariantProperties=keeps
        )
        (shown,) = settled(cloud, "dogs")["ProductionVariants"]
        assert shown["CurrentInstanceCount"] == count


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ({"broken": True}, "did not pass the ping health check"),
        ({"data": b"no archive"}, "Failed to extract model data archive"),
    ],
)
def test_a_model_that_does_not_come_up_fails(
    cloud: Client, model: dict[str, Any], reason: str
) -> None:
    add_model(cloud, "bad", **model)
    described = add_endpoint(cloud, "dogs", variant("bad"))
    assert described["EndpointStatus"] == "Failed"
    assert reason in described["FailureReason"]
    with pytest.raises(ClientError, match="not found"):
        invoke(cloud, "dogs")
    cloud.client("sagemaker").delete_endpoint(EndpointName="dogs")
    assert until(lambda: gone(cloud, "dogs"))


def _link(tar: tarfile.TarFile) -> None:
    member = tarfile.TarInfo("model.json")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    tar.addfile(member)


def _climb(tar: tarfile.TarFile) -> None:
    member = tarfile.TarInfo("../../escaped")
    member.size = 1
    tar.addfile(member, io.BytesIO(b"x"))


@pytest.mark.parametrize("make", [_link, _climb])
def test_archives_cannot_leave_their_folder(
    cloud: Client, make: Callable[[tarfile.TarFile], None]
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        make(tar)
    add_model(cloud, "bad", buffer.getvalue())
    described = add_endpoint(cloud, "dogs", variant("bad"))
    assert "Failed to extract model data archive" in described["FailureReason"]
    assert list(cloud.cloud.settings.state_dir.rglob("escaped")) == []


def test_weights_and_target_variant(cloud: Client) -> None:
    add_model(cloud, "beagle")
    add_model(cloud, "collie")
    add_endpoint(
        cloud,
        "dogs",
        variant("beagle", name="a"),
        variant("collie", name="b", InitialVariantWeight=0.0),
    )
    assert {invoke(cloud, "dogs")["model"] for _ in range(10)} == {"beagle"}
    assert invoke(cloud, "dogs", TargetVariant="b")["model"] == "collie"
    wishes = [
        {"VariantName": "a", "DesiredWeight": 0.0},
        {"VariantName": "b", "DesiredWeight": 1.0},
    ]
    cloud.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName="dogs", DesiredWeightsAndCapacities=wishes
    )
    settled(cloud, "dogs")
    assert {invoke(cloud, "dogs")["model"] for _ in range(10)} == {"collie"}
    with pytest.raises(ClientError, match="not found"):
        invoke(cloud, "dogs", TargetVariant="c")


def test_what_aws_refuses(cloud: Client) -> None:
    sagemaker = cloud.client("sagemaker")
    arn = "arn:aws:sagemaker:us-east-1:123456789012"
    add_model(cloud, "beagle")
    add_endpoint(cloud, "dogs", variant("beagle"))
    canary = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": "CANARY", "WaitIntervalInSeconds": 0}
        }
    }
    refused: dict[str, Callable[[], Any]] = {
        f'Cannot create already existing model "{arn}:model/beagle".': lambda: add_model(
            cloud, "beagle"
        ),
        f'Cannot create already existing endpoint configuration "{arn}:endpoint-config/dogs".': (
            lambda: add_config(cloud, "dogs", variant("beagle"))
        ),
        f'Cannot create already existing endpoint "{arn}:endpoint/dogs".': (
            lambda: sagemaker.create_endpoint(EndpointName="dogs", EndpointConfigName="dogs")
        ),
        f'Could not find model "{arn}:model/collie".': lambda: add_config(
            cloud, "other", variant("collie")
        ),
        f'Could not find endpoint configuration "{arn}:endpoint-config/other".': (
            lambda: sagemaker.update_endpoint(EndpointName="dogs", EndpointConfigName="other")
        ),
        f'Could not find endpoint "{arn}:endpoint/cats".': lambda: sagemaker.delete_endpoint(
            EndpointName="cats"
        ),
        "CanarySize is required when the traffic routing type is CANARY": lambda: (
            sagemaker.update_endpoint(
                EndpointName="dogs", EndpointConfigName="dogs", DeploymentConfig=canary
            )
        ),
        "RoutingStrategy PREFIX_AWARE": lambda: add_config(
            cloud, "other", variant("beagle", RoutingConfig={"RoutingStrategy": "PREFIX_AWARE"})
        ),
        "failed to satisfy constraint": lambda: add_config(
            cloud, "other", variant("beagle", InstanceType="ml.nothing.large")
        ),
    }
    for message, call in refused.items():
        with pytest.raises(ClientError) as error:
            call()
        assert error.value.response["Error"]["Code"] == "ValidationException"
        assert message in error.value.response["Error"]["Message"]


def test_lists(cloud: Client) -> None:
    sagemaker = cloud.client("sagemaker")
    add_model(cloud, "beagle")
    for name in ("one", "two"):
        add_config(cloud, name, variant("beagle"))
    assert [m["ModelName"] for m in sagemaker.list_models()["Models"]] == ["beagle"]
    listed = sagemaker.list_endpoint_configs(SortBy="Name", SortOrder="Ascending")
    assert [c["EndpointConfigName"] for c in listed["EndpointConfigs"]] == ["one", "two"]
    assert sagemaker.list_endpoints(StatusEquals="InService")["Endpoints"] == []
    config = sagemaker.describe_endpoint_config(EndpointConfigName="one")
    assert config["ProductionVariants"] == [variant("beagle")]
    sagemaker.delete_endpoint_config(EndpointConfigName="one")
    sagemaker.delete_model(ModelName="beagle")
    assert sagemaker.list_models()["Models"] == []


def test_endpoints_are_there_again_after_a_restart(
    start_cloud: StartCloud, serve_command: list[str], tmp_path: Path
) -> None:
    options: dict[str, Any] = {"build": sagemaker_services, "serve_command": serve_command}
    with open_cloud(state_dir=tmp_path / "state", **options) as opened:
        cloud = Client(opened)
        prepare(cloud)
        add_model(cloud, "beagle")
        add_endpoint(cloud, "dogs", variant("beagle", count=2))
        first = invoke(cloud, "dogs")["pid"]
    assert not alive(first)
    again = start_cloud(**options)
    assert settled(again, "dogs")["EndpointStatus"] == "InService"
    assert invoke(again, "dogs")["model"] == "beagle"


@pytest.fixture
def spec(cloud: Client) -> InstanceSpec:
    """An instance of a model whose server answers."""
    add_model(cloud, "beagle")
    data = f"s3://{BUCKET}/models/beagle.tar.gz"
    container = {"Image": IMAGE, "ModelDataUrl": data, "ExecutionRoleArn": ROLE}
    return InstanceSpec(endpoint="dogs", variant="AllTraffic", container=container, check_s=0.1)


@pytest.fixture
def world(cloud: Client) -> Iterator[World]:
    parts = cloud.cloud.parts
    processes = Processes(parts.settings.state_dir / "instances")
    logs = LogLines(parts.records, parts.clock)
    yield World(
        clock=parts.clock,
        objects=parts.objects,
        processes=processes,
        logs=logs,
        sts=parts.records,
        settings=parts.settings,
    )
    processes.close()
    logs.close()


def test_a_server_that_is_never_well_fails_in_time(
    cloud: Client, spec: InstanceSpec, world: World
) -> None:
    add_model(cloud, "sick", sick=True)
    data = {"ModelDataUrl": f"s3://{BUCKET}/models/sick.tar.gz"}
    sick = replace(spec, container={**spec.container, **data}, health_limit_s=1.0)
    instance = Instance(sick, world)
    instance.start()
    assert not instance.await_start()
    assert "did not pass the ping health check" in (instance.failure or "")
    instance.stop()
    assert list(world.settings.state_dir.glob("endpoints/dogs/*")) == []


@pytest.mark.slow
def test_a_server_that_hangs_is_found_by_its_pings(spec: InstanceSpec, world: World) -> None:
    instance = Instance(spec, world)
    instance.start()
    assert instance.await_start()
    server = instance.server
    assert server is not None
    first = json.loads(server.invoke(b"x", {}).body or b"")["pid"]
    os.kill(first, signal.SIGSTOP)
    assert until(lambda: instance.server is not server and instance.is_healthy)
    again = instance.server
    assert again is not None
    assert json.loads(again.invoke(b"x", {}).body or b"")["pid"] != first
    instance.stop()


def test_an_invocation_that_takes_too_long(spec: InstanceSpec, world: World) -> None:
    instance = Instance(spec, world)
    instance.start()
    assert instance.await_start()
    assert instance.server is not None
    with pytest.raises(TimedOut):
        instance.server.invoke(b"sleep=30", {}, limit_s=0.2)
    assert instance.server.invoke(b"x", {}).status == 200
    instance.stop()


def test_a_connection_that_the_server_closed_is_opened_again(
    spec: InstanceSpec, world: World
) -> None:
    instance = Instance(spec, world)
    instance.start()
    assert instance.await_start()
    assert instance.server is not None
    assert instance.server.invoke(b"hangup", {}).status == 200
    time.sleep(0.1)
    assert instance.server.invoke(b"x", {}).status == 200
    instance.stop()
