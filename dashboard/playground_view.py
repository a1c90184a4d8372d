"""A release, a call and its answer as data for the page, and the same call written elsewhere. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dashboard import formats, terms
from dashboard.records import LiveRelease, Photo, Tile
from deployment.invoke import Answer
from deployment.settings import ALIAS
from experiments.cost import HOURS_PER_MONTH

_LOCAL_KEY = "localaws"
_READY = "InService"


def live_tiles(live: LiveRelease) -> list[Tile]:
    """What is live, on what, and what it costs while nobody asks."""
    release, settings = live.release, live.settings
    now = formats.NOTHING if live.instances is None else str(live.instances)
    scale = (
        f"{now} of {settings.min_instances} to {settings.max_instances} {settings.instance_type}"
    )
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
    timing = answer.body.get("timing_ms")
    model_ms = timing.get("model") if isinstance(timing, Mapping) else None
    start = "cold start" if answer.cold_start else "warm function"
    return [
        Tile(
            label="Latency",
            value=formats.milliseconds(answer.latency_ms),
            detail=start,
            help=terms.LATENCY,
        ),
        Tile(
            label="In the endpoint",
            value=formats.milliseconds(answer.endpoint_ms),
            detail=f"model {formats.milliseconds(model_ms)}",
            help=terms.ENDPOINT_TIME,
        ),
        Tile(
            label="Cost of the call",
            value=formats.usd(answer.cost.total_usd) if answer.cost.lines else "not known",
            detail=f"{answer.cost.basis} · {answer.billed_ms:,} ms billed",
            help=terms.CALL_COST,
        ),
    ]


def verdict(photo: Photo, answer: Answer) -> tuple[bool, str] | None:
    """Whether the first class is the one the photo is filed under, in words; None if not known."""
    if not photo.label or not answer.predictions:
        return None
    right = answer.predictions[0].label == photo.label
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


def request_shown(live: LiveRelease, photo: Photo) -> str:
    """The Invoke request as JSON; of the photo only its size."""
    settings = live.settings
    event = {
        "body": f"<{len(photo.data):,} bytes of {photo.name} in base64>",
        "isBase64Encoded": True,
        "headers": {"content-type": photo.content_type},
    }
    request = {
        "FunctionName": settings.name,
        "Qualifier": ALIAS,
        "LogType": "Tail",
        "Payload": event,
    }
    return json.dumps(request, indent=2)


def response_shown(answer: Answer) -> str:
    """The function's answer as JSON."""
    about = {"status": answer.status, "function_version": answer.function_version}
    return json.dumps({**about, "body": _plain(answer.body)}, indent=2)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def as_python(live: LiveRelease, photo: Photo) -> str:
    """The same call in Python with boto3, ready to run beside the photo."""
    where = [f"region_name={live.region!r}"]
    if live.cloud_url:
        where += [
            f"endpoint_url={live.cloud_url!r}",
            f"aws_access_key_id={_LOCAL_KEY!r}",
            f"aws_secret_access_key={_LOCAL_KEY!r}",
        ]
    arguments = "".join(f"    {part},\n" for part in ['"lambda"', *where])
    return f"""import base64
import json
from pathlib import Path

import boto3

client = boto3.client(
{arguments})
event = {{
    "body": base64.b64encode(Path({photo.name!r}).read_bytes()).decode(),
    "isBase64Encoded": True,
    "headers": {{"content-type": {photo.content_type!r}}},
}}
answer = client.invoke(
    FunctionName={live.settings.name!r}, Qualifier={ALIAS!r}, Payload=json.dumps(event)
)
print(json.loads(json.loads(answer["Payload"].read())["body"]))
"""


def as_aws_cli(live: LiveRelease, photo: Photo) -> str:
    """The same call with the AWS command line, version 2."""
    where = f"export AWS_REGION={live.region}\n"
    if live.cloud_url:
        where += (
            f"export AWS_ENDPOINT_URL={live.cloud_url}\n"
            f"export AWS_ACCESS_KEY_ID={_LOCAL_KEY} AWS_SECRET_ACCESS_KEY={_LOCAL_KEY}\n"
        )
    event = f'{{"body":"%s","isBase64Encoded":true,"headers":{{"content-type":"{photo.content_type}"}}}}'
    name = shlex.quote(photo.name if not photo.name.startswith("-") else f"./{photo.name}")
    return f"""{where}
printf {shlex.quote(event)} "$(base64 < {name} | tr -d '\\n')" > event.json
aws lambda invoke --function-name {live.settings.name} --qualifier {ALIAS} \\
  --cli-binary-format raw-in-base64-out --payload file://event.json answer.json
cat answer.json
"""
