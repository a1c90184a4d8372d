"""Reading what a leaderboard needs: straight from the database, and MLflow's search_runs beside it.

    python benchmarks/leaderboard.py [--runs 1000,10000,100000] [--repeats 5] [--server] [--into URI]

Fills fresh sqlite stores (each run: 20 metrics, 16 params, 8 tags) in a temporary folder. The two readers
take turns; prints the median. search_runs is left out above 10,000 runs, where it takes minutes.
`--server` reads the 10,000 through `mlflow server` on a free loopback port as well: there the database
cannot be reached and search_runs over HTTP is the only way. `--into postgresql://...` copies the store into
an empty database and reads it there.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from experiments import names
from experiments.leaderboard import leaderboard
from experiments.records import RunRecord
from experiments.tracking import sql
from experiments.tracking.tracker import Tracker

_PEER_UP_TO = 10_000


def fill(path: Path, runs: int) -> None:
    """A store as MLflow makes it, with `runs` settled runs; values are made up."""
    Tracker(f"sqlite:///{path}", path.parent).runs(limit=1)
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO experiments (name, lifecycle_stage, artifact_location, workspace)"
                   " VALUES ('dogs', 'active', '', 'default')")  # fmt: skip
        (experiment,) = db.execute("SELECT max(experiment_id) FROM experiments").fetchone()
        ids = [f"{at:032x}" for at in range(runs)]
        db.executemany(
            "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id,"
            " source_version, status, start_time, end_time, lifecycle_stage, artifact_uri,"
            " experiment_id) VALUES"
            " (?, ?, 'LOCAL', '', '', 'ada', '', 'FINISHED', ?, ?, 'active', '', ?)",
            (
                (run, f"run-{at}", 10**12 + at, 10**12 + at + 60_000, experiment)
                for at, run in enumerate(ids)
            ),
        )
        keys = [*sql.BOARD.metrics, *(f"other/metric_{n}" for n in range(17))]
        db.executemany(
            "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid)"
            " VALUES (?, ?, 0, 0, 0, ?)",
            ((key, (at * 7919 % 1000) / 1000, run) for at, run in enumerate(ids) for key in keys),
        )
        words = {"launch/on": "sagemaker", "launch/instance_type": "ml.m5.xlarge"}
        words |= {"launch/hosts": "1"} | {f"train/setting_{n}": "x" * 20 for n in range(13)}
        db.executemany(
            "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)",
            ((key, value, run) for run in ids for key, value in words.items()),
        )
        _fill_tags(db, ids)


def _fill_tags(db: sqlite3.Connection, ids: list[str]) -> None:
    for at, run in enumerate(ids):
        tags = {
            names.RUN_ID: run[-8:], names.STATUS: "succeeded", names.REASON: "",
            names.COST_USD: f"0.{at % 997:04}", names.COST_BASIS: "simulated",
            names.MODEL_URI: "s3://b/m", "mlflow.user": "ada", "mlflow.runName": f"run-{at}",
        }  # fmt: skip
        db.executemany(
            "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)",
            ((key, value, run) for key, value in tags.items()),
        )


def copy_into(path: Path, uri: str) -> None:
    """Copy a filled store into an empty database of MLflow's own tables."""
    from sqlalchemy import MetaData, create_engine

    Tracker(uri, path.parent).runs(limit=1)
    source, target = create_engine(f"sqlite:///{path}"), create_engine(uri)
    tables = MetaData()
    tables.reflect(target, only=["experiments", "runs", "latest_metrics", "params", "tags"])
    with source.connect() as read, target.begin() as write:
        for table in tables.sorted_tables:
            rows = [dict(row) for row in read.execute(table.select()).mappings()]
            if table.name == "experiments":  # each has its own default one
                rows = [row for row in rows if row["name"] != "Default"]
            write.execute(table.insert(), rows)
    source.dispose()
    target.dispose()


def median_s(
    read: Callable[[], list[RunRecord] | None], repeats: int, expected: int
) -> tuple[float, float]:
    """Median seconds of several reads, by the clock and of the processor; each must find every run."""
    times, worked = [], []
    for _ in range(repeats):
        start, work = time.perf_counter(), time.process_time()
        found = read()
        times.append(time.perf_counter() - start)
        worked.append(time.process_time() - work)
        assert found is not None and len(found) == expected, len(found or ())
    return statistics.median(times), statistics.median(worked)


def through_a_server(path: Path, runs: int) -> float:
    """Seconds of search_runs over HTTP, from an `mlflow server` on this store."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{path}",
        "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server = subprocess.Popen(
        command,
        env=env,
        cwd=path.parent,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _await(f"http://127.0.0.1:{port}/health")
        tracker = Tracker(f"http://127.0.0.1:{port}", path.parent)
        return median_s(lambda: tracker.runs(limit=runs), 1, runs)[0]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def _await(url: str) -> None:
    for _ in range(240):
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 (our own http)
                return
        except OSError:
            time.sleep(0.5)
    raise SystemExit("the MLflow server did not start in two minutes")


def measure(runs: int, repeats: int, *, server: bool, into: str) -> None:
    """Fill a store, read it both ways, print one line."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "mlflow.db"
        fill(path, runs)
        if into:
            copy_into(path, into)
        uri = into or f"sqlite:///{path}"
        direct, worked = median_s(lambda: sql.read_runs(uri), repeats, runs)
        records = sql.read_runs(uri) or []
        start = time.perf_counter()
        leaderboard(records)
        ranked = time.perf_counter() - start
        line = f"{runs:>7} runs: direct {direct:6.2f} s ({worked:.2f} s of a processor)"
        line += f", ranking them {ranked:5.2f} s"
        if runs <= _PEER_UP_TO:
            tracker = Tracker(uri, path.parent)
            tracker.runs(limit=1)
            peer, theirs = median_s(lambda: tracker.runs(limit=runs), min(repeats, 3), runs)
            line += f"; search_runs {peer:6.2f} s ({theirs:.2f} s; {theirs / worked:.0f} times)"
        if server and runs == _PEER_UP_TO:
            line += f"; through a server {through_a_server(path, runs):6.2f} s"
        print(line, flush=True)


def main() -> None:
    """Measure each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", default="1000,10000,30000,100000")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--server", action="store_true")
    parser.add_argument(
        "--into", default="", help="An empty database to measure instead of sqlite."
    )
    given = parser.parse_args()
    for runs in given.runs.split(","):
        measure(int(runs), given.repeats, server=given.server, into=given.into)


if __name__ == "__main__":
    main()
