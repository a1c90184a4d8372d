"""The servers of `make bench-serving`: how each is started and asked, in its own environment."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "benchmarks" / "peers"
START_S = 180.0


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all servers share. `envs` holds the environments `torchserve` and `others`."""

    envs: Path
    work: Path
    archive: Path
    weights: Path
    classes: int
    photo: Path
    core: int

    def python(self, env: str) -> str:
        """The interpreter of an environment, with its programs beside it."""
        return str(self.envs / env / "bin" / "python")


@dataclass(frozen=True, kw_only=True)
class Started:
    """A server's process, the URL it answers at, and the request it takes."""

    url: str
    body: Path
    content_type: str


class NotStarted(Exception):
    """A server that never gave a good answer, with the end of its log."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One server. `command` gives its arguments and environment for a port; `path` is asked."""

    name: str
    command: Callable[[Bench, int], tuple[list[str], dict[str, str]]]
    path: str
    body: Callable[[bytes], tuple[bytes, str]]
    torch_fp32: bool = True


@contextmanager
def serving(bench: Bench, contender: Contender) -> Iterator[Started]:
    """The server on a free port and one core, from its first good answer until the block ends.

    Raises NotStarted.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    command, env = contender.command(bench, port)
    photo, content_type = contender.body(bench.photo.read_bytes())
    body = bench.work / f"{contender.name}.body"
    body.write_bytes(photo)
    started = Started(
        url=f"http://127.0.0.1:{port}{contender.path}", body=body, content_type=content_type
    )
    log = bench.work / f"{contender.name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["taskset", "-c", str(bench.core), *command],
            env={**_plain_env(), **env},
            cwd=bench.work,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _await_answer(started, process, log)
            yield started
        finally:
            _end(process)


def _plain_env() -> dict[str, str]:
    kept = ("PATH", "HOME", "LANG", "JAVA_HOME", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _await_answer(started: Started, process: subprocess.Popen[bytes], log: Path) -> None:
    data, until = started.body.read_bytes(), time.monotonic() + START_S
    request = urllib.request.Request(  # noqa: S310  (an http URL of this script)
        started.url, data, {"Content-Type": started.content_type}
    )
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                answer.read()
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise NotStarted(f"{started.url} never answered; the end of its log:\n{tail}")


def _end(process: subprocess.Popen[bytes]) -> None:
    for number, wait_s in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(wait_s)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _raw(photo: bytes) -> tuple[bytes, str]:
    return photo, "image/jpeg"


def _as_json(wrap: Callable[[str], Mapping[str, object]]) -> Callable[[bytes], tuple[bytes, str]]:
    def body(photo: bytes) -> tuple[bytes, str]:
        return json.dumps(wrap(base64.b64encode(photo).decode())).encode(), "application/json"

    return body


def _network(bench: Bench) -> dict[str, str]:
    return {
        "PEER_WEIGHTS": str(bench.weights),
        "PEER_CLASSES": str(bench.classes),
        "PYTHONPATH": str(PEERS),
    }


def _pedigree(bench: Bench, port: int) -> tuple[list[str], dict[str, str]]:
    env = {
        "SM_MODEL_DIR": str(bench.archive),
        "PEDIGREE_BIND": "127.0.0.1",
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "PYTHONPATH": str(ROOT),
    }
    return [sys.executable, "-m", "serving"], env


def _litserve(bench: Bench, port: int) -> tuple[list[str], dict[str, str]]:
    env = {**_network(bench), "PEER_PORT": str(port)}
    return [bench.python("others"), str(PEERS / "litserve_app.py")], env


def _litserve_same_engine(bench: Bench, port: int) -> tuple[list[str], dict[str, str]]:
    command, env = _litserve(bench, port)
    return command, {**env, "PEER_GRAPH": str(bench.archive / "model.xml")}


def _bento(bench: Bench, port: int) -> tuple[list[str], dict[str, str]]:
    program = str(Path(bench.python("others")).parent / "bentoml")
    where = ["--host", "127.0.0.1", "--port", str(port), "--working-dir", str(PEERS)]
    env = {**_network(bench), "BENTOML_HOME": str(bench.work), "BENTOML_DO_NOT_TRACK": "True"}
    return [program, "serve", "bento_app:Classifier", *where], env


def _mlflow(bench: Bench, port: int) -> tuple[list[str], dict[str, str]]:
    saved, env = bench.work / "mlflow-model", _network(bench)
    if not saved.exists():
        command = [bench.python("others"), str(PEERS / "mlflow_model.py"), str(saved)]
        subprocess.run(command, env={**_plain_env(), **env}, check=True, capture_output=True)
    bin_folder = str(Path(bench.python("others")).parent)
    env |= {"PATH": f"{bin_folder}:{os.environ['PATH']}"}
    where = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return [
        f"{bin_folder}/mlflow", "models", "serve", "-m", str(saved), "--env-manager", "local", *where,
    ], env  # fmt: skip


def _torchserve(bench: Bench, port: int) -> tuple[list[str], dict[str, str]]:
    store, bin_folder = bench.work / "store", Path(bench.python("torchserve")).parent
    env = {**_network(bench), "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    if not store.exists():
        store.mkdir()
        traced = bench.work / "traced.pt"
        model = [bench.python("torchserve"), str(PEERS / "torchserve_model.py"), str(traced)]
        archive = [
            f"{bin_folder}/torch-model-archiver", "--model-name", "dogs", "--version", "1.0",
            "--serialized-file", str(traced), "--handler", "image_classifier",
            "--export-path", str(store),
        ]  # fmt: skip
        for command in (model, archive):
            subprocess.run(command, env={**_plain_env(), **env}, check=True, capture_output=True)
    shutil.rmtree(bench.work / "logs", ignore_errors=True)
    worker = {
        "minWorkers": 1, "maxWorkers": 1, "batchSize": 8, "maxBatchDelay": 10,
        "defaultVersion": True, "marName": "dogs.mar", "responseTimeout": 60,
    }  # fmt: skip
    lines = [
        *(f"{n}_address=http://127.0.0.1:{p}" for n, p in zip(
            ("inference", "management", "metrics"), (port, *_free_ports(2)), strict=True)),
        f"model_store={store}", "load_models=dogs.mar", "disable_token_authorization=true",
        f"models={json.dumps({'dogs': {'1.0': worker}})}",
    ]  # fmt: skip
    config = bench.work / "torchserve.properties"
    config.write_text("\n".join(lines), encoding="utf-8")
    return [f"{bin_folder}/torchserve", "--foreground", "--ncs", "--ts-config", str(config)], env


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


CONTENDERS = (
    Contender(name="pedigree", command=_pedigree, path="/invocations", body=_raw, torch_fp32=False),
    Contender(name="torchserve", command=_torchserve, path="/predictions/dogs", body=_raw),
    Contender(
        name="mlflow",
        command=_mlflow,
        path="/invocations",
        body=_as_json(lambda text: {"inputs": [text]}),
    ),
    Contender(
        name="litserve",
        command=_litserve,
        path="/predict",
        body=_as_json(lambda text: {"image": text}),
    ),
    Contender(
        name="bentoml",
        command=_bento,
        path="/classify",
        body=_as_json(lambda text: {"images": [text]}),
    ),
    Contender(
        name="litserve-same-engine",
        command=_litserve_same_engine,
        path="/predict",
        body=_as_json(lambda text: {"image": text}),
        torch_fp32=False,
    ),
)
