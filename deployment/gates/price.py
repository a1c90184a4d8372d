"""What predictions will cost at a given traffic. Pure; Decimal throughout."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from deployment.gates.gate import Gate
from deployment.monthly import Standing, call_cost, monthly
from deployment.settings import ServingSettings
from experiments.cost import money
from experiments.errors import SpecError
from experiments.prices import PriceBook
from experiments.records import Basis

DAYS_PER_MONTH = Decimal(730) / 24
_MINUTES_PER_DAY = 1440
# What the function adds to the model's own time: its call, base64 and JSON.
FRONT_MS = 20


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
    there = Standing(
        instance_type=settings.instance_type,
        min_instances=count,
        max_instances=count,
        provisioned_concurrency=settings.provisioned_concurrency,
        memory_mb=settings.memory_mb,
        stored_bytes=stored_bytes,
    )
    standing = monthly(there, region=region, book=book, basis=Basis.ESTIMATED).at_min.total_usd
    each = call_cost(
        round(model_ms) + FRONT_MS,
        memory_mb=settings.memory_mb,
        provisioned=settings.provisioned_concurrency > 0,
        region=region,
        book=book,
        basis=Basis.ESTIMATED,
    ).total_usd
    month = standing + each * traffic.per_month
    return TrafficPrice(
        instances=count, month_usd=month, per_1000_usd=month / traffic.per_month * 1000
    )


def price_gate(
    price: TrafficPrice,
    traffic: Traffic,
    *,
    max_month_usd: Decimal | None,
    max_per_1000_usd: Decimal | None,
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
    evidence["traffic"] = (
        f"{traffic.requests_per_day:,} requests a day on {price.instances} instances"
    )
    passed = all(limit is None or usd <= limit for _, usd, limit in limits)
    return Gate(name="price", passed=passed, evidence=evidence)
