"""A release: one model, one handler, one image and the settings they are served with.

Its id derives from that content, so a repeated promotion finds its own work again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from deployment.gates import Gate
from deployment.settings import ServingSettings
from experiments.records import RunRecord

SCHEMA = 1


class ReleaseStatus(StrEnum):
    """What became of a release. Every one may be applied again.

    `rolled-back` was sent back by its alarms; `superseded` and `torn-down` were live once, and may
    be rolled back to.
    """

    PLANNED = "planned"
    APPLYING = "applying"
    LIVE = "live"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    ROLLED_BACK = "rolled-back"
    TORN_DOWN = "torn-down"


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file in the bucket. `digest` is `sha256:<hex>` of its bytes."""

    key: str
    digest: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class GoldenFile:
    """A golden photo in the bucket, and the class that the model has to see in it."""

    stored: StoredFile
    label: str
    content_type: str


@dataclass(frozen=True, kw_only=True)
class Release:
    """Everything that is needed to make this release live again at any later time."""

    release_id: str
    settings: ServingSettings
    run_id: str
    tracker_run_id: str
    run_name: str
    source_uri: str
    model_digest: str
    model: StoredFile
    function: StoredFile
    image: str
    created_at: datetime
    metrics: Mapping[str, float] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()
    golden: tuple[GoldenFile, ...] = ()
    override: str = ""
    """Why it went live although a gate was shut; empty if none was."""
    rates: Mapping[str, str] = field(default_factory=dict)
    """Prices that the function counts its log with: those of the day the release was made.

    They are part of what is deployed, not of the id: a newer price book changes no release.
    """

    @property
    def model_name(self) -> str:
        """The name of the model and of the endpoint configuration in AWS."""
        return self.settings.release_name(self.release_id)


def content_digest(
    settings: ServingSettings, *, model_digest: str, function_digest: str, image: str
) -> str:
    """Eight hex digits that name what is served and how."""
    how = asdict(settings)
    # What is not used does not count: releases from before these were settings keep their ids.
    if not settings.capture_percent:
        del how["capture_percent"]
    if not settings.function_url:
        del how["function_url"]
    if not settings.is_serverless:
        del how["serverless_memory_mb"], how["serverless_concurrency"]
    content = [how, model_digest, function_digest, image]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def release_id_for(content: str, known: Iterable[str], now: datetime) -> str:
    """`r-<yyyymmdd>-<content>`: the known id of the same content if there is one, else today's."""
    return next(
        (name for name in sorted(known) if name.endswith(f"-{content}")),
        f"r-{now.astimezone(UTC):%Y%m%d}-{content}",
    )


def new_release(
    *,
    release_id: str,
    settings: ServingSettings,
    record: RunRecord,
    model_digest: str,
    model: StoredFile,
    function: StoredFile,
    image: str,
    gates: tuple[Gate, ...],
    now: datetime,
    golden: tuple[GoldenFile, ...] = (),
    override: str = "",
    rates: Mapping[str, str] | None = None,
) -> Release:
    """The release of a run's model."""
    return Release(
        release_id=release_id,
        settings=settings,
        run_id=record.run_id,
        tracker_run_id=record.tracker_run_id,
        run_name=record.name,
        source_uri=record.model_uri or "",
        model_digest=model_digest,
        model=model,
        function=function,
        image=image,
        created_at=now,
        metrics=dict(record.metrics),
        gates=gates,
        golden=golden,
        override=override,
        rates=dict(rates or {}),
    )


def release_to_json(release: Release) -> dict[str, Any]:
    """Plain data, for the store."""
    return {**asdict(release), "schema": SCHEMA, "created_at": release.created_at.isoformat()}


def release_from_json(data: Mapping[str, Any]) -> Release:
    """What `release_to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
    content = {key: value for key, value in data.items() if key != "schema"}
    settings = dict(content["settings"])
    settings["allowed_origins"] = tuple(settings["allowed_origins"])
    return Release(
        **{
            **content,
            "settings": ServingSettings(**settings),
            "model": StoredFile(**content["model"]),
            "function": StoredFile(**content["function"]),
            "gates": tuple(Gate(**gate) for gate in content["gates"]),
            "golden": tuple(_golden(photo) for photo in content.get("golden", ())),
            "created_at": datetime.fromisoformat(content["created_at"]),
        }
    )


def _golden(photo: Mapping[str, Any]) -> GoldenFile:
    return GoldenFile(**{**photo, "stored": StoredFile(**photo["stored"])})
