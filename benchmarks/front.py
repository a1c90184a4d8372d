"""The function's cold start, warm overhead and memory, beside a plain boto3 handler.

Both run under AWS's own runtime client (awslambdaric) against a Runtime API of this script, and ask an
endpoint of this script that answers at once; its own time is taken off. They take turns with a handler
that does nothing, which shows what the runtime client and this script cost by themselves.

    python benchmarks/front.py [--cold 15] [--warm 500]
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).resolve().parents[1]
PHOTO_BYTES = 60_000
NAIVE = """
import base64, json, os
import boto3

client = boto3.client("sagemaker-runtime")


def handler(event, context):
    answer = client.invoke_endpoint(
        EndpointName=os.environ["ENDPOINT_NAME"],
        ContentType="image/jpeg",
        Body=base64.b64decode(event["body"]),
    )
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json"},
        "body": answer["Body"].read().decode(),
    }
"""
NOTHING = """
def handler(event, context):
    return {"statusCode": 200, "body": "{}"}
"""
EVENT = json.dumps(
    {
        "body": base64.b64encode(os.urandom(PHOTO_BYTES)).decode(),
        "isBase64Encoded": True,
        "headers": {"content-type": "image/jpeg"},
    }
).encode()
ANSWER = json.dumps(
    {"predictions": [{"label": f"breed {n}", "probability": 0.2} for n in range(5)]}
).encode()


@dataclass(kw_only=True)
class Room:
    """The Runtime API and the endpoint, and when each thing happened, in seconds."""

    events: Queue[bytes | None] = field(default_factory=Queue)
    answered: Queue[float] = field(default_factory=Queue)
    given_at: float = 0.0
    endpoint_s: float = 0.0


def _answers(room: Room) -> type[BaseHTTPRequestHandler]:
    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one write for each answer

        def do_GET(self) -> None:
            event = room.events.get()
            if event is None:
                self.close_connection = True
                return
            headers = {
                "Content-Type": "application/json",
                "Lambda-Runtime-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793",
                "Lambda-Runtime-Aws-Request-Id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
                "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + 30_000),
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:1:function:f",
            }
            room.given_at = time.perf_counter()
            self._answer(200, event, headers)

        def do_POST(self) -> None:
            began = time.perf_counter()
            self.rfile.read(int(self.headers["content-length"]))
            if self.path.startswith("/endpoints/"):
                self._answer(200, ANSWER, {"Content-Type": "application/json"})
                room.endpoint_s = time.perf_counter() - began
                return
            if not self.path.endswith("/response"):
                raise SystemExit(f"the handler failed: {self.path}")
            room.answered.put(began)
            self._answer(202, b"{}", {})

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    return Answers


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A function that was just ended leaves its connections; anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def _listening(room: Room) -> Iterator[str]:
    server = _Server(("127.0.0.1", 0), _answers(room))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One function process: milliseconds and mebibytes."""

    cold_ms: float
    warm_ms: list[float]
    peak_mb: float


def measure(folder: Path, *, warm: int) -> Figures:
    """Start the handler in `folder`, ask it once cold and `warm` times warm."""
    room = Room()
    with _listening(room) as address:
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(folder),
            "AWS_LAMBDA_RUNTIME_API": address,
            "AWS_ENDPOINT_URL": f"http://{address}",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIABENCH",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "ENDPOINT_NAME": "dogs-prod",
            "LAMBDA_TASK_ROOT": str(folder),
        }
        room.events.put(EVENT)
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", "handler.handler"],
            cwd=folder,
            env=env,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            cold_s = room.answered.get(timeout=30) - began - room.endpoint_s
            warm_ms = []
            for _ in range(warm):
                room.events.put(EVENT)
                end = room.answered.get(timeout=30)
                warm_ms.append((end - room.given_at - room.endpoint_s) * 1000)
            peak_mb = _peak_mb(process.pid)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            room.events.put(None)
    return Figures(cold_ms=cold_s * 1000, warm_ms=warm_ms, peak_mb=peak_mb)


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    line = next(line for line in lines if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cold", type=int, default=15, help="starts of each")
    parser.add_argument("--warm", type=int, default=500, help="warm calls of each, over all starts")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder_name:
        folders = {"pedigree": ROOT / "lambda"}
        for name, text in {"plain boto3": NAIVE, "nothing": NOTHING}.items():
            folders[name] = Path(folder_name) / name
            folders[name].mkdir()
            (folders[name] / "handler.py").write_text(text, encoding="utf-8")
        runs: dict[str, list[Figures]] = {name: [] for name in folders}
        for _ in range(asked.cold):
            for name, folder in folders.items():
                runs[name].append(measure(folder, warm=max(1, asked.warm // asked.cold)))
    for name, found in runs.items():
        warm = sorted(ms for run in found for ms in run.warm_ms)
        print(
            f"{name:12} cold p50 {statistics.median(r.cold_ms for r in found):6.1f} ms"
            f"   warm p50 {statistics.median(warm):5.2f} ms, p99 {warm[int(len(warm) * 0.99) - 1]:5.2f} ms"
            f"   peak {max(r.peak_mb for r in found):4.0f} MB"
        )
    cold = {k: statistics.median(r.cold_ms for r in found) for k, found in runs.items()}
    print(f"cold start: {cold['pedigree'] / cold['plain boto3']:.2f} of the plain handler's")


if __name__ == "__main__":
    main()
