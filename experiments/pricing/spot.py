"""Spot quotes of the moment. They are in no price list: EC2 itself is asked, region by region."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from statistics import median_high

from experiments.aws import Cloud
from experiments.errors import PriceError
from experiments.records import Price

_LINUX = "Linux/UNIX"
_AT_ONCE = 100


def spot_quotes(cloud: Cloud, kinds: Sequence[str], *, now: datetime) -> tuple[Price, ...]:
    """What spot hosts of these types cost by the hour now in the cloud's region, each a real zone's price.

    Of several zones the middle one, the dearer of two middle ones; a type without a quote has no row.
    Raises CloudError, and PriceError for a quote that is no amount.
    """
    seen: dict[str, dict[str, tuple[datetime, Decimal]]] = {}
    for at in range(0, len(kinds), _AT_ONCE):
        history = cloud.pages(
            "ec2",
            "describe_spot_price_history",
            "SpotPriceHistory",
            InstanceTypes=list(kinds[at : at + _AT_ONCE]),
            ProductDescriptions=[_LINUX],
            StartTime=now,
            EndTime=now,
        )
        for quote in history:
            zones = seen.setdefault(str(quote["InstanceType"]), {})
            zone, told = str(quote["AvailabilityZone"]), quote["Timestamp"]
            if zone not in zones or zones[zone][0] < told:
                zones[zone] = (told, _usd(quote))
    return tuple(
        _row(kind, cloud.region, [usd for _, usd in zones.values()], now)
        for kind, zones in sorted(seen.items())
    )


def _usd(quote: dict[str, object]) -> Decimal:
    try:
        usd = Decimal(str(quote["SpotPrice"]))
    except InvalidOperation:
        usd = Decimal("NaN")
    if not usd.is_finite() or usd <= 0:
        raise PriceError(
            f"EC2 quotes {quote['InstanceType']} at {quote['SpotPrice']!r}",
            fix="nothing was written; try again later, or leave spot out with --no-spot",
        )
    return usd


def _row(kind: str, region: str, quotes: list[Decimal], now: datetime) -> Price:
    return Price(
        service="ec2",
        component="spot",
        instance_type=kind,
        region=region,
        unit="hour",
        usd=median_high(quotes),
        as_of=now.astimezone(UTC).date().isoformat(),
        source=f"EC2 DescribeSpotPriceHistory, {_LINUX}, middle of {len(quotes)} zone(s)",
        grade="quote",
    )


def with_quotes(rows: Sequence[Price], quotes: Sequence[Price]) -> tuple[Price, ...]:
    """The rows of a book with fresh quotes in the place of its old ones; other types keep theirs. Pure."""
    fresh = {(quote.instance_type, quote.region) for quote in quotes}
    kept = [
        row
        for row in rows
        if (row.service, row.component) != ("ec2", "spot")
        or (row.instance_type, row.region) not in fresh
    ]
    return (*kept, *quotes)
