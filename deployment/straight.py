"""Ask the live model straight at its endpoint, by InvokeEndpoint, and say what it took and cost."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from deployment.invoke import (
    Answer,
    Way,
    error_words,
    predictions_of,
    refuse_size,
    standing,
)
from deployment.settings import ServingSettings
from experiments.aws import Cloud, is_code
from experiments.cost import line, money
from experiments.errors import CloudError, PriceError
from experiments.prices import SERVERLESS, PriceBook
from experiments.records import Cost, CostLine

# InvokeEndpoint answers with at most 25 MB; what this server says of a photo is a few hundred bytes.
_MAX_ANSWER_BYTES = 5 * 1024 * 1024
_BYTES_PER_GB = Decimal(1024**3)
DATA = "endpoint_data_processed"
"""The price book's word for a gigabyte into or out of an endpoint."""


def ask_endpoint(
    cloud: Cloud,
    settings: ServingSettings,
    image: bytes,
    content_type: str,
    *,
    book: PriceBook,
    clock: Callable[[], float] = time.monotonic,
) -> Answer:
    """Send a photo to the endpoint itself. What the model refuses is an Answer with its status.

    Raises DataError for a photo that is too large, CloudError if the endpoint cannot be asked.
    """
    refuse_size(image)
    started = clock()
    status, data, request_id = _exchange(cloud, settings.name, image, content_type)
    latency_ms = round((clock() - started) * 1000, 2)
    body = _json_object(data)
    return Answer(
        way=Way.ENDPOINT,
        status=status,
        predictions=predictions_of(body) if status == 200 else (),
        model_version=str(body.get("model_version", "")),
        function_version="",
        latency_ms=latency_ms,
        endpoint_ms=latency_ms,
        billed_ms=0,
        request_id=request_id,
        cold_start=False,
        provisioned=False,
        cost=_cost(cloud, settings, body, len(image) + len(data), book),
        standing_usd_per_h=standing(cloud, settings, book),
        body=body,
        error=error_words(body) if status != 200 else "",
    )


def _exchange(
    cloud: Cloud, endpoint: str, image: bytes, content_type: str
) -> tuple[int, bytes, str]:
    """The model's status, its answer, and the request's id, which a refusal does not tell."""
    try:
        answer = cloud.ask(
            "sagemaker-runtime",
            "invoke_endpoint",
            EndpointName=endpoint,
            Body=image,
            ContentType=content_type,
            Accept="application/json",
        )
    except CloudError as error:
        if not is_code(error, "ModelError"):
            raise
        said = str(error.members.get("OriginalMessage", "")).encode()
        return int(str(error.members.get("OriginalStatusCode") or 502)), said, ""
    request_id = str(answer.get("ResponseMetadata", {}).get("RequestId", ""))
    return 200, answer["Body"].read(_MAX_ANSWER_BYTES), request_id


def _json_object(data: bytes) -> dict[str, Any]:
    """The object in an answer; anything else as the one member `text`."""
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"text": data.decode("utf-8", "replace")[:1000]}


def _cost(
    cloud: Cloud, settings: ServingSettings, body: dict[str, Any], size_bytes: int, book: PriceBook
) -> Cost:
    """The bytes both ways, and of a serverless endpoint the time that the model worked."""
    lines: list[CostLine] = []
    missing: list[str] = []
    try:
        lines += _data(cloud, size_bytes, book)
        lines += _work(cloud, settings, body, book)
    except PriceError as error:
        missing.append(error.message)
    hourly = standing(cloud, settings, book)
    price = f"{money(hourly)} an hour at the least" if hourly is not None else "no price known"
    stands = f"the endpoint and the warm functions, which stand there anyway: {price}"
    return Cost(basis=cloud.basis, lines=tuple(lines), not_counted=(stands, *missing))


def _data(cloud: Cloud, size_bytes: int, book: PriceBook) -> list[CostLine]:
    price = book.find("sagemaker", DATA, cloud.region)
    item = f"{size_bytes:,} bytes to the endpoint and back"
    return [line(item, Decimal(size_bytes), price, per=_BYTES_PER_GB)]


def _work(
    cloud: Cloud, settings: ServingSettings, body: dict[str, Any], book: PriceBook
) -> list[CostLine]:
    """A serverless endpoint bills the time of the request by its memory; instances bill the hour."""
    timing = body.get("timing_ms")
    if not settings.is_serverless or not isinstance(timing, dict):
        return []
    told = [Decimal(str(ms)) for ms in timing.values() if isinstance(ms, int | float)]
    worked_ms = sum(told, Decimal(0))
    seconds = worked_ms / 1000 * settings.serverless_memory_mb / 1024
    item = f"{worked_ms:.0f} ms of {settings.serverless_memory_mb} MB of the endpoint"
    return [
        line(
            item, seconds, book.serverless(SERVERLESS, cloud.region, settings.serverless_memory_mb)
        )
    ]
