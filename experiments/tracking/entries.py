"""What MLflow's own pages show of a run beside its figures: the dataset it read and the model it made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from experiments import names
from experiments.events import Trial
from experiments.records import LaunchPlan, RunRecord

_VERSIONS = "mlflow.modelVersions"
_MODEL_TYPE = "openvino-image-classifier"


def dataset_input(plan: LaunchPlan) -> Any:
    """The photographs as MLflow's dataset input: name, digest, where they are, how many."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    params = plan.params
    digest = params.get("data/digest", "")
    counts = {
        name: int(params[f"data/{name}"])
        for name in ("images", "classes")
        if f"data/{name}" in params
    }
    dataset = Dataset(
        name=plan.experiment,
        digest=short_digest(digest),
        source_type="s3",
        source=json.dumps({"uri": params.get("data/uri", ""), "digest": digest}),
        profile=json.dumps({f"num_{name}": count for name, count in counts.items()}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def short_digest(digest: str) -> str:
    """A digest in the 36 characters that MLflow keeps of one."""
    return digest.removeprefix("sha256:")[:36]


def logged_model_id(client: Any, tracker_run_id: str) -> str | None:
    """The model entry of a run, if it has one."""
    run = client.get_run(tracker_run_id)
    outputs = run.outputs.model_outputs if run.outputs else []
    return str(outputs[0].model_id) if outputs else None


def link_version(client: Any, tracker_run_id: str, name: str, version: str) -> None:
    """Show on a run's model entry which registered version it became; MLflow's fluent API does the same."""
    model_id = logged_model_id(client, tracker_run_id)
    if model_id is None:
        return
    held = json.loads(client.get_logged_model(model_id).tags.get(_VERSIONS, "[]"))
    entry = {"name": name, "version": version}
    if entry not in held:
        client.set_logged_model_tags(model_id, {_VERSIONS: json.dumps([*held, entry])})


def log_model(client: Any, tracker_run_id: str, record: RunRecord) -> None:
    """Make the run's model an entry of MLflow's Models page, with its settings and test scores."""
    if logged_model_id(client, tracker_run_id) is not None:
        return
    from mlflow.entities import LoggedModelOutput

    run = client.get_run(tracker_run_id)
    settings = {k: v for k, v in record.params.items() if k.startswith(("train/", "weights/"))}
    model = client.create_logged_model(
        run.info.experiment_id,
        name=record.name,
        source_run_id=tracker_run_id,
        model_type=_MODEL_TYPE,
        params=settings,
        tags={
            names.MODEL_URI: record.model_uri or "",
            names.RUN_ID: record.run_id,
            names.CODE_DIGEST: record.code_digest,
            names.DATASET_DIGEST: record.dataset_digest,
        },
    )
    client.finalize_logged_model(model.model_id, "READY")
    _log_scores(client, run, record, model.model_id)
    # Last: a call that died before it is repeated, and the entry without scores is nobody's output.
    client.log_outputs(tracker_run_id, [LoggedModelOutput(model_id=model.model_id, step=0)])


def _log_scores(client: Any, run: Any, record: RunRecord, model_id: str) -> None:
    """The run's test scores once more, at their own times, now with the model and its data."""
    from mlflow.entities import Metric

    digest = short_digest(record.dataset_digest)
    # A server refuses a name without a digest; a database takes it.
    data = {"dataset_name": record.experiment, "dataset_digest": digest} if digest else {}
    scores = []
    for name in record.metrics:
        history = (
            client.get_metric_history(run.info.run_id, name) if name.startswith("test/") else []
        )
        scores += [
            Metric(
                name,
                point.value,
                point.timestamp,
                point.step,
                model_id=model_id,
                **data,
            )
            for point in history[-1:]
        ]
    if scores:
        client.log_batch(run.info.run_id, metrics=scores)


def log_trials(client: Any, tracker_run_id: str, trials: Sequence[Trial]) -> None:
    """Each trial as a run nested under the run that tried it; those that are there already are left."""
    from mlflow.entities import Metric, Param

    parent = client.get_run(tracker_run_id)
    experiment_id = parent.info.experiment_id
    there = _trials_there(client, experiment_id, tracker_run_id)
    for trial in trials:
        if trial.number in there:
            continue
        tags = {
            "mlflow.parentRunId": tracker_run_id,
            "mlflow.source.name": "pedigree",
            names.TRIAL_BEST: str(trial.best).lower(),
        }
        run = client.create_run(
            experiment_id,
            start_time=trial.t_ms,
            tags=tags,
            run_name=f"{parent.info.run_name} trial {trial.number}",
        )
        client.log_batch(
            run.info.run_id,
            metrics=[Metric(name, value, trial.t_ms, 0) for name, value in trial.metrics.items()],
            params=[Param(f"train/{name}", value) for name, value in trial.settings.items()],
        )
        # Last: a trial whose writing was cut off is not counted as there and is written again.
        client.set_tag(run.info.run_id, names.TRIAL, str(trial.number))
        client.set_terminated(run.info.run_id, "FINISHED", trial.t_ms)
        there.add(trial.number)


def _trials_there(client: Any, experiment_id: str, parent_id: str) -> set[int]:
    """The numbers of the trials that are whole; a run that a crash left in parts is deleted."""
    there: set[int] = set()
    token = None
    while True:
        page = client.search_runs(
            [experiment_id],
            filter_string=f"tags.`mlflow.parentRunId` = '{parent_id}'",
            max_results=1000,
            page_token=token,
        )
        for run in page:
            if names.TRIAL in run.data.tags:
                there.add(int(run.data.tags[names.TRIAL]))
            else:
                client.delete_run(run.info.run_id)
        token = page.token
        if not token:
            return there
