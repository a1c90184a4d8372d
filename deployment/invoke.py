"""Ask the live model for a prediction, through Lambda, and say what the call took and cost."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from deployment.monthly import Standing, call_cost, standing_usd_per_hour
from deployment.settings import ALIAS, ServingSettings
from experiments.aws import Cloud
from experiments.cost import money
from experiments.errors import CloudError, DataError, PriceError
from experiments.prices import PriceBook
from experiments.records import Cost

# Base64 makes four bytes of three, and Lambda takes 6 MB in one call.
MAX_IMAGE_BYTES = 4 * 1024 * 1024
_MAX_PAYLOAD_BYTES = 7 * 1024 * 1024
_REPORT = re.compile(r"^REPORT RequestId: (?P<id>\S+)", re.MULTILINE)
_BILLED = re.compile(r"Billed Duration: (\d+) ms")
_MEMORY = re.compile(r"Memory Size: (\d+) MB")
_INIT = re.compile(r"Init Duration: [\d.]+ ms")


class Way(StrEnum):
    """How a photo gets to the model: through the function in front, or by InvokeEndpoint itself."""

    LAMBDA = "lambda"
    ENDPOINT = "endpoint"


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One label and its probability, 0 to 1."""

    label: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back. `predictions` are the best first, and empty unless `status` is 200.

    `latency_ms` is the whole call as seen here, `endpoint_ms` the function's question to the
    endpoint, `billed_ms` what Lambda bills. `cold_start`: the caller waited for an environment to
    start. `standing_usd_per_h` is paid whether asked or not and no part of `cost`; None if there is
    no price for it. Straight to the endpoint there is no function: its members are empty, 0 and None.
    """

    status: int
    predictions: tuple[Prediction, ...]
    model_version: str
    function_version: str
    latency_ms: float
    endpoint_ms: float | None
    billed_ms: int
    request_id: str
    cold_start: bool
    provisioned: bool
    cost: Cost
    standing_usd_per_h: Decimal | None
    body: Mapping[str, Any]
    error: str = ""
    way: Way = Way.LAMBDA


@dataclass(frozen=True, kw_only=True)
class CallReport:
    """What the tail of the function's log says of a call."""

    request_id: str
    billed_ms: int
    memory_mb: int
    cold_start: bool
    provisioned: bool


def invoke(
    cloud: Cloud,
    settings: ServingSettings,
    image: bytes,
    content_type: str,
    *,
    book: PriceBook,
    qualifier: str = ALIAS,
    clock: Callable[[], float] = time.monotonic,
) -> Answer:
    """Send a photo through the function. An answer with an error status is an Answer too.

    Raises DataError for a photo that Lambda cannot take, CloudError if Lambda cannot be reached,
    refuses the call, or the function itself broke.
    """
    refuse_size(image)
    event = {
        "body": base64.b64encode(image).decode(),
        "isBase64Encoded": True,
        "headers": {"content-type": content_type},
    }
    started = clock()
    answer = cloud.ask(
        "lambda",
        "invoke",
        FunctionName=settings.name,
        Qualifier=qualifier,
        LogType="Tail",
        Payload=json.dumps(event).encode(),
    )
    payload = answer["Payload"].read(_MAX_PAYLOAD_BYTES)
    latency_ms = round((clock() - started) * 1000, 2)
    tail = base64.b64decode(answer.get("LogResult", "")).decode("utf-8", "replace")
    if answer.get("FunctionError"):
        raise _broken(settings, payload, tail)
    report = read_report(tail, memory_mb=settings.memory_mb)
    return _answer(
        cloud, settings, payload, report, book, latency_ms, str(answer.get("ExecutedVersion", ""))
    )


def refuse_size(image: bytes) -> None:
    """Raises DataError for a photo that cannot be sent."""
    if not 0 < len(image) <= MAX_IMAGE_BYTES:
        raise DataError(
            f"the photo has {len(image)} bytes", fix=f"send 1 to {MAX_IMAGE_BYTES} bytes"
        )


def _answer(
    cloud: Cloud,
    settings: ServingSettings,
    payload: bytes,
    report: CallReport,
    book: PriceBook,
    latency_ms: float,
    version: str,
) -> Answer:
    status, body = _read_payload(payload)
    hourly = standing(cloud, settings, book)
    endpoint_ms = body.get("endpoint_ms")
    return Answer(
        status=status,
        predictions=predictions_of(body) if status == 200 else (),
        model_version=str(body.get("model_version", "")),
        function_version=version,
        latency_ms=latency_ms,
        endpoint_ms=float(endpoint_ms) if isinstance(endpoint_ms, int | float) else None,
        billed_ms=report.billed_ms,
        request_id=report.request_id or str(body.get("request_id", "")),
        cold_start=report.cold_start,
        provisioned=report.provisioned,
        cost=_cost(cloud, report, book, hourly),
        standing_usd_per_h=hourly,
        body=body,
        error=error_words(body) if status != 200 else "",
    )


