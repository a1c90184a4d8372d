"""PostgreSQL and `mlflow server` as processes of a test's own, which end with it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

READY_S = 120.0


def postgres_programs() -> Path | None:
    """The folder of initdb and postgres; Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").is_file()), None)


@contextmanager
def postgres(programs: Path) -> Iterator[str]:
    """A private cluster on a unix socket and no port; the address of its database `mlflow`.

    PostgreSQL refuses to run as root: then it runs as `nobody`.
    """
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short, as a socket's path must be
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    user, group = (account.pw_uid, account.pw_gid) if account else (None, None)
    if account:
        os.chown(folder, account.pw_uid, account.pw_gid)
    data = str(folder / "data")
    log = (folder / "log").open("wb")
    server = None
    try:
        made = [str(programs / "initdb"), "-D", data, "-U", "pedigree"]
        subprocess.run(
            [*made, "-A", "trust", "-E", "UTF8", "-N"],
            cwd=folder,
            stdout=log,
            stderr=log,
            check=True,
            timeout=READY_S,
            user=user,
            group=group,
        )
        command = [str(programs / "postgres"), "-D", data, "-k", str(folder)]
        command += ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "synchronous_commit=off"]
        server = subprocess.Popen(
            command,
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
            user=user,
            group=group,
        )
        _make_database(folder)
        yield f"postgresql://pedigree@/mlflow?host={folder}"
    finally:
        if server is not None:
            server.send_signal(signal.SIGINT)  # fast: it does not wait for clients
            server.wait(timeout=30)
        log.close()
        shutil.rmtree(folder)


def _make_database(folder: Path) -> None:
    import psycopg

    deadline = time.monotonic() + READY_S
    while True:
        try:
            connection = psycopg.connect(
                host=str(folder), user="pedigree", dbname="postgres", autocommit=True
            )
            break
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
            time.sleep(0.05)
    connection.execute("CREATE DATABASE mlflow")
    connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mlflow_server(
    folder: Path, store: str, *options: str, env: Mapping[str, str] | None = None
) -> Iterator[str]:
    """`mlflow server` over a store, on a loopback port; its address."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", url.rpartition(":")[2], "--workers", "1", "--backend-store-uri", store]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, *options],
            stdout=log,
            stderr=log,
            cwd=folder,
            env={**os.environ, **quiet, **(env or {})},
            start_new_session=True,
        )
    try:
        _await(url, folder / "server.log")
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def _await(url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(log.read_text()[-2000:])
