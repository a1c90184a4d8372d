"""The door to MLflow, against MLflow itself on a sqlite file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from mlflow import MlflowClient

from experiments import names
from experiments.errors import CloudError
from experiments.events import Trial, metric_points, read_events
from experiments.records import Basis, Cost, LaunchPlan, RunRecord, RunStatus
from experiments.source import ROOT
from experiments.tracking import Tracker, default_uri
from tests.experiments.build import NOW, REGION, book, metric, plan, record, run_cost, told, usage


class Store:
    """A tracker on its own store, and MLflow's client to look behind it."""

    def __init__(self, root: Path) -> None:
        self.tracker = Tracker(f"sqlite:///{root / 'mlflow.db'}", root)
        self.tracker.runs()
        self.client = MlflowClient(tracking_uri=self.tracker.uri, registry_uri=self.tracker.uri)

    def open(self, run_id: str, experiment: str = "dogs") -> tuple[LaunchPlan, str]:
        found = replace(plan("two", run_id), experiment=experiment)
        return found, self.tracker.open_run(found, now=NOW)

    def close(self, found: LaunchPlan, tracker_run_id: str, **changes: object) -> RunRecord:
        given = {
            "run_id": found.run_id,
            "tracker_run_id": tracker_run_id,
            "name": found.run_name,
            "experiment": found.experiment,
            "hosts": 2,
            "instance_type": "ml.m5.large",
            "params": found.params,
            "dataset_digest": found.params["data/digest"],
            "model_uri": f"{found.output_uri}model.tar.gz",
            "billable_s": 95.0,
            "ended_at": NOW + timedelta(minutes=2),
            **changes,
        }
        settled = record(**given)
        self.tracker.close_run(tracker_run_id, settled, bill(settled), now=NOW)
        return settled


def bill(settled: RunRecord) -> Cost:
    return run_cost(
        usage(str(settled.billable_s or 0), settled.hosts),
        launcher=settled.launcher,
        instance_type=settled.instance_type,
        region=REGION,
        volume_gb=30,
        book=book(),
        basis=Basis.SIMULATED,
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("tracked"))


def test_a_run_is_on_record_before_it_is_launched(store: Store) -> None:
    found, tracked = store.open("a0000001")
    (seen,) = [run for run in store.tracker.runs() if run.run_id == "a0000001"]
    assert seen.status is RunStatus.SUBMITTED
    assert (seen.name, seen.experiment, seen.launcher) == ("two", "dogs", "sagemaker")
    assert (seen.instance_type, seen.hosts) == ("ml.m5.large", 2)
    assert seen.dataset_digest == found.params["data/digest"]
    assert seen.cost_usd is None
    run = store.client.get_run(tracked)
    assert run.info.status == "RUNNING"
    assert run.info.start_time == int(NOW.timestamp() * 1000)
    assert run.data.tags["mlflow.user"] == "ada"
    assert run.data.tags["mlflow.source.git.commit"] == "0" * 40
    assert run.inputs is not None
    (dataset,) = run.inputs.dataset_inputs
    assert found.params["data/digest"].removeprefix("sha256:").startswith(dataset.dataset.digest)
    requests = json.loads(artifact(store, tracked, "launch/requests.json"))
    assert requests[0]["params"] == json.loads(json.dumps(found.calls[0].params))


def artifact(store: Store, tracked: str, path: str) -> str:
    return Path(store.client.download_artifacts(tracked, path)).read_text(encoding="utf-8")


def test_a_settled_run_is_read_back_as_it_was_written(store: Store) -> None:
    found, tracked = store.open("b0000001")
    store.tracker.log_points(tracked, metric_points(read_events(told(top1=0.875))))
    written = store.close(found, tracked, metrics={names.DOWNLOAD_METRIC: 12.5})
    seen = store.tracker.find("b0000001")
    assert seen.status is RunStatus.SUCCEEDED
    assert seen.cost_usd == bill(written).total_usd
    assert seen.cost_basis is Basis.SIMULATED
    assert seen.metrics["test/top1"] == 0.875
    assert seen.metrics[names.COST_METRIC] == pytest.approx(float(bill(written).total_usd))
    assert (seen.billable_s, seen.metrics[names.DOWNLOAD_METRIC]) == (95.0, 12.5)
    assert seen.params == found.params
    assert seen.model_uri == written.model_uri
    assert seen.ended_at == written.ended_at
    assert store.tracker.history(tracked, "train/loss") == [(1, 0.7), (2, 0.4)]


def test_the_ledger_is_kept_with_its_frozen_price(store: Store) -> None:
    found, tracked = store.open("b0000002")
    ledger = bill(store.close(found, tracked))
    tags = store.client.get_run(tracked).data.tags
    assert tags[names.COST_PRICE] == "0.115 USD per hour"
    assert tags[names.COST_PRICE_DATE] == "2026-11-01"
    assert tags[names.COST_USD] == str(ledger.total_usd)
    assert "simulated" in tags["mlflow.note.content"]
    table = json.loads(artifact(store, tracked, "cost.json"))
    row = dict(zip(table["columns"], table["data"][0], strict=True))
    assert row["item"] == "2 x ml.m5.large"
    assert Decimal(row["usd"]) == ledger.total_usd
    assert (row["price_usd"], row["price_date"], row["basis"]) == (
        "0.115",
        "2026-11-01",
        "simulated",
    )


