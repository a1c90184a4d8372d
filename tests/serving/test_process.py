"""The server as a real process: start, answer, refuse to start, and drain."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.builders import COLOURS, drawn, encoded, free_port, write_archive

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def start(model: Path, port: int) -> subprocess.Popen[str]:
    env = {
        **os.environ,
        "SM_MODEL_DIR": str(model),
        "PEDIGREE_BIND": "127.0.0.1",
        "SAGEMAKER_BIND_TO_PORT": str(port),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "serving"],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def stopped(server: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, output and errors of a server that is told to stop, if it has not already."""
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
    try:
        out, err = server.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        raise
    return server.returncode, out, err


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a running server; it must leave with 0 and a clean error stream."""
    number = free_port()
    server = start(write_archive(tmp_path / "model"), number)
    try:
        assert server.stdout is not None
        assert json.loads(server.stdout.readline())["port"] == number
        yield number
    finally:
        code, _, err = stopped(server)
    assert (code, err) == (0, "")


def post(port: int, body: bytes, kind: str = "image/jpeg") -> tuple[int, dict[str, object]]:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        link.request("POST", "/invocations", body, {"content-type": kind})
        answer = link.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        link.close()


def test_answers_photos_until_it_is_stopped(port: int) -> None:
    for name, colour in COLOURS.items():
        status, answer = post(port, encoded(drawn(colour, seed=3)))
        assert status == 200
        assert answer["predictions"][0]["label"] == name  # type: ignore[index]


def test_a_body_far_over_the_limit_still_gets_its_answer(port: int) -> None:
    status, answer = post(port, b"x" * 9_000_000)
    assert (status, answer["error"]["code"]) == (413, "too_many_bytes")  # type: ignore[index]


def test_a_request_begun_before_sigterm_is_answered(tmp_path: Path) -> None:
    number = free_port()
    server = start(write_archive(tmp_path / "model"), number)
    assert server.stdout is not None
    server.stdout.readline()
    photo = encoded(drawn())
    with socket.create_connection(("127.0.0.1", number), timeout=20) as link:
        lines = ["POST /invocations HTTP/1.1", "host: x", "content-type: image/jpeg"]
        head = "\r\n".join([*lines, f"content-length: {len(photo)}", "", ""])
        link.sendall(head.encode() + photo[:100])
        with socket.create_connection(("127.0.0.1", number), timeout=20) as other:
            other.sendall(b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n")
            assert other.recv(100).startswith(b"HTTP/1.1 200")
        server.send_signal(signal.SIGTERM)
        rest = threading.Timer(0.3, link.sendall, [photo[100:]])
        rest.start()
        answer = link.recv(100)
        rest.join()
    code, _, err = stopped(server)
    assert answer.startswith(b"HTTP/1.1 200")
    assert (code, err) == (0, "")


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        taken = int(door.getsockname()[1])
        server = start(write_archive(tmp_path / "model"), taken)
        _, err = server.communicate(timeout=30)
    assert server.returncode == 2
    assert f"127.0.0.1:{taken}" in err and "SAGEMAKER_BIND_TO_PORT" in err
    assert "Traceback" not in err


def test_a_damaged_model_is_not_served(tmp_path: Path) -> None:
    model = write_archive(tmp_path / "model")
    (model / "model.bin").write_bytes(b"")
    server = start(model, free_port())
    _, err = server.communicate(timeout=30)
    assert server.returncode == 1
    assert "model.bin hashes to" in err and "Traceback" not in err


def test_a_port_that_is_no_number_is_named(tmp_path: Path) -> None:
    env = {**os.environ, "SAGEMAKER_BIND_TO_PORT": "http"}
    done = subprocess.run(
        [sys.executable, "-m", "serving"],
        cwd=ROOT,
        env=env,
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert "SAGEMAKER_BIND_TO_PORT is 'http'" in done.stderr


def test_stop_is_quick_when_nothing_is_begun(tmp_path: Path) -> None:
    server = start(write_archive(tmp_path / "model"), free_port())
    assert server.stdout is not None
    server.stdout.readline()
    started = time.monotonic()
    assert stopped(server)[0] == 0
    assert time.monotonic() - started < 5
