"""What serving costs: by the month while it stands, and by the call. Pure; Decimal throughout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from experiments.cost import HOURS_PER_MONTH, SECONDS_PER_HOUR, line
from experiments.errors import PriceError
from experiments.prices import SERVERLESS, PriceBook
from experiments.records import Basis, Cost, CostLine

_MB_PER_GB = Decimal(1024)
_BYTES_PER_GB = Decimal(1024**3)
_MILLION = Decimal(1_000_000)
_REQUESTS = "requests, which are 0 without traffic"
_VOLUME = "the instances' storage volumes and the data through them"
_LOGS = "log ingestion"


@dataclass(frozen=True, kw_only=True)
class Requests:
    """A month's traffic: how many, what Lambda bills for each, and how long the model works."""

    per_month: Decimal
    billed_ms: int
    model_ms: int = 0


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What stands there and is paid for whether asked or not, and the requests if they are known."""

    instance_type: str
    min_instances: int
    max_instances: int
    provisioned_concurrency: int
    memory_mb: int
    stored_bytes: int
    alarms: int = 0
    requests: Requests | None = None
    serverless_memory_mb: int = 0


@dataclass(frozen=True, kw_only=True)
class Monthly:
    """The price of a month of 730 hours with all instances at their minimum, and at their maximum."""

    at_min: Cost
    at_max: Cost


def monthly(
    standing: Standing, *, region: str, book: PriceBook, basis: Basis, lenient: bool = False
) -> Monthly:
    """What `standing` costs a month. Raises PriceError for what has no price in the book.

    With `lenient` that is named among what is not counted instead: for a way back, which no price
    book may bar.
    """
    return Monthly(
        at_min=_month(standing, standing.min_instances, region, book, basis, lenient=lenient),
        at_max=_month(standing, standing.max_instances, region, book, basis, lenient=lenient),
    )


def _month(
    standing: Standing,
    instances: int,
    region: str,
    book: PriceBook,
    basis: Basis,
    *,
    lenient: bool,
) -> Cost:
    lines: list[CostLine] = []
    unpriced: list[str] = []
    parts: tuple[Callable[[], list[CostLine]], ...] = (
        lambda: _instance_lines(standing, instances, region, book),
        lambda: _standing_lines(standing, region, book),
        lambda: _request_lines(standing, region, book),
    )
    for part in parts:
        try:
            lines += part()
        except PriceError as error:
            if not lenient:
                raise
            unpriced.append(error.message)
    unknown = () if standing.requests else (_REQUESTS,)
    not_counted = (*unpriced, *unknown, _VOLUME, _LOGS)
    return Cost(basis=basis, lines=tuple(lines), not_counted=not_counted)


def _instance_lines(
    standing: Standing, instances: int, region: str, book: PriceBook
) -> list[CostLine]:
    if standing.serverless_memory_mb:
        return []
    hosting = book.find("sagemaker", "hosting", region, standing.instance_type)
    item = f"{instances} x {standing.instance_type}"
    return [line(item, instances * HOURS_PER_MONTH, hosting)]


def _standing_lines(standing: Standing, region: str, book: PriceBook) -> list[CostLine]:
    lines = []
    if standing.provisioned_concurrency:
        lines.append(_warm_month(standing, region, book))
    if standing.stored_bytes:
        storage = book.find("s3", "standard_storage", region)
        size = Decimal(standing.stored_bytes)
        lines.append(line("model archives in S3", size, storage, per=_BYTES_PER_GB))
    if standing.alarms:
        alarm = book.find("cloudwatch", "alarm_month", region)
        lines.append(line(f"{standing.alarms} alarms", Decimal(standing.alarms), alarm))
    return lines


def _request_lines(standing: Standing, region: str, book: PriceBook) -> list[CostLine]:
    if standing.requests is None:
        return []
    count, ms = standing.requests.per_month, standing.requests.billed_ms
    warm = "provisioned_duration_gb_second" if standing.provisioned_concurrency else "gb_second"
    seconds = count * ms / 1000 * standing.memory_mb / _MB_PER_GB
    lines = [
        line(f"{count:,.0f} requests", count, book.find("lambda", "request", region), per=_MILLION),
        line(f"{ms} ms of the function for each", seconds, book.find("lambda", warm, region)),
    ]
    if memory := standing.serverless_memory_mb:
        rate = book.serverless(SERVERLESS, region, memory)
        ms = standing.requests.model_ms or ms
        seconds = count * ms / 1000 * memory / _MB_PER_GB
        lines.append(line(f"{ms} ms of {memory} MB of the endpoint for each", seconds, rate))
    return lines


def _warm_month(standing: Standing, region: str, book: PriceBook) -> CostLine:
    price = book.find("lambda", "provisioned_concurrency_gb_second", region)
    memory = Decimal(standing.memory_mb) / _MB_PER_GB
    seconds = standing.provisioned_concurrency * HOURS_PER_MONTH * SECONDS_PER_HOUR
    item = f"provisioned concurrency {standing.provisioned_concurrency} x {standing.memory_mb} MB"
    return line(item, seconds * memory, price)


def standing_usd_per_hour(standing: Standing, *, region: str, book: PriceBook) -> Decimal:
    """What is paid in an hour without a single call: the fewest instances and the warm functions."""
    usd = Decimal(0)
    if not standing.serverless_memory_mb:
        hosting = book.find("sagemaker", "hosting", region, standing.instance_type)
        usd = standing.min_instances * hosting.usd
    if standing.provisioned_concurrency:
        usd += _warm_month(standing, region, book).usd / HOURS_PER_MONTH
    return usd


def call_rates(region: str, book: PriceBook) -> dict[str, str]:
    """What `call_cost` counts with, as lambda/handler.py reads it from its environment.

    USD for one request and for a GB-second, on demand and in an environment kept warm. Raises
    PriceError.
    """
    rates = {
        "USD_PER_REQUEST": book.find("lambda", "request", region).usd / _MILLION,
        "USD_PER_GB_SECOND": book.find("lambda", "gb_second", region).usd,
        "USD_PER_GB_SECOND_PROVISIONED": book.find(
            "lambda", "provisioned_duration_gb_second", region
        ).usd,
    }
    return {name: f"{usd.normalize():f}" for name, usd in rates.items()}


def call_cost(
    billed_ms: int,
    *,
    memory_mb: int,
    provisioned: bool,
    region: str,
    book: PriceBook,
    basis: Basis,
    not_counted: tuple[str, ...] = (),
) -> Cost:
    """What Lambda bills for one call: the request, and GB-seconds at the rate of where it ran.

    Environments kept warm by provisioned concurrency have a lower rate of their own. Raises
    PriceError for what has no price in the book.
    """
    component = "provisioned_duration_gb_second" if provisioned else "gb_second"
    gb_seconds = Decimal(billed_ms) / 1000 * memory_mb / _MB_PER_GB
    lines = (
        line("1 request", Decimal(1), book.find("lambda", "request", region), per=_MILLION),
        line(
            f"{billed_ms} ms of {memory_mb} MB", gb_seconds, book.find("lambda", component, region)
        ),
    )
    return Cost(basis=basis, lines=lines, not_counted=not_counted)
