"""An MLflow server that is killed while a run's metrics flow into it: nothing lost, nothing twice."""

from __future__ import annotations

import itertools
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from experiments.events import metric_line
from experiments.following.mirror import Mirror
from experiments.following.output import Cursor
from experiments.following.run_log import Intent, RunLog, Settled
from experiments.records import Basis, Cost
from experiments.tracking import Tracker
from tests.experiments.build import plan, record

pytestmark = [pytest.mark.slow, pytest.mark.soak]
_READY_S = 90.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`mlflow server` on a sqlite file; killed with all its processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        return self.folder / "mlflow.db"

    def start(self) -> None:
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        options += ["--backend-store-uri", f"sqlite:///{self.database}"]
        options += ["--artifacts-destination", str(self.folder / "artifacts")]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *options],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                start_new_session=True,
            )

    def wait(self) -> None:
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise AssertionError((self.folder / "server.log").read_text()[-2000:])

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


class Run:
    """A run whose hosts say `count` values, a few at a time, and the mirror of its log."""

    def __init__(self, folder: Path, tracker: Tracker, count: int) -> None:
        self.began = datetime.now(tz=UTC)
        opened = Intent(plan=plan(), cloud="local", opened_at=self.began)
        self.log = RunLog.create(folder, opened)
        self.mirror = Mirror(
            log=self.log, tracker=tracker, now=lambda: datetime.now(tz=UTC), tell=print
        )
        self.failures = 0
        self._steps = iter(range(count))

    def say_and_mirror(self, values: int) -> None:
        """So many values more, ten at a time, each portion mirrored at once."""
        for _ in range(values // 10):
            lines = [
                metric_line(f"train/m{n % 5}", n / 7, t=self.began.timestamp() + n, host="algo-1")
                for n in itertools.islice(self._steps, 10)
            ]
            self.log.keep(lines, Cursor())
            self.failures += not self.mirror.catch_up(at_once=True)


@pytest.mark.parametrize(("kills", "count"), [(20, 10_000)])
def test_a_server_killed_while_metrics_flow_has_each_of_them_once(
    tmp_path: Path, kills: int, count: int
) -> None:
    chance = random.Random(kills)
    server = Server(tmp_path)
    run = Run(tmp_path / "runs", Tracker(server.url, tmp_path), count)
    each = count // kills
    server.start()
    try:
        for _ in range(kills):
            server.wait()
            run.say_and_mirror(each * 4 // 10)
            killer = threading.Timer(chance.uniform(0, 0.3), server.kill)
            killer.start()  # in the middle of whatever is being written
            while killer.is_alive():
                run.failures += not run.mirror.catch_up(at_once=True)
                run.say_and_mirror(10 if each > 100 else 0)
            before = run.failures
            run.say_and_mirror(20)
            assert run.failures > before, "the server is down"
            server.start()
            run.say_and_mirror(each // 10)
        server.wait()
        run.say_and_mirror(count)
        ended = Settled(record=record(), cost=Cost(basis=Basis.SIMULATED), at=run.began)
        run.log.settle(ended, {})
        deadline = time.monotonic() + 60
        while not run.mirror.catch_up(at_once=True):
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        server.kill()
    check_each_once(server.database, run.mirror.run_id, count)


def check_each_once(database: Path, run_id: str, count: int) -> None:
    """Exactly the values that were fed: in the store's own tables, not through what wrote them."""
    with sqlite3.connect(database) as store:
        rows = store.execute(
            "select key, step, value, timestamp from metrics"
            " where run_uuid = ? and key like 'train/m%'",
            (run_id,),
        ).fetchall()
        runs = store.execute("select count(*) from runs").fetchone()[0]
    store.close()
    assert runs == 1
    assert len(rows) == count, f"{count - len(rows)} lost"
    assert len({(key, at_ms) for key, _, _, at_ms in rows}) == count
    assert sorted(value for _, _, value, _ in rows) == [step / 7 for step in range(count)]
