"""A release, a call and its answer as data for the page. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dashboard import formats, terms
from dashboard.records import LiveRelease, Photo, Tile
from deployment.gates.trial import Reply
from deployment.invoke import Answer, Prediction, Way, predictions_of
from experiments.cost import HOURS_PER_MONTH

_READY = "InService"


def live_tiles(live: LiveRelease) -> list[Tile]:
    """What is live, on what, and what it costs while nobody asks."""
    release, settings = live.release, live.settings
    scale = _scale(live)
    quality = formats.share(release.metrics.get("test/top1"))
    warm = f"{settings.provisioned_concurrency} warm, {settings.reserved_concurrency} at most"
    return [
        Tile(
            label="Release",
            value=release.run_name,
            detail=f"{release.release_id} · test top-1 {quality}",
            help=terms.RELEASE,
        ),
        Tile(
            label="Endpoint",
            value="In service" if live.endpoint_status == _READY else live.endpoint_status,
            detail=scale,
            help=terms.ENDPOINT,
        ),
        Tile(label="Function", value=settings.name, detail=warm, help=terms.FUNCTION),
        _standing(live),
    ]


def _scale(live: LiveRelease) -> str:
    """How many instances there are, and between which numbers they may be."""
    settings = live.settings
    if settings.is_serverless:
        memory, most = settings.serverless_memory_mb, settings.serverless_concurrency
        return f"serverless, {memory} MB, {most} at once"
    now = formats.NOTHING if live.instances is None else str(live.instances)
    return f"{now} of {settings.min_instances} to {settings.max_instances} {settings.instance_type}"


def _standing(live: LiveRelease) -> Tile:
    hourly = live.standing_usd_per_h
    monthly = None if hourly is None else hourly * HOURS_PER_MONTH
    detail = (
        "no price in the book"
        if hourly is None
        else f"{live.basis} · {formats.usd(monthly)} a month"
    )
    return Tile(
        label="Standing cost an hour", value=formats.usd(hourly), detail=detail, help=terms.STANDING
    )


def trouble(live: LiveRelease) -> str:
    """What a person has to know of the endpoint before asking; empty if it is in service."""
    if live.endpoint_status == _READY:
        return ""
    if live.endpoint_status == "Missing":
        return f"The endpoint {live.settings.name} is gone. Promote again: `promote-model`."
    return f"SageMaker says the endpoint is {live.endpoint_status}: a call may wait or fail."


def call_tiles(answer: Answer) -> list[Tile]:
    """How long the call took and where, and what it cost."""
    straight = answer.way is Way.ENDPOINT
    start = "cold start" if answer.cold_start else "warm function"
    billed = "no function in between" if straight else f"{answer.billed_ms:,} ms billed"
    return [
        Tile(
            label="Latency",
            value=formats.milliseconds(answer.latency_ms),
            detail="straight to the endpoint" if straight else start,
            help=terms.LATENCY,
        ),
        Tile(
            label="Model",
            value=formats.milliseconds(_timing(answer).get("model")),
            detail=f"queue {formats.milliseconds(_timing(answer).get('queue'))}",
            help=terms.ENDPOINT_TIME,
        ),
        Tile(
            label="Cost of the call",
            value=formats.usd(answer.cost.total_usd) if answer.cost.lines else "not known",
            detail=f"{answer.cost.basis} · {billed}",
            help=terms.CALL_COST_STRAIGHT if straight else terms.CALL_COST,
        ),
    ]


def _timing(answer: Answer) -> Mapping[str, float]:
    """The model server's own times of the call, in ms; empty where it tells none."""
    said = answer.body.get("timing_ms")
    if not isinstance(said, Mapping):
        return {}
    return {str(k): float(v) for k, v in said.items() if isinstance(v, int | float)}


@dataclass(frozen=True, kw_only=True)
class Part:
    """One stretch of a call's latency."""

    name: str
    ms: float


def latency_split(answer: Answer) -> list[Part]:
    """Where the time went, in order; empty where the model server tells no times.

    The parts add up to the latency: each is what is left of the one around it.
    """
    timing = _timing(answer)
    if "model" not in timing:
        return []
    queue = timing.get("queue", 0.0)
    model = timing["model"] + timing.get("decode", 0.0)
    inside = answer.endpoint_ms or answer.latency_ms
    parts = (
        []
        if answer.way is Way.ENDPOINT
        else [("function and way to it", answer.latency_ms - inside)]
    )
    way = "way to the endpoint" if parts else "way to the endpoint and back"
    parts += [(way, inside - queue - model), ("queue", queue), ("model", model)]
    return [Part(name=name, ms=max(ms, 0.0)) for name, ms in parts]


def samples(
    photos: Mapping[str, Sequence[Path]], label: str, *, sent: Photo, most: int
) -> list[Path]:
    """A few photos of a class, not the one that was sent."""
    itself = sent.name if sent.label == label else ""
    return [path for path in photos.get(label, ()) if path.name != itself][:most]


def rival_predictions(reply: Reply) -> tuple[Prediction, ...]:
    """What a release on this machine said; empty if it refused the photo."""
    return predictions_of(reply.body) if reply.status == 200 else ()


def rival_tiles(reply: Reply) -> list[Tile]:
    """How long a release on this machine took."""
    timing = reply.body.get("timing_ms")
    model = timing.get("model") if isinstance(timing, Mapping) else None
    return [
        Tile(
            label="Latency here",
            value=formats.milliseconds(reply.ms),
            detail=f"model {formats.milliseconds(model)}",
            help=terms.RIVAL,
        )
    ]


def verdict(photo: Photo, predictions: Sequence[Prediction]) -> tuple[bool, str] | None:
    """Whether the first class is the one the photo is filed under, in words; None if not known."""
    if not photo.label or not predictions:
        return None
    right = predictions[0].label == photo.label
    return right, "right" if right else f"wrong, it is filed under {formats.spoken(photo.label)}"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What the server says is wrong with a request, and its advice."""

    message: str
    fix: str


def fault(answer: Answer) -> Fault:
    """The server's own words for an answer that is no prediction."""
    error = answer.body.get("error")
    words = error if isinstance(error, Mapping) else {}
    message = str(words.get("message") or answer.error or f"the answer has status {answer.status}")
    return Fault(message=message, fix=str(words.get("fix") or "send another photo"))
