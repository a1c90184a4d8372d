"""Read many runs straight from MLflow's database. Read-only: everything is written through MLflow.

MLflow's `search_runs` builds every param, tag and metric of every run as an object; a leaderboard needs
a dozen values of each. Here each value is one indexed range of its table (`key` leads their primary
keys), and MLflow itself need not be imported. A store behind an MLflow server is not a database that
can be read here: `is_database` says so, and the caller uses `search_runs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments import names
from experiments.records import RunRecord
from experiments.tracking.rows import record_of
from experiments.tracking.stores import is_database

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine

    from experiments.tracking.tracker import Tracker

_READ_ONLY = {"postgresql_readonly": True}
"""Heeded by PostgreSQL alone; a sqlite file is opened with mode=ro."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which metrics, params and tags of each run are read."""

    metrics: tuple[str, ...]
    params: tuple[str, ...]
    tags: tuple[str, ...]


BOARD = Columns(
    metrics=(names.QUALITY_METRIC, "time/total_s", names.BILLABLE_METRIC),
    params=("launch/on", "launch/instance_type", "launch/hosts"),
    tags=(
        names.RUN_ID,
        names.STATUS,
        names.REASON,
        names.COST_USD,
        names.COST_BASIS,
        names.MODEL_URI,
        names.WARNINGS,
    ),
)
"""What a leaderboard, the spend by day and the budgets need."""

FORECAST = Columns(
    metrics=(*BOARD.metrics, "memory/peak_mb"),
    params=(
        *BOARD.params,
        *("launch/region", "launch/spot", "data/images", "data/digest"),
        *("train/backbone", "train/epochs", "train/engine", "train/feature_engine", "train/crop"),
        *("train/trainable", "train/deep_epochs", "train/views", "train/trials"),
    ),
    tags=BOARD.tags,
)
"""What a prediction of time and cost learns from."""


def read_runs(
    uri: str, columns: Columns = BOARD, *, experiment: str | None = None, limit: int = 1_000_000
) -> list[RunRecord] | None:
    """The runs that Pedigree launched, newest first, with the values of `columns`.

    None if the database cannot be read in this way (a fresh store without tables, a missing driver,
    another layout): the caller then asks MLflow.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        engine = _engine(uri)
        if engine is None:
            return None
        with engine.connect().execution_options(**_READ_ONLY) as connection:
            found = _records(connection, columns, experiment, limit)
        engine.dispose()
        return found
    except (SQLAlchemyError, ImportError):
        return None


def board(
    tracker: Tracker, experiment: str | None = None, *, columns: Columns = BOARD
) -> list[RunRecord]:
    """The runs of a tracker, newest first, with at least the values of `columns`.

    Straight from the database where there is one; through an MLflow server by its search_runs, which
    brings every value of every run.
    """
    if is_database(tracker.uri):
        found = read_runs(tracker.uri, columns, experiment=experiment)
        if found is not None:
            return found
    return tracker.runs(experiment, limit=1_000_000)


def _engine(uri: str) -> Engine | None:
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url
    from sqlalchemy.pool import NullPool

    url = make_url(uri)
    if url.get_backend_name() != "sqlite":
        return create_engine(url, poolclass=NullPool)
    path = _sqlite_path(url)
    if path is None or not path.is_file():
        return None
    read_only = f"sqlite:///file:{path}?mode=ro&uri=true"
    return create_engine(read_only, poolclass=NullPool, connect_args={"timeout": 30})


def _sqlite_path(url: URL) -> Path | None:
    return Path(url.database).resolve() if url.database and url.database != ":memory:" else None


def _records(
    connection: Connection, columns: Columns, experiment: str | None, limit: int
) -> list[RunRecord]:
    from sqlalchemy import text

    query = (
        "SELECT r.run_uuid, r.name, r.start_time, r.end_time, e.name FROM runs r"
        " JOIN experiments e ON e.experiment_id = r.experiment_id"
        " WHERE r.lifecycle_stage = 'active' AND e.lifecycle_stage = 'active'"
    )
    named = {"experiment": experiment} if experiment is not None else {}
    query += " AND e.name = :experiment" if named else ""
    rows = connection.execute(text(query), named).fetchall()
    tags = _values(connection, "tags", "value", columns.tags)
    params = _values(connection, "params", "value", columns.params)
    metrics = _values(connection, "latest_metrics", "value", columns.metrics)
    # MLflow's own order: newest first, ties by the run's id.
    ours = sorted(
        (row for row in rows if names.RUN_ID in tags.get(row[0], {})),
        key=lambda row: (-(row[2] or 0), row[0]),
    )
    nothing: dict[str, Any] = {}
    return [
        record_of(
            tracker_run_id=run_uuid,
            name=name,
            experiment=of,
            start_ms=start,
            end_ms=end,
            tags=tags.get(run_uuid, nothing),
            params=params.get(run_uuid, nothing),
            metrics=metrics.get(run_uuid, nothing),
        )
        for run_uuid, name, start, end, of in ours[:limit]
    ]


def _values(
    connection: Connection, table: str, column: str, keys: Iterable[str]
) -> Mapping[str, dict[str, Any]]:
    """run id -> key -> value; one indexed range for each key. `table` and `column` are our own words."""
    from sqlalchemy import text

    found: dict[str, dict[str, Any]] = {}
    key_column = "`key`" if connection.dialect.name == "mysql" else '"key"'
    query = text(f"SELECT run_uuid, {column} FROM {table} WHERE {key_column} = :name")  # noqa: S608
    for key in keys:
        result = connection.execute(query, {"name": key})
        # The driver's own tuples: SQLAlchemy's rows take as long again to make.
        for run_uuid, value in result.cursor.fetchall():
            try:
                found[run_uuid][key] = value
            except KeyError:
                found[run_uuid] = {key: value}
        result.close()
    return found
