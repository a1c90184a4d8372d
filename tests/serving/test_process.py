"""The server as a real process: start, answer, refuse to start, and drain."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.load import Plan, Report
from benchmarks.load import start as start_load
from tests.serving.builders import COLOURS, drawn, encoded, free_port, shared_data, write_archive
from tests.serving.processes import ROOT, Running, serving, start, stopped

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with serving(write_archive(tmp_path / "model")) as running:
        yield running


def test_answers_photos_until_it_is_stopped(server: Running) -> None:
    for name, colour in COLOURS.items():
        status, answer = server.post(encoded(drawn(colour, seed=3)))
        assert status == 200
        assert answer["predictions"][0]["label"] == name
    with urllib.request.urlopen(server.url.replace("invocations", "metrics")) as found:
        text = found.read().decode()
    assert f"pedigree_batch_photos_count {len(COLOURS)}.0" in text
    assert "process_resident_memory_bytes" in text


def test_a_body_far_over_the_limit_still_gets_its_answer(server: Running) -> None:
    status, answer = server.post(b"x" * 9_000_000)
    assert (status, answer["error"]["code"]) == (413, "too_many_bytes")


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


def drained_under_load(model: Path, photo: Path, *, after_s: float) -> Report:
    """What an open loop of 60 requests a second saw of a server that is stopped meanwhile."""
    with serving(model) as running:
        plan = Plan(url=running.url, photo=str(photo), rate=60, seconds=after_s + 1.0)
        with start_load(plan) as load:
            time.sleep(after_s + 0.5)
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(30) == 0
            out, _ = load.communicate(timeout=60)
    return Report(**json.loads(out))


def test_a_drain_under_load_loses_nothing(tmp_path: Path) -> None:
    model, photo = write_archive(tmp_path / "model"), tmp_path / "photo.jpg"
    photo.write_bytes(encoded(drawn(size=(400, 300))))
    for _ in range(2):
        report = drained_under_load(model, photo, after_s=0.6)
        assert report.lost == 0 and report.other == {}
        assert report.ok > 5 and report.unreachable > 5  # before the stop, and after it


@pytest.mark.soak
def test_a_hundred_drains_under_load_lose_nothing(tmp_path: Path) -> None:
    model, photo = write_archive(tmp_path / "model"), tmp_path / "photo.jpg"
    photo.write_bytes(encoded(drawn(size=(400, 300))))
    reports = [drained_under_load(model, photo, after_s=0.5 + at % 10 / 20) for at in range(100)]
    assert sum(report.lost for report in reports) == 0
    print("answered", sum(report.ok for report in reports))


def test_the_shared_awkward_files_cost_little_memory_and_time(tmp_path: Path) -> None:
    folder = shared_data() / "awkward"
    entries = json.loads((folder / "manifest.json").read_text())["files"]
    with serving(write_archive(tmp_path / "model")) as server:
        for _ in range(5):
            server.post(encoded(drawn()))
        before, wrong = server.memory_bytes("VmHWM"), []
        for entry in entries:
            started = time.monotonic()
            status, _ = server.post((folder / entry["file"]).read_bytes())
            verdict = "accept" if status == 200 else "reject"
            if (
                status >= 500
                or entry["expect"] not in (verdict, "either")
                or time.monotonic() - started > 1
            ):
                wrong.append((entry["file"], status))
        assert wrong == [] and len(entries) == 45
        assert server.memory_bytes("VmHWM") - before < 50_000_000


def test_a_model_that_others_packed_is_served(tmp_path: Path) -> None:
    """An archive as SageMaker's PyTorch scripts bring it: weights and code, nothing of ours."""
    (tmp_path / "code").mkdir()
    (tmp_path / "weights.json").write_text("[1, 2]")
    (tmp_path / "code/inference.py").write_text(
        textwrap.dedent("""
            import json, pathlib

            def model_fn(model_dir):
                return json.loads(pathlib.Path(model_dir, "weights.json").read_text())

            def predict_fn(data, model):
                return [a * b for a, b in zip(data.tolist(), model)]
        """)
    )
    with serving(tmp_path) as server:
        assert server.started["script"] == "inference.py"
        assert server.post(b"[3, 4]", "application/json") == (200, [3, 8])
        status, body = server.post(b"[null]", "application/json")
        assert (status, body["error"]["code"]) == (500, "model_code")


def test_a_script_that_never_ends_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/inference.py").write_text(
        "import time\ndef model_fn(folder): return None\n"
        "def predict_fn(data, model): time.sleep(600)\n"
    )
    port = free_port()
    server = start(tmp_path, port, {"PEDIGREE_DRAIN_S": "1"})
    assert server.stdout is not None
    server.stdout.readline()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
        head = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        link.sendall(head + b"content-length: 3\r\n\r\n[1]")
        time.sleep(0.2)
        started = time.monotonic()
        code, _, err = stopped(server)
    assert (code, err) == (0, "") and time.monotonic() - started < 8


def test_a_script_that_cannot_start_ends_with_its_trace(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/inference.py").write_text("import no_such_package_anywhere\n")
    server = start(tmp_path, free_port())
    _, err = server.communicate(timeout=30)
    assert server.returncode == 1 and "no_such_package_anywhere" in err
