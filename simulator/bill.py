"""From what was used to USD, by component. Decimal; a month is 730 hours, as AWS reckons it.

Sources: https://aws.amazon.com/lambda/pricing/, https://aws.amazon.com/sagemaker/pricing/ and
https://aws.amazon.com/cloudwatch/pricing/ for what is billed; the price book for how much.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from experiments.errors import PriceError
from experiments.prices import SERVERLESS, PriceBook
from experiments.prices import SERVERLESS_READY as SERVERLESS_PROVISIONED
from simulator.outcome import Bill, Line, Usage
from simulator.settings import Settings

DAY_HOURS = Decimal(24)
MONTH_HOURS = Decimal(730)
_HOUR_S = Decimal(3600)
_GB = Decimal(1024**3)
_MB_PER_GB = Decimal(1024)
_MILLION = Decimal(1_000_000)
_PLACES = Decimal("0.0000000001")


def bill(
    usage: Usage,
    settings: Settings,
    *,
    hours: Decimal,
    region: str,
    book: PriceBook,
    prices: Mapping[str, Decimal] | None = None,
) -> Bill:
    """What so many hours like those simulated cost.

    `prices`: USD for components that the book does not have (`serverless_gb_second`,
    `serverless_provisioned_gb_second`). Raises PriceError where an instance or Lambda has no price;
    what else has none is named in `unpriced`.
    """
    scale = hours * _HOUR_S / _decimal(usage.length_s)
    own = dict(prices or {})
    lines: list[Line] = []
    unpriced: list[str] = []
    for component, quantity, unit, words in _components(usage, settings, scale):
        try:
            if component in own:
                usd, per = own[component], Decimal(1)
            else:
                usd, per = _price(book, words, region)
        except PriceError:
            if words[0] != "cloudwatch" and words[1] not in _OPTIONAL:
                raise
            unpriced.append(component)
            continue
        cost = (quantity * usd / per).quantize(_PLACES).normalize() + Decimal(0)
        lines.append(
            Line(
                component=component,
                quantity=quantity.quantize(Decimal("0.0001")),
                unit=unit,
                price_usd=usd / per,
                usd=cost,
            )
        )
    return Bill(hours=hours, lines=tuple(lines), unpriced=tuple(unpriced))


_OPTIONAL = ("endpoint_data_processed", SERVERLESS, SERVERLESS_PROVISIONED)
_Component = tuple[str, Decimal, str, tuple[str, str, str]]


def _components(usage: Usage, settings: Settings, scale: Decimal) -> list[_Component]:
    gb = Decimal(settings.memory_mb) / _MB_PER_GB
    kind = settings.instance_type
    warm_s = scale * _decimal(usage.warm_billed_ms) / 1000
    cold_s = scale * _decimal(usage.on_demand_billed_ms) / 1000
    standing_s = scale * _decimal(usage.provisioned_environment_s)
    found: list[_Component] = _endpoint(usage, settings, scale, kind)
    found += [
        ("lambda requests", scale * usage.calls, "requests", ("lambda", "request", "")),
        ("lambda GB-seconds", cold_s * gb, "GB-s", ("lambda", "gb_second", "")),
        (
            "lambda GB-seconds, provisioned",
            warm_s * gb,
            "GB-s",
            ("lambda", "provisioned_duration_gb_second", ""),
        ),
        (
            "provisioned concurrency",
            standing_s * gb,
            "GB-s",
            ("lambda", "provisioned_concurrency_gb_second", ""),
        ),
        (
            "data processed",
            scale * _decimal(usage.photos_bytes) / _GB,
            "GB",
            ("sagemaker", "endpoint_data_processed", ""),
        ),
        ("logs", scale * _decimal(usage.log_bytes) / _GB, "GB", ("cloudwatch", "logs_ingest", "")),
    ]
    return found


def _endpoint(usage: Usage, settings: Settings, scale: Decimal, kind: str) -> list[_Component]:
    if settings.serverless is None:
        hours = scale * _decimal(usage.instance_s) / _HOUR_S
        return [("instances", hours, f"h of {kind}", ("sagemaker", "hosting", kind))]
    gb = Decimal(settings.serverless.memory_mb) / _MB_PER_GB
    used = scale * _decimal(usage.serverless_s) * gb
    kept = scale * _decimal(usage.serverless_provisioned_s) * gb
    size = str(settings.serverless.memory_mb)
    found: list[_Component] = [(SERVERLESS, used, "GB-s", ("sagemaker", SERVERLESS, size))]
    if kept:
        words = ("sagemaker", SERVERLESS_PROVISIONED, size)
        found.append((SERVERLESS_PROVISIONED, kept, "GB-s", words))
    return found


def _price(book: PriceBook, words: tuple[str, str, str], region: str) -> tuple[Decimal, Decimal]:
    service, component, kind = words
    if component in (SERVERLESS, SERVERLESS_PROVISIONED):
        return book.serverless(component, region, int(kind)).usd, Decimal(1)
    price = book.find(service, component, region, kind)
    return price.usd, _MILLION if component == "request" else Decimal(1)


def _decimal(number: float) -> Decimal:
    return Decimal(repr(float(number)))