def test_a_run_that_succeeded_has_a_logged_model(store: Store) -> None:
    found, tracked = store.open("b0000003")
    written = store.close(found, tracked)
    run = store.client.get_run(tracked)
    assert run.outputs is not None
    (output,) = run.outputs.model_outputs
    model = store.client.get_logged_model(output.model_id)
    assert model.name == "two"
    assert model.tags[names.MODEL_URI] == written.model_uri
    assert str(model.status).endswith("READY")


@pytest.mark.parametrize(
    ("status", "theirs"),
    [
        (RunStatus.REFUSED, "FAILED"),
        (RunStatus.FAILED, "FAILED"),
        (RunStatus.STOPPED, "KILLED"),
        (RunStatus.SUCCEEDED, "FINISHED"),
    ],
)
def test_every_end_shows_in_mlflow_s_own_words(
    store: Store, status: RunStatus, theirs: str
) -> None:
    found, tracked = store.open(f"c-{status.value}")
    store.close(found, tracked, status=status, reason="as it happened", billable_s=0.0)
    seen = store.tracker.find(found.run_id)
    assert (seen.status, seen.reason) == (status, "as it happened")
    assert seen.cost_usd == 0
    assert store.client.get_run(tracked).info.status == theirs
    assert store.client.get_run(tracked).info.end_time is not None


def everything(store: Store, tracked: str) -> object:
    run = store.client.get_run(tracked)
    histories = {
        name: [
            (p.timestamp, p.step, p.value) for p in store.client.get_metric_history(tracked, name)
        ]
        for name in run.data.metrics
    }
    outputs = [output.model_id for output in run.outputs.model_outputs] if run.outputs else []
    return run.data.tags, run.data.params, histories, outputs, artifact(store, tracked, "cost.json")


def test_writing_everything_twice_changes_nothing(store: Store) -> None:
    found, tracked = store.open("d0000001")
    points = metric_points(read_events([*told(), *(metric("valid/top1", 0.1, 8) for _ in "ab")]))
    store.tracker.log_points(tracked, points)
    store.tracker.log_params(tracked, {"env/torch": "2.14.1"})
    store.close(found, tracked)
    once = everything(store, tracked)
    store.tracker.log_params(tracked, {"env/torch": "2.14.1"})
    for part in (points[:2], points, points[1:]):
        store.tracker.log_points(tracked, part)
    store.close(found, tracked)
    assert everything(store, tracked) == once


def test_more_points_than_one_batch_all_arrive(store: Store) -> None:
    _, tracked = store.open("d0000002")
    lines = [metric("train/loss", 1 / (at + 1), at, step=at) for at in range(1203)]
    store.tracker.log_points(tracked, metric_points(read_events(lines)))
    history = store.tracker.history(tracked, "train/loss")
    assert [step for step, _ in history] == list(range(1203))
    assert history[-1][1] == 1 / 1203


def test_runs_are_found_by_id_and_name_and_by_experiment(store: Store) -> None:
    _, tracked = store.open("e0000001", experiment="cats")
    assert [run.run_id for run in store.tracker.runs("cats")] == ["e0000001"]
    for word in ("e0000001", tracked):
        assert store.tracker.find(word).run_id == "e0000001"
    assert store.tracker.find("two", store.tracker.runs("cats")).run_id == "e0000001"
    with pytest.raises(CloudError) as caught:
        store.tracker.find("nobody", store.tracker.runs("cats"))
    assert "two (e0000001)" in caught.value.fix


def test_a_run_of_somebody_else_s_is_left_alone(store: Store) -> None:
    experiment = store.client.create_experiment("not ours")
    store.client.create_run(experiment)
    assert store.tracker.runs("not ours") == []


def test_a_model_is_registered_once_and_is_the_champion(store: Store) -> None:
    versions = []
    for name in ("f0000001", "f0000002", "f0000002"):
        if name not in {run.run_id for run in store.tracker.runs()}:
            found, tracked = store.open(name)
            store.close(found, tracked)
        run = store.tracker.find(name)
        versions.append(store.tracker.register("dogs", run, {"pedigree.release": name}))
    assert versions == ["1", "2", "2"]
    champion = store.client.get_model_version_by_alias("dogs", "champion")
    assert str(champion.version) == "2"
    assert champion.run_id == store.tracker.find("f0000002").tracker_run_id
    assert champion.tags["pedigree.release"] == "f0000002"
    assert str(champion.source).endswith("model.tar.gz")


def test_the_store_is_where_a_plain_mlflow_ui_looks(tmp_path: Path) -> None:
    given = os.environ.get("MLFLOW_TRACKING_URI")
    assert default_uri(tmp_path) == (given or f"sqlite:///{tmp_path}/mlflow.db")


_WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from experiments.records import Estimate, LaunchPlan
from experiments.tracking import Tracker
root, word = Path(sys.argv[1]), sys.argv[2]
tracker = Tracker(f"sqlite:///{root / 'mlflow.db'}", root)
nothing = Estimate(low_usd=0, expected_usd=None, high_usd=0, why="")
for at in range(3):
    plan = LaunchPlan(
        run_id=f"{word}{at}", run_name=word, experiment="dogs", launcher="sagemaker",
        instance_type="ml.m5.large", instance_count=1, region="us-east-1", calls=(),
        estimate=nothing, params={"data/digest": "sha256:00"}, tags={}, reasons=(), warnings=(),
        max_runtime_s=60, volume_gb=30, output_uri="s3://b/k/",
    )
    tracker.open_run(plan, now=datetime.now(tz=UTC))
"""


@pytest.mark.slow
def test_two_processes_may_open_a_fresh_store_at_once(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path), word],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for word in ("first", "second")
    ]
    try:
        said = [writer.communicate(timeout=120)[0] for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
    assert [writer.returncode for writer in writers] == [0, 0], said
    tracker = Tracker(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path)
    assert {run.run_id for run in tracker.runs("dogs")} == {
        f"{word}{at}" for word in ("first", "second") for at in range(3)
    }


def test_mlflow_s_own_pages_show_the_data_and_the_model_with_its_scores(store: Store) -> None:
    found, tracked = store.open("a1000001")
    store.tracker.log_points(tracked, metric_points(read_events(told(top1=0.75))))
    store.close(found, tracked, metrics={"test/top1": 0.75, "train/loss": 0.4})
    run = store.client.get_run(tracked)
    assert run.inputs is not None
    (given,) = run.inputs.dataset_inputs
    assert json.loads(given.dataset.source)["uri"] == found.params["data/uri"]
    assert json.loads(str(given.dataset.profile)) == {"num_images": 60, "num_classes": 2}
    assert run.outputs is not None
    model = store.client.get_logged_model(run.outputs.model_outputs[0].model_id)
    assert {m.key: (m.value, m.dataset_name) for m in model.metrics or []} == {
        "test/top1": (0.75, "dogs")
    }
    assert model.params["train/backbone"] == "efficientnet_lite0"
    assert store.tracker.history(tracked, "test/top1") == [(0, 0.75)]
    settled = store.tracker.find("a1000001")
    version = store.tracker.register("shown", settled, {"pedigree.release": "r-1"})
    held = store.client.get_model_version("shown", version)
    assert held.run_id == tracked
    assert "run a1000001" in str(held.description)
    shown = store.client.get_logged_model(model.model_id).tags["mlflow.modelVersions"]
    assert json.loads(shown) == [{"name": "shown", "version": version}]


def test_a_run_is_opened_once_however_often_it_is_asked_for(store: Store) -> None:
    found, tracked = store.open("a1000002")
    again = store.tracker.open_run(found, now=NOW, again=True)
    assert again == tracked
    run = store.client.get_run(tracked)
    assert run.inputs is not None
    assert len(run.inputs.dataset_inputs) == 1


def test_trials_are_runs_nested_under_their_run_and_there_once(store: Store) -> None:
    _, tracked = store.open("a1000003")
    trials = [
        Trial(
            number=n, settings={"epochs": "3"}, metrics={"valid/loss": 1 / n}, best=n == 1, t_ms=n
        )
        for n in (1, 2, 3)
    ]
    store.tracker.log_trials(tracked, trials[:2])
    store.tracker.log_trials(tracked, trials)
    parent = store.client.get_run(tracked)
    nested = store.client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{tracked}'"
    )
    assert sorted(run.data.tags[names.TRIAL] for run in nested) == ["1", "2", "3"]
    assert {run.data.params["train/epochs"] for run in nested} == {"3"}
    assert "a1000003" in {run.run_id for run in store.tracker.runs()}
    assert not {run.info.run_id for run in nested} & {
        run.tracker_run_id for run in store.tracker.runs()
    }


def test_a_param_that_a_second_host_tells_otherwise_stays_as_it_was(store: Store) -> None:
    _, tracked = store.open("a1000004")
    store.tracker.log_params(tracked, {"env/threads": "4"})
    store.tracker.log_params(tracked, {"env/threads": "2", "env/torch": "2.14.1"})
    params = store.client.get_run(tracked).data.params
    assert (params["env/threads"], params["env/torch"]) == ("4", "2.14.1")


def test_a_tracker_that_does_not_answer_is_told_with_a_fix_and_no_password(
    tmp_path: Path,
) -> None:
    (tmp_path / "folder.db").mkdir()
    for uri in ("http://me:secret@127.0.0.1:1", f"sqlite:///{tmp_path / 'folder.db'}"):
        with pytest.raises(CloudError, match="does not answer") as caught:
            Tracker(uri, tmp_path).runs()
        assert "MLFLOW_TRACKING_URI" in caught.value.fix
        assert "secret" not in caught.value.message
