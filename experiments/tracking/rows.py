"""What the tracker holds of a run, as our record: one reading for MLflow's objects and for its tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from experiments import names
from experiments.records import Basis, RunRecord, RunStatus


def record_of(
    *,
    tracker_run_id: str,
    name: str | None,
    experiment: str,
    start_ms: int | None,
    end_ms: int | None,
    tags: Mapping[str, str],
    params: Mapping[str, str],
    metrics: Mapping[str, float],
) -> RunRecord:
    """The record of a run that Pedigree launched; `tags` hold at least its id."""
    cost = tags.get(names.COST_USD)
    basis = tags.get(names.COST_BASIS)
    return RunRecord(
        run_id=tags[names.RUN_ID],
        tracker_run_id=tracker_run_id,
        name=name or tags[names.RUN_ID],
        experiment=experiment,
        status=RunStatus(tags.get(names.STATUS, "failed")),
        launcher=params.get("launch/on", ""),
        instance_type=params.get("launch/instance_type", ""),
        hosts=int(params.get("launch/hosts", "1")),
        reason=tags.get(names.REASON, ""),
        metrics=metrics,
        params=params,
        billable_s=metrics.get(names.BILLABLE_METRIC),
        cost_usd=Decimal(cost) if cost else None,
        cost_basis=Basis(basis) if basis else None,
        model_uri=tags.get(names.MODEL_URI) or None,
        dataset_digest=tags.get(names.DATASET_DIGEST, ""),
        code_digest=tags.get(names.CODE_DIGEST, ""),
        git_commit=params.get("code/git_commit", ""),
        started_at=_moment(start_ms),
        ended_at=_moment(end_ms),
        warnings=tuple(filter(None, tags.get(names.WARNINGS, "").split("\n"))),
    )


def _moment(ms: int | None) -> datetime | None:
    return datetime.fromtimestamp(ms / 1000, tz=UTC) if ms else None
