"""AWS on this machine: start, idle use, and the time of small calls.

    python benchmarks/localaws.py

Starts a server of its own in a temporary folder; prints medians over 500 calls.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import boto3

_CALLS = 500
_IDLE_S = 20
_HANDLER = "def handler(event, context):\n    return {'ok': True}\n"


def start(folder: Path) -> tuple[subprocess.Popen[bytes], str, float]:
    """A server on a free port, its address, and the seconds until it answered."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "localaws", "--port", "0", "--state-dir", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    address = folder / "address.json"
    while not address.is_file():
        if server.poll() is not None:
            raise SystemExit("localaws did not start")
        time.sleep(0.01)
    url = str(json.loads(address.read_text(encoding="utf-8"))["url"])
    return server, url, time.perf_counter() - began


def client(url: str, service: str) -> Any:
    """A plain boto3 client."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="benchmark",
        aws_secret_access_key="benchmark",  # noqa: S106
    )


def median_ms(call: Callable[[], object]) -> tuple[float, float]:
    """Median and 99th percentile of a call, in milliseconds, after ten warm-up calls."""
    for _ in range(10):
        call()
    times = []
    for _ in range(_CALLS):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times), statistics.quantiles(times, n=100)[98]


def make_function(url: str) -> Any:
    """A Lambda function that answers at once; the client that knows it."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    role = client(url, "iam").create_role(
        RoleName="benchmark", AssumeRolePolicyDocument=json.dumps(trust)
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("main.py", _HANDLER)
    functions = client(url, "lambda")
    functions.create_function(
        FunctionName="benchmark",
        Runtime="python3.11",
        Role=role["Role"]["Arn"],
        Handler="main.handler",
        Code={"ZipFile": packed.getvalue()},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="benchmark")
    return functions


def cpu_s(pid: int) -> float:
    """Processor seconds a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Resident memory in MB (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def measure(server: subprocess.Popen[bytes], url: str) -> None:
    """Print the table."""
    s3 = client(url, "s3")
    s3.create_bucket(Bucket="benchmark")
    s3.put_object(Bucket="benchmark", Key="small", Body=b"x" * 1000)
    functions = make_function(url)

    def get() -> object:
        return s3.get_object(Bucket="benchmark", Key="small")["Body"].read()

    rows: dict[str, Callable[[], object]] = {
        "S3 GET 1 kB": get,
        "S3 PUT 1 kB": partial(s3.put_object, Bucket="benchmark", Key="new", Body=b"x" * 1000),
        "Lambda GetFunctionConfiguration": partial(
            functions.get_function_configuration, FunctionName="benchmark"
        ),
        "Lambda Invoke, warm": partial(functions.invoke, FunctionName="benchmark"),
    }
    for name, call in rows.items():
        middle, late = median_ms(call)
        print(f"{name:<34} p50 {middle:6.2f} ms   p99 {late:6.2f} ms")
    before = cpu_s(server.pid)
    time.sleep(_IDLE_S)
    share = (cpu_s(server.pid) - before) / _IDLE_S
    print(f"{'idle':<34} {share:.2%} of a core, {resident_mb(server.pid):.0f} MB")


def main() -> None:
    """Start, measure, stop."""
    with tempfile.TemporaryDirectory() as scratch:
        server, url, seconds = start(Path(scratch) / "state")
        try:
            print(f"{'start until it answers':<34} {seconds:.2f} s")
            measure(server, url)
        finally:
            server.terminate()
            server.wait(20)


if __name__ == "__main__":
    main()