def read_report(tail: str, *, memory_mb: int) -> CallReport:
    """Read Lambda's REPORT line and the handler's own line. Pure.

    `memory_mb` stands in where the line is missing; then nothing is billed that is known of.
    """
    found = _REPORT.search(tail)
    line = tail[found.start() :].split("\n", 1)[0] if found else ""
    billed, memory = _BILLED.search(line), _MEMORY.search(line)
    return CallReport(
        request_id=found["id"] if found else "",
        billed_ms=int(billed[1]) if billed else 0,
        memory_mb=int(memory[1]) if memory else memory_mb,
        cold_start=bool(_INIT.search(line)),
        provisioned=_handler_line(tail).get("init_type") == "provisioned-concurrency",
    )


def _handler_line(tail: str) -> dict[str, Any]:
    for text in reversed(tail.splitlines()):
        start = text.find("{")
        if start < 0:
            continue
        try:
            line = json.loads(text[start:])
        except ValueError:
            continue
        if isinstance(line, dict) and line.get("event") == "invocation":
            return line
    return {}


def _read_payload(payload: bytes) -> tuple[int, dict[str, Any]]:
    try:
        envelope = json.loads(payload)
        body = json.loads(envelope["body"])
        status = int(envelope["statusCode"])
        if not isinstance(body, dict):
            raise TypeError("the body is no object")
    except (ValueError, KeyError, TypeError) as error:
        raise CloudError(
            f"the function's answer cannot be read: {error!r}",
            fix="promote again: the function is not the one that pedigree makes",
        ) from error
    return status, body


def predictions_of(body: Mapping[str, Any]) -> tuple[Prediction, ...]:
    """The predictions in an answer's body, best first; empty where it holds none."""
    found = body.get("predictions")
    if not isinstance(found, list):
        return ()
    return tuple(
        Prediction(label=str(item["label"]), probability=float(item["probability"]))
        for item in found
        if isinstance(item, dict)
        and "label" in item
        and isinstance(item.get("probability"), int | float)
    )


def error_words(body: Mapping[str, Any]) -> str:
    """What an answer that is no prediction says of itself."""
    error = body.get("error")
    if isinstance(error, dict):
        return f"{error.get('message', '')}; fix: {error.get('fix', '')}"
    return json.dumps(body)[:300]


def _broken(settings: ServingSettings, payload: bytes, tail: str) -> CloudError:
    words = payload[:300].decode("utf-8", "replace")
    return CloudError(
        f"function {settings.name} broke: {words}",
        fix=f"see its log /aws/lambda/{settings.name}; its last lines: {tail[-500:].strip()}",
        code="FunctionError",
    )


def standing(cloud: Cloud, settings: ServingSettings, book: PriceBook) -> Decimal | None:
    """USD that an hour of the release costs without a call; None where the book has no price."""
    there = Standing(
        instance_type=settings.instance_type,
        min_instances=settings.min_instances,
        max_instances=settings.max_instances,
        provisioned_concurrency=settings.provisioned_concurrency,
        memory_mb=settings.memory_mb,
        stored_bytes=0,
    )
    try:
        return standing_usd_per_hour(there, region=cloud.region, book=book)
    except PriceError:
        return None


def _cost(cloud: Cloud, report: CallReport, book: PriceBook, hourly: Decimal | None) -> Cost:
    """The call's own cost. Without a price there is no figure, and it says why."""
    price = f"{money(hourly)} an hour at the least" if hourly is not None else "no price known"
    not_counted = (
        f"the endpoint and the warm functions, which stand there anyway: {price}",
        "data through the endpoint, log ingestion",
    )
    if report.billed_ms == 0:
        return Cost(basis=cloud.basis, not_counted=(*not_counted, "Lambda told no billed time"))
    try:
        return call_cost(
            report.billed_ms,
            memory_mb=report.memory_mb,
            provisioned=report.provisioned,
            region=cloud.region,
            book=book,
            basis=cloud.basis,
            not_counted=not_counted,
        )
    except PriceError as error:
        return Cost(basis=cloud.basis, not_counted=(*not_counted, error.message))
