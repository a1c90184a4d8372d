"""AWS on this machine beside plain moto: start, memory, idle use, small calls and many at once.

    python benchmarks/localaws.py

Starts both servers in a temporary folder. Rounds alternate between them; figures are medians of the
rounds. localaws keeps what it is given on disk (fsynced) and executes; moto keeps it in memory.
"""

from __future__ import annotations

import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

_ROUNDS, _CALLS = 5, 100
_STARTS = 3
_IDLE_S = 20
_AT_ONCE, _MANY = 8, 400
_HANDLER = "def handler(event, context):\n    return {'ok': True}\n"
_ROLE = "arn:aws:iam::123456789012:role/benchmark"


@dataclass(frozen=True, kw_only=True)
class Running:
    """A started server."""

    name: str
    process: subprocess.Popen[bytes]
    url: str
    start_s: float


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def start(name: str, folder: Path) -> Running:
    """`localaws` or `moto` on a free port, when it answers a signed call."""
    port = str(free_port())
    commands = {
        "localaws": ["-m", "localaws", "--port", port, "--state-dir", str(folder)],
        "moto": ["-m", "moto.server", "-H", "127.0.0.1", "-p", port],
    }
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *commands[name]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    while not _answers(url):
        if process.poll() is not None:
            raise SystemExit(f"{name} did not start")
        time.sleep(0.01)
    return Running(name=name, process=process, url=url, start_s=time.perf_counter() - began)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()  # noqa: S310
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True


def stop(server: Running) -> None:
    """End it."""
    server.process.terminate()
    server.process.wait(20)


