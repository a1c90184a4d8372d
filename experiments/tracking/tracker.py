"""The one door to MLflow. Writing the same thing twice changes nothing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from experiments import names
from experiments.errors import CloudError
from experiments.events import MetricPoint, Trial
from experiments.records import Basis, Cost, LaunchPlan, RunRecord, RunStatus
from experiments.tracking.entries import dataset_input, link_version, log_model, log_trials
from experiments.tracking.notes import closing_tags, cost_table, opening_tags, requests_text
from experiments.tracking.rows import record_of
from experiments.tracking.stores import is_database, open_client

_BATCH = 1000  # the most that MLflow takes in one request
_MAX_TEXT_BYTES = 64 * 1024**2
# MLflow's pages then show what model training needs, and not what prompts need.
_KIND = {"mlflow.experimentKind": "custom_model_development"}
_END_STATUS = {
    RunStatus.SUCCEEDED: "FINISHED",
    RunStatus.FAILED: "FAILED",
    RunStatus.REFUSED: "FAILED",
    RunStatus.STOPPED: "KILLED",
}


class Tracker:
    """Runs in one MLflow store. `root` is where artifacts and the creation lock live."""

    def __init__(self, uri: str, root: Path) -> None:
        self.uri = uri
        self.root = root

    @cached_property
    def _client(self) -> Any:
        return open_client(self.uri, self.root)

    def _experiment_id(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        place = None
        if is_database(self.uri):  # a server has its own place
            place = (self.root / "mlartifacts" / name).resolve().as_uri()
        try:
            return str(self._client.create_experiment(name, artifact_location=place, tags=_KIND))
        except Exception:  # another process was first
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)

    def open_run(self, plan: LaunchPlan, *, now: datetime, again: bool = False) -> str:
        """Open the run before anything is launched, so that a refusal is on record too. Its MLflow id.

        `again` looks for the run first: an earlier call may have died before its answer was kept.
        """
        experiment_id = self._experiment_id(plan.experiment)
        run_id = self._opened_before(experiment_id, plan.run_id) if again else None
        if run_id is None:
            run = self._client.create_run(
                experiment_id,
                start_time=int(now.timestamp() * 1000),
                tags=opening_tags(plan),
                run_name=plan.run_name,
            )
            run_id = str(run.info.run_id)
        self._log(run_id, params=plan.params)
        self._client.log_inputs(run_id, datasets=[dataset_input(plan)])
        self._client.log_text(run_id, requests_text(plan), "launch/requests.json")
        return run_id

    def _opened_before(self, experiment_id: str, run_id: str) -> str | None:
        found = self._client.search_runs(
            [experiment_id], filter_string=f"tags.`{names.RUN_ID}` = '{run_id}'", max_results=1
        )
        return str(found[0].info.run_id) if found else None

    def log_points(self, tracker_run_id: str, points: Sequence[MetricPoint]) -> None:
        """Mirror metric values with their own times; a value written twice is written once."""
        from mlflow.entities import Metric

        for at in range(0, len(points), _BATCH):
            batch = [Metric(p.name, p.value, p.t_ms, p.step) for p in points[at : at + _BATCH]]
            self._client.log_batch(tracker_run_id, metrics=batch)

    def log_trials(self, tracker_run_id: str, trials: Sequence[Trial]) -> None:
        """Each trial as a run of its own, nested under its run in MLflow's table. Safe to repeat."""
        log_trials(self._client, tracker_run_id, trials)

    def tag(self, tracker_run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        self._log(tracker_run_id, tags=tags)

    def log_params(self, tracker_run_id: str, params: Mapping[str, str]) -> None:
        """Add params to a run. The first value stands: MLflow cannot change one, and a run that was
        moved to another host after an interruption may say something else the second time."""
        known = self._client.get_run(tracker_run_id).data.params
        fresh = {key: value for key, value in params.items() if key not in known}
        if fresh:
            self._log(tracker_run_id, params=fresh)

    def log_file(self, tracker_run_id: str, data: bytes, name: str) -> None:
        """Keep a file as an artifact of a run."""
        with tempfile.TemporaryDirectory() as scratch:
            place = Path(scratch) / Path(name).name
            place.write_bytes(data)
            self._client.log_artifact(tracker_run_id, str(place))

    def read_text(self, tracker_run_id: str, path: str) -> str | None:
        """The text of a run's artifact (at most 64 MiB), or None if the run has none of that name."""
        there = {file.path: file.file_size for file in self._client.list_artifacts(tracker_run_id)}
        if path not in there or (there[path] or 0) > _MAX_TEXT_BYTES:
            return None
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        with tempfile.TemporaryDirectory() as scratch:
            found = Path(self._client.download_artifacts(tracker_run_id, path, scratch))
            return found.read_text(encoding="utf-8", errors="replace")

    def _log(
        self,
        run_id: str,
        *,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        from mlflow.entities import Param, RunTag

        self._client.log_batch(
            run_id,
            params=[Param(key, value[:6000]) for key, value in (params or {}).items()],
            tags=[RunTag(key, value[:5000]) for key, value in (tags or {}).items()],
        )

    def close_run(
        self, tracker_run_id: str, record: RunRecord, cost: Cost, *, now: datetime
    ) -> None:
        """Settle a run: its cost with every line's frozen price, its state, its model. Safe to repeat.

        `now` is the time of a run's end that nobody told.
        """
        self._log(tracker_run_id, tags=closing_tags(record, cost))
        at_ms = int((record.ended_at or now).timestamp() * 1000)
        figures = {
            names.COST_METRIC: float(cost.total_usd),
            names.BILLABLE_METRIC: record.billable_s or 0.0,
            **{n: v for n, v in record.metrics.items() if n == names.DOWNLOAD_METRIC},
        }
        points = [MetricPoint(name=n, value=v, step=0, t_ms=at_ms) for n, v in figures.items()]
        self.log_points(tracker_run_id, points)
        if "cost.json" not in {file.path for file in self._client.list_artifacts(tracker_run_id)}:
            self._client.log_table(tracker_run_id, cost_table(cost), "cost.json")  # it appends
        if record.model_uri and record.status is RunStatus.SUCCEEDED:
            log_model(self._client, tracker_run_id, record)
        self._client.set_terminated(tracker_run_id, _END_STATUS[record.status], at_ms)

    def set_billed(
        self, usd_by_run: Mapping[str, Decimal], records: Iterable[RunRecord], *, now: datetime
    ) -> None:
        """Put AWS's own figure in the place of the estimate; the run's lines keep what was reckoned."""
        at_ms = int(now.timestamp() * 1000)
        for record in records:
            usd = usd_by_run.get(record.run_id)
            if usd is None:
                continue
            tags = {names.COST_USD: str(usd), names.COST_BASIS: Basis.BILLED.value}
            self._log(record.tracker_run_id, tags=tags)
            point = MetricPoint(name=names.COST_METRIC, value=float(usd), step=0, t_ms=at_ms)
            self.log_points(record.tracker_run_id, [point])

    def register(self, name: str, record: RunRecord, tags: Mapping[str, str]) -> str:
        """Register a run's model as a new version of `name` with the alias `champion`. The version."""
        known = {m.name for m in self._client.search_registered_models()}
        if name not in known:
            self._client.create_registered_model(name)
        version = None
        for found in self._client.search_model_versions(f"name='{name}'"):
            if found.run_id == record.tracker_run_id:
                version = found
        if version is None:
            version = self._client.create_model_version(
                name,
                source=record.model_uri,
                run_id=record.tracker_run_id,
                description=f"{record.experiment} / {record.name}, run {record.run_id}",
            )
        link_version(self._client, record.tracker_run_id, name, str(version.version))
        for key, value in tags.items():
            self._client.set_model_version_tag(name, version.version, key, value)
            self._client.set_tag(record.tracker_run_id, key, value)
        self._client.set_registered_model_alias(name, "champion", version.version)
        return str(version.version)

    def runs(self, experiment: str | None = None, limit: int = 10_000) -> list[RunRecord]:
        """The runs that Pedigree launched, newest first."""
        experiments = self._client.search_experiments()
        by_id = {e.experiment_id: e.name for e in experiments if experiment in (None, e.name)}
        found: list[RunRecord] = []
        token: str | None = None
        while by_id and len(found) < limit:
            page = self._client.search_runs(
                list(by_id),
                filter_string=f"tags.`{names.RUN_ID}` != ''",
                max_results=min(1000, limit - len(found)),
                page_token=token,
            )
            found += [_record(run, by_id[run.info.experiment_id]) for run in page]
            token = page.token
            if not token:
                break
        return found

    def whole(self, tracker_run_id: str) -> RunRecord:
        """One run with every param and metric it has."""
        run = self._client.get_run(tracker_run_id)
        return _record(run, self._client.get_experiment(run.info.experiment_id).name)

    def history(self, tracker_run_id: str, metric: str) -> list[tuple[int, float]]:
        """The values of one metric as (step, value), by step."""
        points = self._client.get_metric_history(tracker_run_id, metric)
        return sorted((point.step, point.value) for point in points)

    def find(self, word: str, records: Iterable[RunRecord] | None = None) -> RunRecord:
        """The newest run with this id or name. Raises CloudError naming the ones there are."""
        there = list(records if records is not None else self.runs())
        for record in there:
            if word in (record.run_id, record.tracker_run_id, record.name):
                return record
        shown = ", ".join(f"{r.name} ({r.run_id})" for r in there[:8]) or "none yet"
        raise CloudError(f"there is no run {word!r}", fix=f"name one of: {shown}")


def _record(run: Any, experiment: str) -> RunRecord:
    return record_of(
        tracker_run_id=run.info.run_id,
        name=run.info.run_name,
        experiment=experiment,
        start_ms=run.info.start_time,
        end_ms=run.info.end_time,
        tags=run.data.tags,
        params=run.data.params,
        metrics=run.data.metrics,
    )
