"""`pedigree up` and `down`: the MLflow UI, the dashboard and AWS on this machine."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

import click

from cli.workspace import Workspace

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from localaws.hosts.processes import Process, Processes

_MLFLOW_PORT = 5050
_DASHBOARD_PORT = 8501
_READY_S = 60.0
_GRACE_S = 15.0
_APP = Path(__file__).resolve().parent.parent / "dashboard" / "serve.py"


@dataclass(frozen=True, kw_only=True)
class Served:
    """One thing that `up` serves: its address, and the path that answers when it is ready."""

    name: str
    url: str
    health: str
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: Path


def _refuse_busy(name: str, port: int, setting: str) -> None:
    from experiments.errors import CloudError

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise CloudError(
                f"port {port}, wanted by the {name}, is in use by another program",
                fix=f"choose another one: {setting}={port + 1}",
            ) from None


def _port(setting: str, default: int) -> int:
    from experiments.errors import CloudError

    text = os.environ.get(setting, str(default))
    if not text.isdigit() or not 1024 <= int(text) <= 65535:
        raise CloudError(f"{setting} is {text!r}", fix="set a port between 1024 and 65535")
    return int(text)


def mlflow_ui(space: Workspace, uri: str, port: int) -> Served:
    """MLflow's own UI on a database; its job runner is off, which saves 244 MB."""
    return Served(
        name="MLflow UI",
        url=f"http://127.0.0.1:{port}",
        health="/health",
        argv=(
            sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port),
            "--workers", "1", "--backend-store-uri", uri,
        ),
        env={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        cwd=space.root,
    )  # fmt: skip


def dashboard(space: Workspace, port: int, mlflow_url: str) -> Served:
    """The Streamlit dashboard, on loopback only."""
    return Served(
        name="dashboard",
        url=f"http://127.0.0.1:{port}",
        health="/_stcore/health",
        argv=(
            sys.executable, "-m", "streamlit", "run", str(_APP), "--server.port", str(port),
            "--server.address", "127.0.0.1", "--server.headless", "true",
        ),
        env={"PEDIGREE_MLFLOW_URL": mlflow_url, "PEDIGREE_HOME": str(space.root)},
        cwd=_APP.parent.parent,  # where Streamlit finds its settings: theme, limits, allowed hosts
    )  # fmt: skip


def _log_lines(path: Path) -> tuple[TextIO, Callable[[str, str], None]]:
    log = path.open("w", encoding="utf-8")

    def keep(_stream: str, line: str) -> None:
        log.write(f"{line}\n")
        log.flush()

    return log, keep


def _await_ready(served: Served, process: Process, log: Path) -> None:
    from experiments.errors import CloudError

    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise CloudError(f"the {served.name} did not start", fix=f"read {log}")
        if _answers(served.url + served.health):
            return
        time.sleep(0.1)
    raise CloudError(f"the {served.name} did not answer within {_READY_S:.0f} s", fix=f"read {log}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _serve(space: Workspace, keeper: Processes, items: tuple[Served, ...]) -> list[Process]:
    from cli.local_cloud import passed_on

    started = []
    for item in items:
        path = space.state / f"{item.name.replace(' ', '-').lower()}.log"
        _, keep = _log_lines(path)
        process = keeper.spawn(
            item.argv, env={**passed_on(), **item.env}, cwd=item.cwd, on_line=keep
        )
        started.append((item, process, path))
    for item, process, path in started:
        _await_ready(item, process, path)
    return [process for _, process, _ in started]


def _until_stopped(processes: list[Process]) -> NoReturn:
    from experiments.errors import CloudError

    while True:
        time.sleep(0.5)
        if any(process.poll() is not None for process in processes):
            raise CloudError("one of the servers ended", fix="read the logs in .pedigree/")


@click.command()
def up() -> int:
    """Serve the MLflow UI, the dashboard and AWS on this machine until Ctrl-C."""
    from cli import local_cloud
    from localaws.hosts.processes import Processes

    space = Workspace.here()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _only_one(space) as pid_file:
        items = planned(space)
        space.open_tracker().runs(limit=1)  # a fresh store is made once, before anybody serves it
        with local_cloud.running(space.cloud_state) as cloud_url:
            keeper = Processes(space.state / "up")
            try:
                click.echo("starting ...")
                processes = _serve(space, keeper, items)
                pid_file.write_text(str(os.getpid()), encoding="utf-8")
                with suppress(KeyboardInterrupt):  # from the moment that a person is told of it
                    _tell_addresses(items, cloud_url)
                    _until_stopped(processes)
            finally:
                keeper.close(grace_s=_GRACE_S)
    click.echo("\nstopped")
    return 0


def planned(space: Workspace) -> tuple[Served, ...]:
    """What is to be served, each on a port that is free."""
    from experiments.tracking.stores import default_uri, is_database

    mlflow_port = _port("PEDIGREE_MLFLOW_PORT", _MLFLOW_PORT)
    dashboard_port = _port("PEDIGREE_DASHBOARD_PORT", _DASHBOARD_PORT)
    _refuse_busy("MLflow UI", mlflow_port, "PEDIGREE_MLFLOW_PORT")
    _refuse_busy("dashboard", dashboard_port, "PEDIGREE_DASHBOARD_PORT")
    uri = default_uri(space.root)
    if not is_database(uri):  # a server has its own pages; those of an ARN are behind a sign-in
        return (dashboard(space, dashboard_port, uri if uri.startswith("http") else ""),)
    mlflow = mlflow_ui(space, uri, mlflow_port)
    return mlflow, dashboard(space, dashboard_port, mlflow.url)


def _tell_addresses(items: tuple[Served, ...], cloud_url: str) -> None:
    addresses = [(item.name, item.url) for item in items] + [("AWS on this machine", cloud_url)]
    for name, url in addresses:
        click.echo(f"{name:<20} {url}")
    click.echo("Ctrl-C stops all of it; what is live stays on disk")


def _lock(space: Workspace) -> BaseFileLock:
    from filelock import FileLock

    space.state.mkdir(parents=True, exist_ok=True)
    return FileLock(space.state / "up.lock", timeout=0)


@contextmanager
def _only_one(space: Workspace) -> Iterator[Path]:
    """Hold the lock that says `up` runs here; gives the file for its process id."""
    from filelock import Timeout

    from experiments.errors import BusyError

    pid_file = space.state / "up.pid"
    lock = _lock(space)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(
            "`pedigree up` runs in this folder already", fix="use it, or stop it with `make down`"
        ) from None
    try:
        yield pid_file
    finally:
        pid_file.unlink(missing_ok=True)
        lock.release()


@click.command()
def down() -> int:
    """Stop everything that runs in this folder: `pedigree up` elsewhere, and AWS on this machine."""
    from cli import local_cloud

    space = Workspace.here()
    stopped = _stop_up(space)
    stopped = local_cloud.stop(space.cloud_state) or stopped
    click.echo("stopped" if stopped else "nothing was running")
    return 0


def _stop_up(space: Workspace) -> bool:
    """End a `pedigree up` of another terminal and wait until it has stopped all it started.

    The lock, not the file with its number, says whether one runs: numbers are given out again.
    """
    from filelock import Timeout

    lock = _lock(space)
    with suppress(Timeout):
        lock.acquire()
        lock.release()
        return False
    with suppress(OSError, ValueError):
        os.kill(int((space.state / "up.pid").read_text(encoding="utf-8")), signal.SIGTERM)
    with suppress(Timeout):
        lock.acquire(timeout=4 * _GRACE_S)
        lock.release()
    return True