def client(url: str, service: str) -> Any:
    """A plain boto3 client."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="benchmark",
        aws_secret_access_key="benchmark",  # noqa: S106
        config=Config(max_pool_connections=_AT_ONCE),
    )


def furnish(url: str) -> None:
    """A role, a bucket, an object, a model and a function."""
    services = ("lambda.amazonaws.com", "sagemaker.amazonaws.com")
    statement = {"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client(url, "iam").create_role(RoleName="benchmark", AssumeRolePolicyDocument=trust)
    s3 = client(url, "s3")
    s3.create_bucket(Bucket="benchmark")
    s3.put_object(Bucket="benchmark", Key="small", Body=b"x" * 1000)
    client(url, "sagemaker").create_model(
        ModelName="benchmark",
        PrimaryContainer={"Image": "image", "ModelDataUrl": "s3://benchmark/small"},
        ExecutionRoleArn=_ROLE,
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("main.py", _HANDLER)
    functions = client(url, "lambda")
    functions.create_function(
        FunctionName="benchmark",
        Runtime="python3.11",
        Role=_ROLE,
        Handler="main.handler",
        Code={"ZipFile": packed.getvalue()},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="benchmark")


def calls(server: Running) -> dict[str, Callable[[], object]]:
    """The calls that are timed, by name; moto cannot execute a function."""
    s3, functions = client(server.url, "s3"), client(server.url, "lambda")
    metrics = [{"MetricName": "m", "Value": 1.0}]

    def get() -> object:
        return s3.get_object(Bucket="benchmark", Key="small")["Body"].read()

    found: dict[str, Callable[[], object]] = {
        "S3 GET 1 kB": get,
        "S3 PUT 1 kB": partial(s3.put_object, Bucket="benchmark", Key="new", Body=b"x" * 1000),
        "IAM GetRole": partial(client(server.url, "iam").get_role, RoleName="benchmark"),
        "SageMaker DescribeModel": partial(
            client(server.url, "sagemaker").describe_model, ModelName="benchmark"
        ),
        "CloudWatch PutMetricData": partial(
            client(server.url, "cloudwatch").put_metric_data, Namespace="N", MetricData=metrics
        ),
        "Lambda GetFunctionConfiguration": partial(
            functions.get_function_configuration, FunctionName="benchmark"
        ),
    }
    if server.name == "localaws":
        found["Lambda Invoke, warm"] = partial(functions.invoke, FunctionName="benchmark")
    return found


def times_ms(call: Callable[[], object]) -> list[float]:
    """Of `_CALLS` calls after five to warm up."""
    for _ in range(5):
        call()
    found = []
    for _ in range(_CALLS):
        began = time.perf_counter()
        call()
        found.append((time.perf_counter() - began) * 1000)
    return found


def many_per_s(call: Callable[[], object]) -> float:
    """Calls per second from `_AT_ONCE` threads."""

    def ask() -> None:
        for _ in range(_MANY // _AT_ONCE):
            call()

    threads = [threading.Thread(target=ask) for _ in range(_AT_ONCE)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _MANY / (time.perf_counter() - began)


def cpu_s(pid: int) -> float:
    """Processor seconds a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Resident memory in MB (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def start_times(folder: Path) -> None:
    """Print how long each takes from its command to its first answer, taking turns."""
    found: dict[str, list[float]] = {"localaws": [], "moto": []}
    for number in range(_STARTS):
        for name, seconds in found.items():
            server = start(name, folder / f"{name}-{number}")
            seconds.append(server.start_s)
            stop(server)
    for name, seconds in found.items():
        print(f"start, {name:<28} {statistics.median(seconds):6.2f} s")


def small_calls(servers: list[Running]) -> None:
    """Print medians of rounds that alternate between the servers."""
    timed: dict[str, dict[str, list[list[float]]]] = {}
    asked = {server.name: calls(server) for server in servers}
    for _ in range(_ROUNDS):
        for name, known in asked.items():
            for call, act in known.items():
                timed.setdefault(call, {}).setdefault(name, []).append(times_ms(act))
    for call, by_server in timed.items():
        for name, rounds in by_server.items():
            middle = statistics.median(statistics.median(one) for one in rounds)
            late = statistics.median(statistics.quantiles(one, n=100)[98] for one in rounds)
            print(f"{call:<34} {name:<9} p50 {middle:6.2f} ms   p99 {late:6.2f} ms")
    for call in ("S3 GET 1 kB", "SageMaker DescribeModel", "IAM GetRole"):
        for name, known in asked.items():
            rate = statistics.median(many_per_s(known[call]) for _ in range(3))
            print(f"{call}, {_AT_ONCE} at once{'':<6} {name:<9} {rate:6.0f} /s")


def invoke_overhead(url: str) -> None:
    """Print what localaws itself takes for a warm Invoke of a handler that does nothing."""
    with urllib.request.urlopen(f"{url}/_localaws/requests") as answer:  # noqa: S310
        asked = json.load(answer)
    took = [one["duration_ms"] for one in asked if one["operation"] == "Invoke"][5:]
    late = statistics.quantiles(took, n=100)[98]
    print(
        f"Lambda Invoke, within localaws      p50 {statistics.median(took):6.2f} ms   p99 {late:6.2f} ms"
    )


def idle_use(servers: list[Running]) -> None:
    """Print the processor share and the memory of servers that nobody asks."""
    before = {server.name: cpu_s(server.process.pid) for server in servers}
    time.sleep(_IDLE_S)
    for server in servers:
        share = (cpu_s(server.process.pid) - before[server.name]) / _IDLE_S
        memory = resident_mb(server.process.pid)
        print(f"idle, {server.name:<28} {share:.2%} of a core, {memory:.0f} MB")


def main() -> None:
    """Start, measure, stop."""
    with tempfile.TemporaryDirectory() as scratch:
        start_times(Path(scratch))
        servers = [start(name, Path(scratch) / name) for name in ("localaws", "moto")]
        try:
            for server in servers:
                furnish(server.url)
            small_calls(servers)
            invoke_overhead(servers[0].url)
            idle_use(servers)
        finally:
            for server in servers:
                stop(server)


if __name__ == "__main__":
    main()
