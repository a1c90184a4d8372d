"""Functions really run: AWS's own runtime client against our Runtime API."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.functions.report import Report, report_line
from localaws.functions.runtime_api import Invocation, RuntimeApi
from localaws.server import open_cloud
from tests.localaws.compute_world import (
    lambda_only,
    make_function,
    role,
    settle,
    until,
    zipped,
)
from tests.localaws.conftest import Client, StartCloud


@pytest.fixture
def lambdas(start_cloud: StartCloud) -> Client:
    return start_cloud(build=lambda_only)


def invoke(cloud: Client, event: Any = None, **params: Any) -> tuple[Any, dict[str, Any]]:
    """The decoded payload and the answer."""
    body = json.dumps({} if event is None else event)
    answer = cloud.client("lambda").invoke(FunctionName="f", Payload=body, **params)
    return json.loads(answer["Payload"].read()), answer


def tail(answer: dict[str, Any]) -> str:
    return base64.b64decode(answer["LogResult"]).decode()


def test_a_cold_and_a_warm_call(lambdas: Client) -> None:
    make_function(lambdas)
    first, cold = invoke(lambdas, {"n": 1}, LogType="Tail")
    second, warm = invoke(lambdas, {"n": 2}, LogType="Tail")
    assert first["pid"] == second["pid"]
    assert first["file"].endswith("/handler.py")
    assert (cold["StatusCode"], cold["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in cold
    lines = tail(cold).splitlines()
    assert [line.split()[0] for line in lines] == [
        "INIT_START",
        "loading",
        "START",
        "event",
        "END",
        "REPORT",
    ]
    assert "Init Duration: " in lines[-1] and "Memory Size: 256 MB\tMax Memory Used: " in lines[-1]
    warm_lines = tail(warm).splitlines()
    assert [line.split()[0] for line in warm_lines] == ["START", "event", "END", "REPORT"]
    assert "Init Duration" not in warm_lines[-1]
    assert 'event {"n": 2}' in warm_lines


def test_the_environment_is_lambdas(lambdas: Client) -> None:
    make_function(lambdas, Environment={"Variables": {"ENDPOINT_NAME": "dogs"}}, Timeout=7)
    names = [
        "ENDPOINT_NAME",
        "_HANDLER",
        "LAMBDA_TASK_ROOT",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_REGION",
        "AWS_ENDPOINT_URL",
    ]
    found, _ = invoke(lambdas, {"env": names})
    if not found["LAMBDA_TASK_ROOT"].startswith("/var/task"):
        assert Path(found["LAMBDA_TASK_ROOT"]).is_dir()
    del found["LAMBDA_TASK_ROOT"]
    assert found == {
        "ENDPOINT_NAME": "dogs",
        "_HANDLER": "handler.handler",
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": lambdas.url,
    }


def test_a_function_calls_aws_as_its_role(lambdas: Client) -> None:
    source = (
        "import boto3\n"
        "def handler(event, context):\n"
        "    return boto3.client('sts').get_caller_identity()['Arn']\n"
    )
    make_function(lambdas, Code={"ZipFile": zipped(source)}, Timeout=30)
    arn, _ = invoke(lambdas)
    assert arn == "arn:aws:sts::123456789012:assumed-role/role-of-f/f"


def test_errors_of_the_handler_and_of_the_import(lambdas: Client) -> None:
    make_function(lambdas)
    error, answer = invoke(lambdas, {"raise": "boom"}, LogType="Tail")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "boom")
    assert "[ERROR] ValueError: boom\nTraceback" in tail(answer)
    assert invoke(lambdas)[1]["StatusCode"] == 200
    lambdas.client("lambda").update_function_code(
        FunctionName="f", ZipFile=zipped("import no_such_module")
    )
    settle(lambdas)
    error, answer = invoke(lambdas, LogType="Tail")
    assert error["errorType"] == "Runtime.ImportModuleError"
    assert "INIT_REPORT" in tail(answer) and answer["FunctionError"] == "Unhandled"


def test_a_task_that_takes_too_long_is_ended(lambdas: Client) -> None:
    make_function(lambdas, Timeout=1)
    pid = invoke(lambdas)[0]["pid"]
    error, answer = invoke(lambdas, {"sleep": 30}, LogType="Tail")
    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert "Task timed out after 1.00 seconds" in tail(answer)
    assert "Duration: 1000.00 ms\tBilled Duration: 1000 ms" in tail(answer)
    assert tail(answer).rstrip().endswith("Status: timeout")
    until(lambda: not Path(f"/proc/{pid}").exists() or None)
    assert invoke(lambdas)[0]["pid"] != pid


def test_a_runtime_that_exits(lambdas: Client) -> None:
    make_function(lambdas)
    error, answer = invoke(lambdas, {"exit": 3}, LogType="Tail")
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert "Error Type: Runtime.ExitError" in tail(answer)
    error, _ = invoke(lambdas, {"exit": 0})
    assert error["errorMessage"].endswith("Error: Runtime exited without providing a reason")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_over_the_limit_ends_the_process(lambdas: Client) -> None:
    make_function(lambdas, MemorySize=128)
    error, answer = invoke(lambdas, {"megabytes": 300}, LogType="Tail")
    assert error["errorType"] == "Runtime.OutOfMemory"
    assert "Max Memory Used: 128 MB" in tail(answer)


def test_payloads_have_limits(lambdas: Client) -> None:
    make_function(lambdas, Timeout=30)
    client = lambdas.client("lambda")
    for kind, most in (("RequestResponse", 6_291_456), ("Event", 1_048_576)):
        with pytest.raises(ClientError) as caught:
            client.invoke(FunctionName="f", InvocationType=kind, Payload=b'"' + b"x" * most)
        assert caught.value.response["Error"]["Code"] == "RequestTooLargeException"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    error, answer = invoke(lambdas, {"big": 6_400_000})
    assert answer["FunctionError"] == "Unhandled"
    assert error["errorType"] == "Function.ResponseSizeTooLarge"
    assert len(invoke(lambdas, {"big": 6_000_000})[0]) == 6_000_000
    with pytest.raises(ClientError, match="InvalidRequestContentException"):
        client.invoke(FunctionName="f", Payload=b"{no json")


def test_a_dry_run_runs_nothing(lambdas: Client) -> None:
    make_function(lambdas)
    answer = lambdas.client("lambda").invoke(FunctionName="f", InvocationType="DryRun")
    assert answer["StatusCode"] == 204
    assert lambdas.client("logs").describe_log_groups()["logGroups"] == []


def at_once(cloud: Client, count: int, event: Any, **params: Any) -> list[str]:
    """Call `count` times at the same time: `ok` or the Reason of a refusal, sorted."""
    clients = [cloud.client("lambda") for _ in range(count)]
    results: list[str] = []

    def call(client: Any) -> None:
        try:
            client.invoke(FunctionName="f", Payload=json.dumps(event), **params)
            results.append("ok")
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 429
            results.append(error.response["Reason"])

    threads = [threading.Thread(target=call, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(results)


LIMIT = "ReservedFunctionConcurrentInvocationLimitExceeded"


def test_six_at_once_with_five_reserved(lambdas: Client) -> None:
    make_function(lambdas, Timeout=30)
    client = lambdas.client("lambda")
    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=5)
    assert at_once(lambdas, 6, {"sleep": 1.5}) == [LIMIT] + ["ok"] * 5
    assert at_once(lambdas, 5, {"sleep": 0.2}) == ["ok"] * 5
    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    assert at_once(lambdas, 1, {}) == [LIMIT]
    now = time.time()
    points = lambdas.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName="ConcurrentExecutions",
        Dimensions=[{"Name": "FunctionName", "Value": "f"}],
        StartTime=now - 600,
        EndTime=now + 600,
        Period=1200,
        Statistics=["Maximum"],
    )["Datapoints"]
    assert max(point["Maximum"] for point in points) == 5


def ready(cloud: Client, qualifier: str) -> dict[str, Any]:
    client = cloud.client("lambda")

    def status() -> dict[str, Any] | None:
        found: dict[str, Any] = client.get_provisioned_concurrency_config(
            FunctionName="f", Qualifier=qualifier
        )
        return found if found["Status"] != "IN_PROGRESS" else None

    return until(status)


def test_provisioned_environments_are_warm_and_come_first(lambdas: Client) -> None:
    make_function(lambdas, Publish=True, Timeout=30)
    client = lambdas.client("lambda")
    client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=5)
    put = client.put_provisioned_concurrency_config(
        FunctionName="f", Qualifier="live", ProvisionedConcurrentExecutions=3
    )
    assert (put["Status"], put["AvailableProvisionedConcurrentExecutions"]) == ("IN_PROGRESS", 0)
    found = ready(lambdas, "live")
    assert (found["Status"], found["AvailableProvisionedConcurrentExecutions"]) == ("READY", 3)
    names = ["AWS_LAMBDA_INITIALIZATION_TYPE"]
    kind, answer = invoke(lambdas, {"env": names}, Qualifier="live", LogType="Tail")
    assert kind == {"AWS_LAMBDA_INITIALIZATION_TYPE": "provisioned-concurrency"}
    assert tail(answer).startswith("START ") and "Init Duration" not in tail(answer)
    # Three warm ones and two more within the reserved five.
    assert at_once(lambdas, 6, {"sleep": 1.5}, Qualifier="live") == [LIMIT] + ["ok"] * 5
    # $LATEST has only what is not provisioned.
    assert at_once(lambdas, 3, {"sleep": 1}) == [LIMIT] + ["ok"] * 2


def test_provisioned_environments_are_replaced_and_given_up(lambdas: Client) -> None:
    make_function(lambdas, Publish=True)
    client = lambdas.client("lambda")
    client.put_provisioned_concurrency_config(
        FunctionName="f", Qualifier="1", ProvisionedConcurrentExecutions=1
    )
    ready(lambdas, "1")
    first = invoke(lambdas, Qualifier="1")[0]["pid"]
    invoke(lambdas, {"exit": 1}, Qualifier="1")
    assert ready(lambdas, "1")["Status"] == "READY"
    second = invoke(lambdas, Qualifier="1")[0]["pid"]
    assert second != first
    client.delete_provisioned_concurrency_config(FunctionName="f", Qualifier="1")
    until(lambda: not Path(f"/proc/{second}").exists() or None)


def test_provisioned_concurrency_of_broken_code_fails(lambdas: Client) -> None:
    make_function(lambdas, Publish=True, Code={"ZipFile": zipped("import nothing_of_this_name")})
    lambdas.client("lambda").put_provisioned_concurrency_config(
        FunctionName="f", Qualifier="1", ProvisionedConcurrentExecutions=1
    )
    found = ready(lambdas, "1")
    assert (found["Status"], found["StatusReason"]) == ("FAILED", "FUNCTION_ERROR_INIT_FAILURE")


def test_versions_keep_their_code_and_aliases_choose(lambdas: Client) -> None:
    make_function(lambdas, Code={"ZipFile": zipped("def handler(e, c): return 'one'")})
    client = lambdas.client("lambda")
    client.publish_version(FunctionName="f")
    client.update_function_code(FunctionName="f", ZipFile=zipped("def handler(e, c): return 'two'"))
    settle(lambdas)
    client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    value, answer = invoke(lambdas, Qualifier="live")
    assert (value, answer["ExecutedVersion"]) == ("one", "1")
    value, answer = invoke(lambdas)
    assert (value, answer["ExecutedVersion"]) == ("two", "$LATEST")


def test_events_run_later_and_are_tried_three_times(
    start_cloud: StartCloud, tmp_path: Path
) -> None:
    # The clock runs 600 times as fast: the pauses of one and two minutes take a third of a second.
    lambdas = start_cloud(build=lambda_only, speed=600.0)
    seen = tmp_path / "seen"
    source = (
        f"def handler(event, context):\n    with open({str(seen)!r}, 'a') as f:\n"
        "        f.write(context.aws_request_id + '\\n')\n    raise ValueError('again')\n"
    )
    make_function(lambdas, Code={"ZipFile": zipped(source)})
    answer = lambdas.client("lambda").invoke(FunctionName="f", InvocationType="Event")
    assert answer["StatusCode"] == 202

    def attempts() -> list[str] | None:
        found = seen.read_text().split() if seen.exists() else []
        return found if len(found) == 3 else None

    assert len(set(until(attempts))) == 1
    time.sleep(0.6)
    assert len(seen.read_text().split()) == 3


def test_logs_and_metrics_reach_cloudwatch(lambdas: Client) -> None:
    make_function(lambdas)
    invoke(lambdas, {"raise": "boom"})
    logs = lambdas.client("logs")

    def written() -> list[str] | None:
        streams = logs.describe_log_streams(logGroupName="/aws/lambda/f")["logStreams"]
        assert "[$LATEST]" in streams[0]["logStreamName"]
        name = streams[0]["logStreamName"]
        events = logs.get_log_events(logGroupName="/aws/lambda/f", logStreamName=name)["events"]
        texts = [event["message"] for event in events]
        return texts if any(text.startswith("REPORT") for text in texts) else None

    until(lambda: logs.describe_log_groups()["logGroups"] or None)
    assert "loading" in until(written)
    cloudwatch = lambdas.client("cloudwatch")
    now = time.time()

    def errors() -> float | None:
        points = cloudwatch.get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName="Errors",
            Dimensions=[{"Name": "FunctionName", "Value": "f"}],
            StartTime=now - 600,
            EndTime=now + 600,
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]
        return sum(point["Sum"] for point in points) or None

    assert until(errors) == 1.0


def test_functions_are_there_after_a_restart(tmp_path: Path) -> None:
    with open_cloud(state_dir=tmp_path, build=lambda_only) as cloud:
        first = Client(cloud)
        make_function(first, Publish=True)
        client = first.client("lambda")
        client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
        client.put_provisioned_concurrency_config(
            FunctionName="f", Qualifier="live", ProvisionedConcurrentExecutions=1
        )
        ready(first, "live")
        pid = invoke(first, Qualifier="live")[0]["pid"]
    assert not Path(f"/proc/{pid}").exists()
    with open_cloud(state_dir=tmp_path, build=lambda_only) as cloud:
        second = Client(cloud)
        assert ready(second, "live")["Status"] == "READY"
        value, _ = invoke(second, Qualifier="live")
        assert (value["version"], value["pid"] != pid) == ("1", True)


def test_idle_environments_end(start_cloud: StartCloud) -> None:
    # Ten minutes of the clock are half a second of real time.
    lambdas = start_cloud(build=lambda_only, speed=1200.0)
    make_function(lambdas)
    pid = invoke(lambdas)[0]["pid"]
    until(lambda: not Path(f"/proc/{pid}").exists() or None)


def test_code_of_a_deleted_function_is_removed(lambdas: Client) -> None:
    make_function(lambdas, Publish=True)
    arn = role(lambdas, "r", "lambda.amazonaws.com")
    make_function(lambdas, "g", Role=arn)
    pid = invoke(lambdas)[0]["pid"]
    folder = lambdas.cloud.settings.state_dir / "lambda" / "code"
    client = lambdas.client("lambda")
    client.delete_function(FunctionName="f")
    until(lambda: not Path(f"/proc/{pid}").exists() or None)
    assert len(list(folder.iterdir())) == 2  # g has the same package: the file and its tree
    client.delete_function(FunctionName="g")
    assert list(folder.iterdir()) == []


def test_the_report_line_bills_whole_milliseconds() -> None:
    report = Report(
        request_id="r", duration_ms=1.2, memory_size_mb=128, max_memory_mb=30, init_ms=99.5
    )
    assert report_line(report) == (
        "REPORT RequestId: r\tDuration: 1.20 ms\tBilled Duration: 101 ms\tMemory Size: 128 MB\t"
        "Max Memory Used: 30 MB\tInit Duration: 99.50 ms\t"
    )


def test_a_runtime_that_stands_still_holds_nobody_up() -> None:
    """It asked for an event and reads none of a large one: who waits for its time-out still can."""
    api = RuntimeApi()
    try:
        host, port = api.address.split(":")
        with socket.create_connection((host, int(port))) as runtime:
            runtime.sendall(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n")
            assert api.wait_ready(10) is None
            began = time.monotonic()
            api.offer(
                Invocation(
                    request_id="one",
                    payload=b" " * 6_000_000,
                    deadline_ms=0,
                    function_arn="arn",
                    trace_id="",
                )
            )
            assert api.take_answer(0.1) is None
            assert time.monotonic() - began < 5
    finally:
        api.close()
