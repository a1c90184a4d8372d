"""The packaged artifact, really served: the model server in a process of its own on the target's cores."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Protocol

from experiments.errors import ReleaseError
from experiments.source import ROOT

_START_S = 60.0
_ASK_S = 30.0
_MAX_ANSWER_BYTES = 1 << 20
_XLARGE = re.compile(r"^(?P<many>\d*)xlarge$")
# Set before the server counts its processors, so that it uses as many threads as on the target.
_PINNED = (
    "import os, sys; os.sched_setaffinity(0, map(int, sys.argv[1].split(',')));"
    " os.execv(sys.argv[2], sys.argv[2:])"
)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer of the served artifact. `ms` is the whole question as seen by who asks."""

    status: int
    body: dict[str, Any]
    ms: float


class Asks(Protocol):
    """A served artifact. `cores` is what it was pinned to; 0 where nothing can be pinned."""

    @property
    def cores(self) -> int: ...

    def ask(self, photo: bytes, content_type: str) -> Reply: ...


Trial = Callable[[bytes, int], AbstractContextManager[Asks]]
"""Serve this archive on so many cores. Raises ReleaseError if it does not start."""


def vcpus(instance_type: str) -> int:
    """The virtual processors of an instance type, from its size: large 2, xlarge 4, Nxlarge 4 N.

    True of the general and compute families (m, c, r, g); the burstable ones have 2 below large.
    """
    family, _, size = instance_type.removeprefix("ml.").partition(".")
    found = _XLARGE.match(size)
    if found is not None:
        return 4 * int(found["many"] or 1)
    return 1 if size == "medium" and not family.startswith("t") else 2


@dataclass(frozen=True, kw_only=True)
class _Served:
    port: int
    cores: int

    def ask(self, photo: bytes, content_type: str) -> Reply:
        started = time.perf_counter()
        status, data = _request(self.port, "POST", "/invocations", photo, content_type)
        ms = (time.perf_counter() - started) * 1000
        try:
            body = json.loads(data)
        except ValueError:
            body = {}
        return Reply(status=status, body=body if isinstance(body, dict) else {}, ms=ms)


def _request(
    port: int, method: str, path: str, body: bytes | None = None, kind: str = ""
) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=_ASK_S)
    try:
        connection.request(method, path, body, {"Content-Type": kind} if kind else {})
        answer = connection.getresponse()
        return answer.status, answer.read(_MAX_ANSWER_BYTES)
    except (OSError, HTTPException):
        return 0, b""
    finally:
        connection.close()


@contextlib.contextmanager
def serve(archive: bytes, cores: int) -> Iterator[Asks]:
    """Unpack `archive` and run `python -m serving` over it, pinned to `cores` of this machine.

    Fewer are used where the machine has fewer. Ended with the block. Raises ReleaseError if the
    server is not ready within a minute.
    """
    folder = Path(tempfile.mkdtemp(prefix="pedigree-trial-"))
    try:
        _unpack(archive, folder / "model")
        with _running(folder, cores) as served:
            yield served
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpack(archive: bytes, folder: Path) -> None:
    """What `deployment.artifact.archive` packed: plain files under known names, some in `code/`."""
    import io

    folder.mkdir()
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for entry in tar:
            stream = tar.extractfile(entry) if entry.isfile() else None
            if stream is not None:
                place = folder / "code" if Path(entry.name).parent.name == "code" else folder
                place.mkdir(exist_ok=True)
                (place / Path(entry.name).name).write_bytes(stream.read())


@contextlib.contextmanager
def _running(folder: Path, cores: int) -> Iterator[_Served]:
    port, used = _free_port(), _cores(cores)
    command = [sys.executable, "-m", "serving"]
    if used:
        command = [sys.executable, "-c", _PINNED, ",".join(map(str, used)), *command]
    env = {
        **os.environ,
        "SM_MODEL_DIR": str(folder / "model"),
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "PEDIGREE_BIND": "127.0.0.1",
        "PEDIGREE_END_WITH_INPUT": "1",  # the server ends even if this process is killed
    }
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        _await(server, port, folder / "log")
        yield _Served(port=port, cores=len(used))
    finally:
        _end(server)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _cores(wanted: int) -> list[int]:
    """The processors to use; empty where the system cannot pin (macOS)."""
    there = getattr(os, "sched_getaffinity", lambda _: ())(0)
    return sorted(there)[:wanted]


def _await(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while server.poll() is None and time.monotonic() < deadline:
        if _request(port, "GET", "/ping")[0] == 200:
            return
        time.sleep(0.05)
    last = log.read_bytes()[-400:].decode("utf-8", "replace").strip()
    raise ReleaseError(
        f"the packaged model cannot be served: {last or 'it was not ready in a minute'}",
        fix="train and promote another run; this artifact would fail at the endpoint too",
    )


def _end(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
    if server.stdin is not None:
        server.stdin.close()
