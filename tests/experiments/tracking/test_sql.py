"""The direct reading, against MLflow's own search_runs on the same sqlite file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from experiments.forecast.work import work_of
from experiments.leaderboard import leaderboard
from experiments.records import RunRecord
from experiments.source import ROOT
from experiments.tracking.sql import BOARD, FORECAST, Columns, board, read_runs
from experiments.tracking.stores import is_database
from experiments.tracking.tracker import Tracker
from tests.experiments.build import record

WRITERS = """
import os, sys, traceback
import mlflow.store.tracking.sqlalchemy_store, mlflow.store.db.utils
from mlflow import MlflowClient
from pathlib import Path
from experiments.tracking.stores import is_database
from experiments.tracking.tracker import Tracker
uri, root, writers, runs = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
children = []
for at in range(writers):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            tracker = Tracker(uri, root)
            tracker.runs(limit=1)
            client = MlflowClient(tracking_uri=uri)
            for n in range(runs):
                run = client.create_run("0", tags={"pedigree.run": f"{at}-{n}"})
                client.log_metric(run.info.run_id, "test/top1", 0.5)
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    children.append(child)
failed = sum(os.waitpid(child, 0)[1] != 0 for child in children)
sys.exit(failed)
"""


def restricted(record: RunRecord, columns: Columns) -> RunRecord:
    return replace(
        record,
        metrics={key: value for key, value in record.metrics.items() if key in columns.metrics},
        params={key: value for key, value in record.params.items() if key in columns.params},
        dataset_digest="",
        code_digest="",
        git_commit="",
    )


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    root = tmp_path_factory.mktemp("tracked")
    tracker = Tracker(f"sqlite:///{root / 'mlflow.db'}", root)
    tracker.runs(limit=1)
    client = MlflowClient(tracking_uri=tracker.uri)
    ids = {name: client.create_experiment(name) for name in ("dogs", "cats")}
    for at in range(9):
        tags = {
            "pedigree.run": f"{at:08}",
            "pedigree.status": ("succeeded", "failed", "running")[at % 3],
            "cost.usd": f"0.0{at}",
            "cost.basis": "simulated",
        }
        name = "dogs" if at < 6 else "cats"
        run = client.create_run(ids[name], start_time=1000 * at, tags=tags, run_name=f"r{at}")
        for key, value in (("test/top1", at / 10), ("time/billable_s", 9.0 * at), ("x", 1.0)):
            client.log_metric(run.info.run_id, key, value)
        for key, text in (("launch/on", "ec2"), ("launch/hosts", "2"), ("train/epochs", "3")):
            client.log_param(run.info.run_id, key, text)
        if at == 4:
            client.delete_run(run.info.run_id)
        if at == 5:
            client.log_metric(run.info.run_id, "test/top1", 0.99, step=1)
    client.create_run(ids["dogs"], tags={"somebody": "else's"})
    return tracker


@pytest.mark.parametrize("columns", [BOARD, FORECAST])
@pytest.mark.parametrize("experiment", [None, "dogs", "nothing"])
def test_it_reads_what_search_runs_reads(
    tracker: Tracker, columns: Columns, experiment: str | None
) -> None:
    direct = read_runs(tracker.uri, columns, experiment=experiment)
    theirs = [restricted(record, columns) for record in tracker.runs(experiment)]
    assert direct is not None
    assert direct == sorted(
        theirs, key=lambda r: -(r.started_at.timestamp() if r.started_at else 0)
    )
    assert len(direct) == {None: 8, "dogs": 5, "nothing": 0}[experiment]


def test_the_leaderboard_is_the_same_by_both(tracker: Tracker) -> None:
    assert leaderboard(board(tracker)) == leaderboard(tracker.runs())
    assert len(read_runs(tracker.uri, limit=3) or ()) == 3


def test_it_cannot_write(tracker: Tracker) -> None:
    path = Path(tracker.uri.removeprefix("sqlite:///"))
    before = path.read_bytes()
    path.chmod(0o444)
    try:
        assert read_runs(tracker.uri)
    finally:
        path.chmod(0o644)
    assert path.read_bytes() == before


def test_what_is_no_readable_database_is_left_to_mlflow(tmp_path: Path) -> None:
    assert not is_database("http://127.0.0.1:5000")
    assert not is_database("arn:aws:sagemaker:us-east-1:123456789012:mlflow-tracking-server/x")
    assert is_database("postgresql+psycopg2://somebody@nowhere/mlflow")
    assert read_runs(f"sqlite:///{tmp_path / 'none.db'}") is None
    assert not (tmp_path / "none.db").exists(), "reading makes nothing"
    (tmp_path / "other.db").write_bytes(b"")
    assert read_runs(f"sqlite:///{tmp_path / 'other.db'}") is None
    assert read_runs("mysql+nodriver://nowhere/x") is None


def test_a_leaderboard_needs_no_mlflow() -> None:
    code = "import sys, experiments.tracking.sql; print('mlflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def write_at_once(root: Path, writers: int, runs: int) -> None:
    uri = f"sqlite:///{root / 'mlflow.db'}"
    done = subprocess.run(
        [sys.executable, "-c", WRITERS, uri, str(root), str(writers), str(runs)],
        cwd=ROOT,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = read_runs(uri)
    assert found is not None
    assert len(found) == writers * runs
    assert all(json.dumps(record.metrics["test/top1"]) == "0.5" for record in found)


@pytest.mark.slow
def test_sixteen_writers_on_a_fresh_store(tmp_path: Path) -> None:
    write_at_once(tmp_path, writers=16, runs=1)


@pytest.mark.soak
def test_sixteen_writers_for_long(tmp_path: Path) -> None:
    write_at_once(tmp_path, writers=16, runs=50)


class BehindAServer(Tracker):
    """A tracker whose store is an MLflow server: its database is out of reach."""

    def runs(self, experiment: str | None = None, limit: int = 10_000) -> list[RunRecord]:
        return [] if experiment else [record(run_id="00000007")]


def test_behind_a_server_mlflow_is_asked(tmp_path: Path) -> None:
    tracker = BehindAServer("http://127.0.0.1:1", tmp_path)
    assert [found.run_id for found in board(tracker)] == ["00000007"]
    assert board(tracker, "dogs") == []


def test_all_that_a_prediction_asks_of_a_run_is_read() -> None:
    asked: set[str] = set()

    class Params(dict[str, str]):
        def get(self, name: str, default: Any = None) -> Any:
            asked.add(name)
            return super().get(name, default)

    deep = Params({"train/trainable": "all"})
    work_of(deep, launcher="ec2", instance_type="c5.xlarge", hosts=1)
    assert "train/trials" in asked and asked <= set(FORECAST.params)
