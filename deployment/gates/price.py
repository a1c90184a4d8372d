"""What predictions will cost at a given traffic. Pure; Decimal throughout."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from decimal import Decimal

from deployment.gates.gate import Gate
from deployment.monthly import Requests, Standing, monthly
from deployment.settings import SERVERLESS_MB, ServingSettings
from experiments.cost import money
from experiments.errors import PriceError, SpecError
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


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What a price depends on besides the settings and the traffic."""

    model_ms: float
    stored_bytes: int
    region: str
    book: PriceBook

    def price(self, settings: ServingSettings, traffic: Traffic) -> TrafficPrice:
        """The month's and the thousand predictions' price. Raises PriceError for what has no price."""
        count = instances_for(traffic, settings)
        billed = Requests(
            per_month=traffic.per_month,
            billed_ms=round(self.model_ms) + FRONT_MS,
            model_ms=round(self.model_ms),
        )
        there = Standing(
            instance_type=settings.instance_type,
            min_instances=count,
            max_instances=count,
            provisioned_concurrency=settings.provisioned_concurrency,
            memory_mb=settings.memory_mb,
            stored_bytes=self.stored_bytes,
            requests=billed,
            serverless_memory_mb=settings.serverless_memory_mb,
        )
        bill = monthly(there, region=self.region, book=self.book, basis=Basis.ESTIMATED)
        month = bill.at_min.total_usd
        return TrafficPrice(
            instances=0 if settings.is_serverless else count,
            month_usd=month,
            per_1000_usd=month / traffic.per_month * 1000,
        )


def other_kind(
    settings: ServingSettings, traffic: Traffic, here: TrafficPrice, rates: Rates
) -> str:
    """What the other kind of endpoint would cost at this traffic, and so which to take. Pure.

    Without a serverless rate in the price book it says how to add one; none is guessed.
    """
    memory = 0 if settings.is_serverless else SERVERLESS_MB
    other = replace(settings, serverless_memory_mb=memory, capture_percent=0)
    name = f"serverless of {memory} MB" if memory else f"real-time on {settings.instance_type}"
    try:
        there = rates.price(other, traffic)
    except PriceError as error:
        return f"{name} is not compared: {error.message}; {error.fix}"
    saved = here.month_usd - there.month_usd
    more = f"{money(saved)} less" if saved > 0 else f"{money(-saved)} more"
    cold = ", with cold starts" if saved > 0 and memory else ""
    kinds = (other, settings) if memory else (settings, other)
    at = break_even(*kinds, rates)
    if at:
        even = f"; from {at:,} requests a day real-time is cheaper"
    else:
        even = f"; so it is at all the traffic that {settings.max_instances} instances are for"
    return f"{name} would cost {money(there.month_usd)} a month, {more}{cold}{even}"


def break_even(serverless: ServingSettings, real_time: ServingSettings, rates: Rates) -> int | None:
    """Requests a day at which the serverless endpoint begins to cost more; None if none was found
    below what the real-time one is made for at its most instances.

    Found by halving: with several instances the real-time price goes up in steps, so that the two may
    cross more than once, and this is one of the crossings.
    """
    target = real_time.target_invocations_per_instance
    most = target * real_time.max_instances * _MINUTES_PER_DAY

    def costs_more(requests_per_day: int) -> bool:
        traffic = Traffic(requests_per_day=requests_per_day)
        return (
            rates.price(serverless, traffic).month_usd > rates.price(real_time, traffic).month_usd
        )

    at = bisect_left(range(1, most + 1), True, key=costs_more) + 1
    return at if at <= most else None


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
