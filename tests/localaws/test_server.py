"""The server as a process: one per folder, one per port, a clean end, and nothing lost by kill -9."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from werkzeug import Request, Response

from localaws.claims import PortTaken, StateTaken
from localaws.server import Cloud, Parts, Service, open_cloud
from localaws.wire.http_server import HttpServer
from localaws.wire.protocol import Caller
from tests.localaws.conftest import Client, StartCloud, fetch, no_services

ROOT = Path(__file__).parents[2]
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})

# The core alone, so that these tests hold whatever the services do.
PROGRAM = """
import sys
from localaws.__main__ import main
sys.exit(main(build=lambda parts: ()))
"""


@contextmanager
def running(state_dir: Path, port: int = 0) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--port", str(port), "--state-dir", str(state_dir)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def ready_url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("localaws is ready on "), line
    return line.split()[-1]


def client(url: str, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="AKIATEST",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )


def test_starts_quickly_says_where_and_ends_cleanly(tmp_path: Path) -> None:
    started = time.monotonic()
    with running(tmp_path) as process:
        url = ready_url(process)
        assert time.monotonic() - started < 10  # 3 s on an idle machine
        address = json.loads((tmp_path / "address.json").read_text())
        assert address["url"] == url
        assert address["pid"] == process.pid
        assert url == f"http://127.0.0.1:{address['port']}"
        assert time.time() - 60 < address["started_at"] <= time.time()
        status, body = fetch(f"{url}/_localaws/health")
        health = json.loads(body)
        assert (status, health["status"]) == (200, "ok")
        assert health["services"]["s3"] == "localaws"
        assert health["services"]["iam"] == "moto"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=10)
        assert (process.returncode, errors) == (0, "")
        assert not (tmp_path / "address.json").exists()


def test_ctrl_c_ends_it_too(tmp_path: Path) -> None:
    with running(tmp_path) as process:
        ready_url(process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
        assert (process.returncode, errors) == (0, "")


def test_a_second_server_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        url = ready_url(first)
        with running(tmp_path) as second:
            _, errors = second.communicate(timeout=20)
            assert second.returncode == 3
            assert f"pid {first.pid}" in errors
            assert "--state-dir" in errors
        assert fetch(f"{url}/_localaws/health")[0] == 200
        assert (tmp_path / "address.json").exists()


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running(tmp_path, port) as process:
            _, errors = process.communicate(timeout=20)
            assert process.returncode == 4
            assert f"port {port} is in use" in errors
            assert "--port" in errors
    assert not (tmp_path / "address.json").exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with running(tmp_path / "file") as process:
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 3
        assert "--state-dir" in errors
        assert "Traceback" not in errors


@pytest.mark.parametrize("arguments", [["--port", "70000"], ["--speed", "0"], ["--port", "x"], []])
def test_wrong_arguments_are_explained(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "localaws", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "usage: python -m localaws" in done.stderr


def test_kill_9_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    answered: dict[str, bytes] = {}
    with running(tmp_path) as process:
        s3 = client(ready_url(process), "s3")
        s3.create_bucket(Bucket="photos")
        client(str(s3.meta.endpoint_url), "iam").create_role(
            RoleName="trainer", AssumeRolePolicyDocument=TRUST
        )

        def write(writer: int) -> None:
            own = client(str(s3.meta.endpoint_url), "s3")
            for number in range(10_000):
                key, body = f"{writer}/{number % 7}", bytes([writer]) * (1000 + number)
                try:
                    own.put_object(Bucket="photos", Key=key, Body=body)
                except (BotoCoreError, ClientError):
                    return
                answered[key] = body

        writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
        for writer in writers:
            writer.start()
        while len(answered) < 15:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        for writer in writers:
            writer.join()
    with running(tmp_path) as process:
        url = ready_url(process)
        s3 = client(url, "s3")
        for key, body in answered.items():
            kept = s3.get_object(Bucket="photos", Key=key)["Body"].read()
            # A later write that was cut off before its answer may have come through, but whole.
            assert kept == body or (set(kept) == set(body) and len(kept) == len(body) + 7)
        listed = {o["Key"]: o["Size"] for o in s3.list_objects_v2(Bucket="photos")["Contents"]}
        assert listed.keys() >= answered.keys()
        assert list((tmp_path / "s3" / "incoming").iterdir()) == []
        assert client(url, "iam").get_role(RoleName="trainer")["Role"]["RoleName"] == "trainer"


def test_the_lock_and_the_port_are_free_again(tmp_path: Path) -> None:
    with open_cloud(state_dir=tmp_path / "a", build=no_services) as cloud:
        port = cloud.settings.port
        with (
            pytest.raises(StateTaken),
            open_cloud(state_dir=tmp_path / "a", build=no_services),
        ):
            pass
        with (
            pytest.raises(PortTaken),
            open_cloud(state_dir=tmp_path / "b", port=port, build=no_services),
        ):
            pass
    with open_cloud(state_dir=tmp_path / "a", port=port, build=no_services) as again:
        assert again.url == cloud.url


class Recorder:
    """A service that notes what is done with it."""

    intercepts = ("ec2",)

    def __init__(self, fails: bool = False) -> None:
        self.notes: list[str] = []
        self.services: dict[str, Any] = {}
        self._fails = fails

    def start(self) -> None:
        self.notes.append("start")

    def close(self) -> None:
        self.notes.append("close")
        if self._fails:
            raise RuntimeError("cannot end")

    def intercept(
        self, request: Request, caller: Caller, forward: Callable[[Request], Response]
    ) -> Response:
        self.notes.append(f"intercept {caller.region}")
        return forward(request)


class Broken(Recorder):
    """An interceptor with a bug."""

    def intercept(
        self, request: Request, caller: Caller, forward: Callable[[Request], Response]
    ) -> Response:
        raise ValueError("a bug")


def test_a_fault_in_a_service_is_told_once(
    start_cloud: StartCloud, caplog: pytest.LogCaptureFixture
) -> None:
    def build(parts: Parts) -> Sequence[Service]:
        return [Broken()]

    with pytest.raises(ClientError, match=r"InternalFailure.*ValueError: a bug") as caught:
        start_cloud(build=build).client("ec2").describe_regions()
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 0
    assert "a bug" in caplog.text


def test_services_are_started_asked_first_and_closed_whatever_happens(
    start_cloud: StartCloud, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    services = [Recorder(), Recorder(fails=True), Recorder()]

    def build(parts: Parts) -> Sequence[Service]:
        return services

    with open_cloud(state_dir=tmp_path / "s", build=build) as cloud:
        client(cloud.url, "ec2").describe_regions()
    assert [s.notes for s in services] == [
        ["start", "close"],
        ["start", "close"],
        ["start", "intercept us-east-1", "close"],
    ]
    assert "Recorder did not close" in caplog.text


def test_a_service_that_cannot_be_built_leaves_nothing_open(tmp_path: Path) -> None:
    def build(parts: Parts) -> Sequence[Service]:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"), open_cloud(state_dir=tmp_path, build=build):
        pass
    with open_cloud(state_dir=tmp_path, build=no_services) as cloud:
        assert isinstance(cloud, Cloud)


def test_requests_are_logged_without_secrets_or_bytes(core: Client) -> None:
    core.client("s3").create_bucket(Bucket="photos")
    core.client("ssm").put_parameter(Name="k", Value="hidden", Type="SecureString")
    with pytest.raises(ClientError):
        core.client("sagemaker").list_models()
    log = json.loads(fetch(f"{core.url}/_localaws/requests")[1])
    made, stored, failed = log
    assert (made["service"], made["operation"], made["status"]) == ("s3", "CreateBucket", 200)
    assert stored["params"] == {"Name": "k", "Value": "***", "Type": "SecureString"}
    assert (failed["operation"], failed["status"]) == ("ListModels", 501)
    assert failed["error"] == "NotImplemented"
    assert all(entry["duration_ms"] > 0 and entry["t"] > 1.7e9 for entry in log)


def test_pages_and_unknown_pages(core: Client) -> None:
    assert fetch(f"{core.url}/_localaws/nothing")[0] == 404
    assert fetch(f"{core.url}/")[0] == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1234"}, 200),
        ({"Host": "[::1]:80"}, 200),
        ({"Host": "10.200.0.1:4599"}, 200),
        ({"Origin": "http://127.0.0.1:8501"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "8.8.8.8"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_web_pages_elsewhere_cannot_reach_it(
    core: Client, headers: dict[str, str], status: int
) -> None:
    assert fetch(f"{core.url}/_localaws/health", **headers)[0] == status


def test_bodies_beyond_the_limit_are_refused_before_they_are_sent(core: Client) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", core.cloud.settings.port, timeout=10)
    for service, size, code in (("iam", 100 * 2**20 + 1, 413), ("s3", 6 * 2**30 + 1, 413)):
        connection.putrequest("PUT", "/bucket/key")
        scope = f"AKIA/20260101/us-east-1/{service}/aws4_request"
        connection.putheader("Authorization", f"AWS4-HMAC-SHA256 Credential={scope}, X=y")
        connection.putheader("Content-Length", str(size))
        connection.putheader("Expect", "100-continue")
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == code
        assert response.headers["Connection"] == "close"
        response.read()
        connection.close()


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = b"" if environ["PATH_INFO"] == "/ignore" else environ["wsgi.input"].read()
    text = f"{environ['REQUEST_METHOD']} {environ['REQUEST_URI']} {len(body)}".encode()
    headers = [] if environ["PATH_INFO"] == "/stream" else [("Content-Length", str(len(text)))]
    start_response("200 OK", headers)
    return [text[:4], text[4:]]


@pytest.fixture
def echo_port() -> Iterator[int]:
    server = HttpServer(0, echo)
    server.start()
    yield server.port
    server.close()


def exchange(port: int, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_one_connection_serves_many_requests(echo_port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", echo_port, timeout=5)
    sockets = set()
    for path, body in (("/a%2Fb?x=1", b""), ("/ignore", b"z" * 100_000), ("/stream", b"abc")):
        connection.request("POST", path, body=body)
        response = connection.getresponse()
        length = 0 if path == "/ignore" else len(body)
        assert response.read() == f"POST {path} {length}".encode()
        sockets.add(id(connection.sock))
    connection.request("HEAD", "/")
    assert connection.getresponse().read() == b""
    assert len(sockets) == 1
    connection.close()


def test_pipelined_requests_are_answered_in_order(echo_port: int) -> None:
    answer = exchange(
        echo_port,
        b"POST /1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
        b"POST /2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
        b"GET /3 HTTP/1.1\r\n\r\n",
    )
    assert answer.index(b"POST /1 3") < answer.index(b"POST /2 2") < answer.index(b"GET /3 0")


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(200)) + b"\r\n",
    ],
)
def test_ambiguous_requests_end_the_connection(echo_port: int, head: bytes) -> None:
    answer = exchange(echo_port, head + b"GET /smuggled HTTP/1.1\r\n\r\n")
    assert b"smuggled" not in answer
    assert b"HTTP/1.1 4" in answer or b"Error code: 4" in answer


def test_a_body_is_asked_for_only_when_it_is_read(echo_port: int) -> None:
    head = b"PUT %b HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", echo_port), timeout=5) as connection:
        connection.sendall(head % b"/read")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"12345")
        assert b"PUT /read 5" in connection.recv(65536)
        connection.sendall(head % b"/ignore")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"Connection: close" in answer


def test_closing_cuts_open_connections(echo_port: int) -> None:
    server = HttpServer(0, echo)
    server.start()
    with ExitStack() as stack:
        address = ("127.0.0.1", server.port)
        connection = stack.enter_context(socket.create_connection(address, timeout=5))
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert connection.recv(65536)
        server.close()
        assert connection.recv(100) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=5)
