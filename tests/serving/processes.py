"""Model servers as real processes, for the tests that need one."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.serving.builders import free_port

ROOT = Path(__file__).resolve().parents[2]


def start(model: Path, port: int, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """`python -m serving` for the model in a folder; the caller stops it."""
    given = {
        **os.environ,
        "SM_MODEL_DIR": str(model),
        "PEDIGREE_BIND": "127.0.0.1",
        "SAGEMAKER_BIND_TO_PORT": str(port),
        **(env or {}),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "serving"],
        cwd=ROOT,
        env=given,
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
        out, err = server.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        raise
    return server.returncode, out, err


@dataclass(frozen=True, kw_only=True)
class Running:
    """A server that answers."""

    process: subprocess.Popen[str]
    port: int
    started: Mapping[str, Any]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/invocations"

    def memory_bytes(self, name: str = "VmRSS") -> int:
        """What it holds now; VmHWM: at most until now."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(name)

    def post(self, body: bytes, kind: str = "image/jpeg") -> tuple[int, Any]:
        """Status and JSON of one POST /invocations."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            link.request("POST", "/invocations", body, {"content-type": kind})
            answer = link.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            link.close()


@contextlib.contextmanager
def serving(model: Path, env: Mapping[str, str] | None = None) -> Iterator[Running]:
    """A running server, its log read and dropped; it must leave with 0 and a clean error stream."""
    port = free_port()
    server = start(model, port, env)
    assert server.stdout is not None and server.stderr is not None
    with server.stdout as out, server.stderr as errors:
        first = out.readline()
        reader = threading.Thread(target=lambda: [None for _ in out])
        reader.start()
        try:
            assert first, errors.read()
            yield Running(process=server, port=port, started=json.loads(first))
        finally:
            if server.poll() is None:
                server.send_signal(signal.SIGTERM)
            try:
                server.wait(60)
            finally:
                if server.poll() is None:
                    os.killpg(server.pid, signal.SIGKILL)
                reader.join()
        assert (server.returncode, errors.read()) == (0, "")
