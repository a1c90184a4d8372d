"""A job's own network: jobs do not meet, localaws is reached, the world only by the proxy."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from localaws.hosts.egress import serve_proxy
from localaws.hosts.network import NetworkRefused, make_network, proxy_env
from tests.localaws.conftest import Client, StartCloud
from tests.localaws.job_world import archive, finished, request
from tests.localaws.sagemaker_world import prepare, sagemaker_services


@pytest.fixture
def cloud(start_cloud: StartCloud) -> Client:
    try:
        make_network().close()
    except NetworkRefused as refusal:
        pytest.skip(f"this machine makes no network namespaces: {refusal}")
    found = start_cloud(build=sagemaker_services)
    prepare(found)
    return found


@pytest.fixture
def site() -> Iterator[str]:
    """A web server of this machine, outside every job's network."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"{self.path} of {self.headers['host']}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.2", 0), Page)  # no_proxy names 127.0.0.1
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.2:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


HOLD_7777 = """
    import json, pathlib, socket, time
    with socket.create_server(("0.0.0.0", 7777)):
        pathlib.Path("/opt/ml/model/held").write_text("7777")
        time.sleep(3)
"""


def test_two_jobs_hold_the_same_port_at_once(cloud: Client) -> None:
    client = cloud.client("sagemaker")
    for name in ("one", "two"):
        client.create_training_job(**request(cloud, name, HOLD_7777, program="python"))
    for name in ("one", "two"):
        job = finished(cloud, name)
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")


LOOK = """
    import os, pathlib, socket, urllib.request
    model = pathlib.Path("/opt/ml/model")
    def get(url):
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.read().decode()
        except OSError as error:
            return "no: " + type(error).__name__
    (model / "cloud").write_text(get(os.environ["AWS_ENDPOINT_URL"] + "/_localaws/health"))
    (model / "site").write_text(get("http://" + os.environ["SITE"] + "/a?b=1"))
    try:
        socket.create_connection(os.environ["SITE"].split(":"), 2).close()
        (model / "direct").write_text("yes")
    except OSError:
        (model / "direct").write_text("no")
"""


@pytest.mark.parametrize("isolated", [False, True])
def test_localaws_is_reached_and_the_world_only_by_the_proxy(
    cloud: Client, site: str, isolated: bool
) -> None:
    wanted = request(cloud, "looking", LOOK, program="python")
    wanted |= {"Environment": {"SITE": site}}
    wanted |= {"EnableNetworkIsolation": isolated}
    cloud.client("sagemaker").create_training_job(**wanted)
    job = finished(cloud, "looking")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    model = archive(cloud, job["ModelArtifacts"]["S3ModelArtifacts"])
    assert json.loads(model["cloud"])["status"] == "ok"
    assert model["direct"] == b"no"
    assert model["site"].startswith(b"no" if isolated else f"/a?b=1 of {site}".encode())


def test_the_proxy_carries_what_connect_asks_and_refuses_what_it_cannot(site: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serve_proxy(listener)
        with closing(socket.create_connection(listener.getsockname())) as link:
            link.sendall(f"CONNECT {site} HTTP/1.1\r\n\r\n".encode())
            assert link.recv(1000).startswith(b"HTTP/1.1 200")
            link.sendall(b"GET /x HTTP/1.0\r\nHost: h\r\n\r\n")
            assert b"/x of h" in whole(link)
        for wrong in (b"GET / HTTP/1.1\r\n\r\n", b"what\r\n\r\n", b"CONNECT x HTTP/1.1\r\n\r\n"):
            with closing(socket.create_connection(listener.getsockname())) as link:
                link.sendall(wrong)
                assert whole(link).startswith(b"HTTP/1.1 400")
        with closing(socket.create_connection(listener.getsockname())) as link:
            link.sendall(b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n")
            assert whole(link).startswith(b"HTTP/1.1 502")
        with closing(socket.create_connection(listener.getsockname())) as link:
            link.sendall(b"x" * 20_000)
            assert whole(link).startswith(b"HTTP/1.1 400")
        listener.shutdown(socket.SHUT_RDWR)


def whole(link: socket.socket) -> bytes:
    data = b""
    link.settimeout(10)
    try:
        while piece := link.recv(65_536):
            data += piece
    except ConnectionResetError:  # it closed with bytes unread
        pass
    return data


def test_the_variables_leave_localaws_and_the_hosts_out() -> None:
    env = proxy_env(["algo-1", "algo-2"])
    assert env["HTTPS_PROXY"] == env["https_proxy"] == "http://127.0.0.1:3128"
    assert env["NO_PROXY"] == "127.0.0.1,localhost,algo-1,algo-2"
