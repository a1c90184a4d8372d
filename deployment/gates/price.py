"""What predictions will cost at a given traffic. Pure; Decimal throughout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from deployment.gates.gate import Gate
from deployment.monthly import Requests, Standing, monthly
from deployment.settings import ServingSettings
from experiments.cost import money
from experiments.errors import PriceError, SpecError
from experiments.prices import PriceBook
from experiments.records import Basis

DAYS_PER_MONTH = Decimal(730) / 24
_MINUTES_PER_DAY = 1440
# What the function adds to the model's own time: its call, base64 and JSON.
FRONT_MS = 20
SERVERLESS_MB = 2048
"""The memory that a serverless endpoint is compared with: enough for ResNet50 and the server."""


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """How often the model is asked: `requests_per_day` on average, spread evenly."""

    requests_per_day: int = 1000

    def __post_init__(self) -> None:
        if self.requests_per_day < 1:
            raise SpecError("requests_per_day is below 1", fix="give what you expect, such as 1000")

    @property
    def per_month(self) -> Decimal:
        return self.requests_per_day * DAYS_PER_MONTH


@dataclass(frozen=True, kw_only=True)
class TrafficPrice:
    """`instances` is what target tracking settles at for this traffic."""

    instances: int
    month_usd: Decimal
    per_1000_usd: Decimal


def instances_for(traffic: Traffic, settings: ServingSettings) -> int:
    """Where target tracking settles: the traffic over the target, within the limits."""
    per_minute = -(-traffic.requests_per_day // _MINUTES_PER_DAY)
    wanted = -(-per_minute // settings.target_invocations_per_instance)
    return min(max(wanted, settings.min_instances), settings.max_instances)


def traffic_price(
    settings: ServingSettings,
    traffic: Traffic,
    *,
    model_ms: float,
    stored_bytes: int,
    region: str,
    book: PriceBook,
) -> TrafficPrice:
    """The month's and the thousand predictions' price. Raises PriceError for what has no price."""
    count = instances_for(traffic, settings)
    billed = Requests(
        per_month=traffic.per_month, billed_ms=round(model_ms) + FRONT_MS, model_ms=round(model_ms)
    )
    there = Standing(
        instance_type=settings.instance_type,
        min_instances=count,
        max_instances=count,
        provisioned_concurrency=settings.provisioned_concurrency,
        memory_mb=settings.memory_mb,
        stored_bytes=stored_bytes,
        requests=billed,
        serverless_memory_mb=settings.serverless_memory_mb,
    )
    month = monthly(there, region=region, book=book, basis=Basis.ESTIMATED).at_min.total_usd
    return TrafficPrice(
        instances=0 if settings.is_serverless else count,
        month_usd=month,
        per_1000_usd=month / traffic.per_month * 1000,
    )


def other_kind(
    settings: ServingSettings,
    traffic: Traffic,
    here: TrafficPrice,
    *,
    model_ms: float,
    stored_bytes: int,
    region: str,
    book: PriceBook,
) -> str:
    """What the other kind of endpoint would cost at this traffic, and so which to take. Pure.

    Without a serverless rate in the price book it says how to add one; none is guessed.
    """
    memory = 0 if settings.is_serverless else SERVERLESS_MB
    other = replace(settings, serverless_memory_mb=memory, capture_percent=0)
    name = f"serverless of {memory} MB" if memory else f"real-time on {settings.instance_type}"
    try:
        there = traffic_price(
            other,
            traffic,
            model_ms=model_ms,
            stored_bytes=stored_bytes,
            region=region,
            book=book,
        )
    except PriceError as error:
        return f"{name} is not compared: {error.message}; {error.fix}"
    saved = here.month_usd - there.month_usd
    if saved > 0:
        cold = ", with cold starts" if memory else ""
        return f"{name} would cost {money(there.month_usd)} a month, {money(saved)} less{cold}"
    return f"{name} would cost {money(there.month_usd)} a month, {money(-saved)} more"


def price_gate(
    price: TrafficPrice,
    traffic: Traffic,
    *,
    max_month_usd: Decimal | None,
    max_per_1000_usd: Decimal | None,
    other: str = "",
) -> Gate:
    """Both prices are within the limits that were given; without limits they are shown."""
    limits = (
        ("a month", price.month_usd, max_month_usd),
        ("1,000 predictions", price.per_1000_usd, max_per_1000_usd),
    )
    evidence = {
        what: money(usd) + (f", at most {money(limit)}" if limit is not None else "")
        for what, usd, limit in limits
    }
    where = f"on {price.instances} instances" if price.instances else "serverless"
    evidence["traffic"] = f"{traffic.requests_per_day:,} requests a day {where}"
    if other:
        evidence["other kind"] = other
    passed = all(limit is None or usd <= limit for _, usd, limit in limits)
    return Gate(name="price", passed=passed, evidence=evidence)
