"""One product of AWS's Price List, read as a row of a price book. Pure.

A product is understood by its service code and usage type (`USE1-Train:ml.m5.large`, `BoxUsage:c5.xlarge`,
`EU-EBS:VolumeUsage.gp3`, `Lambda-GB-Second`). What is not understood is counted by the caller, never
guessed and never dropped in silence. Reserved terms, Windows, dedicated tenancy and capacity
reservations are other prices of the same hardware and are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from experiments.errors import PriceError
from experiments.prices import SERVERLESS, SERVERLESS_RATES
from experiments.pricing.queries import (
    LAMBDA_GROUPS,
    LOGS,
    S3_GROUPS,
    SAGEMAKER_USES,
    SERVERLESS_GROUPS,
    VOLUMES,
)
from experiments.records import Price

_MAX_PRODUCT_BYTES = 1_000_000
_PREFIX = re.compile(r"^(?:[A-Z]{2,4}[0-9]?-)?")
_ML = re.compile(r"^(\w+):(ml\.[a-z0-9-]+\.[a-z0-9]+)$")
_SERVERLESS = re.compile(r"^(?:ServerlessInf|ProvisionedConcurrency):(?:Mem|Usage)-([1-6])GB$")
_DATA = re.compile(r"^(?:Hst|Host):Data-Bytes-(In|Out)$")
_VOLUME = re.compile(r"^EBS:VolumeUsage(?:\.(\w+))?$")
_UNITS = {
    "Hrs": "hour", "Hours": "hour", "hours": "hour",
    "GB-Mo": "GB-month", "GB-month": "GB-month",
    "Requests": "request", "Request": "request",
    "Lambda-GB-Second": "GB-second", "GB-Seconds": "GB-second", "GB": "GB",
    "second": "second", "seconds": "second", "Sec": "second", "Second": "second", "Seconds": "second",
}  # fmt: skip
# EBS volumes are named by their history: plain is magnetic, piops is io1 (AWS's own examples).
_VOLUME_NAMES = {"piops": "io1", **{name: name for name in VOLUMES}}


def read_product(text: str, region: str) -> Price | None:
    """The row that one entry of `PriceList` gives, or None for a product that no book holds.

    `text` is JSON text as GetProducts returns it. A tiered price gives its first tier; a serverless
    endpoint's, whose first seconds of a new account are free, its first that costs. Raises
    PriceError if the text is not a product, or a product that a book holds has no price in USD.
    """
    product = _parsed(text)
    attributes = product["product"]["attributes"]
    code = str(product.get("serviceCode") or attributes.get("servicecode", ""))
    usage = _PREFIX.sub("", str(attributes.get("usagetype", "")), count=1)
    reader = _READERS.get(code)
    named = reader(usage, attributes) if reader else None
    if named is None:
        return None
    service, component, kind = named
    if component in SERVERLESS_RATES:
        unit, usd = _per_gb_second(kind, *_first_tier(product, usage, is_free_at_first=True))
    else:
        unit, usd = _in_bundles(component, *_first_tier(product, usage))
    return Price(
        service=service,
        component=component,
        instance_type=kind,
        region=region,
        unit=unit,
        usd=usd,
        as_of=str(product.get("publicationDate", ""))[:10] or "unknown",
        source=f"AWS Price List API: {attributes.get('usagetype')}, SKU {product['product']['sku']}",
        grade="aws",
    )


def _parsed(text: str) -> dict[str, Any]:
    if len(text) > _MAX_PRODUCT_BYTES:
        raise PriceError("a product of the price list is over 1 MB", fix="nothing was written")
    try:
        product = json.loads(text)
        if isinstance(product["product"]["attributes"], dict) and product["product"]["sku"]:
            return dict(product)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise PriceError(
        f"AWS's price list answered with something else than a product: {text[:80]!r}",
        fix="nothing was written; if it happens again, pedigree must learn the new form",
    )


def _first_tier(
    product: Mapping[str, Any], usage: str, *, is_free_at_first: bool = False
) -> tuple[str, Decimal]:
    """Unit and USD of the on-demand price from 0 on; Lambda's free tier is no tier of the list."""
    tiers = [
        tier
        for term in product.get("terms", {}).get("OnDemand", {}).values()
        for tier in term.get("priceDimensions", {}).values()
    ]
    for begin, unit, usd in sorted(map(_tier, tiers), key=lambda tier: tier[0]):
        if usd.is_nan() or (begin > 0 and not is_free_at_first):
            break
        if usd == 0 and is_free_at_first:
            continue
        if unit in _UNITS and usd.is_finite() and usd >= 0:
            return _UNITS[unit], _plain(usd)
        raise PriceError(
            f"{usage} is priced at {usd} by {unit!r}, a unit not known here",
            fix="nothing was written; pedigree must learn this unit",
        )
    raise PriceError(f"{usage} has no on-demand price in USD", fix="nothing was written")


def _tier(dimension: Mapping[str, Any]) -> tuple[Decimal, str, Decimal]:
    """From where on, by which unit and at how many USD; NaN where it does not say."""
    try:
        begin = Decimal(str(dimension.get("beginRange") or 0))
        usd = Decimal(str(dimension["pricePerUnit"]["USD"]))
    except (KeyError, TypeError, InvalidOperation):
        begin, usd = Decimal(0), Decimal("NaN")
    return begin, str(dimension.get("unit", "")), usd


_BUNDLES = {
    "put_request": ("1k requests", 1000),
    "get_request": ("1k requests", 1000),
    "request": ("1M requests", 1_000_000),
}
"""The units that the books have for requests, which the list prices one by one."""


def _in_bundles(component: str, unit: str, usd: Decimal) -> tuple[str, Decimal]:
    if unit == "second" and component.endswith("gb_second"):
        return "GB-second", usd  # Lambda's list says Second of what its usage types count in GB
    if unit != "request":
        return unit, usd
    bundle, count = _BUNDLES[component]
    return bundle, _plain(usd * count)


def _per_gb_second(size: str, unit: str, usd: Decimal) -> tuple[str, Decimal]:
    """AWS lists a second of each size; the books hold a GB-second, so that sizes can be compared."""
    if unit != "second":
        raise PriceError(
            f"a serverless endpoint of {size} is listed by {unit}, not by the second",
            fix="nothing was written; pedigree must learn this unit",
        )
    return "GB-second", _plain(usd / int(size.removesuffix("GB")))


def _plain(usd: Decimal) -> Decimal:
    return Decimal(f"{usd.normalize():f}")


_Named = tuple[str, str, str] | None


def _ec2(usage: str, attributes: Mapping[str, Any]) -> _Named:
    volume = _VOLUME.match(usage)
    if volume:
        name = _VOLUME_NAMES.get(volume.group(1) or "")
        return ("ebs", f"{name}_storage", "") if name else None
    plain = {
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
    }
    wanted = usage.startswith("BoxUsage") and attributes.get("operation", "") == "RunInstances"
    if not wanted or any(attributes.get(key) != value for key, value in plain.items()):
        return None
    return "ec2", "instance", str(attributes.get("instanceType", ""))


def _sagemaker(usage: str, attributes: Mapping[str, Any]) -> _Named:
    size = _SERVERLESS.match(usage)
    if size:
        return _serverless(usage, size.group(1), attributes)
    data = _DATA.match(usage)
    if data and attributes.get("operation") == "Invoke-Endpoint":
        return "sagemaker", f"endpoint_data_{data.group(1).lower()}", ""
    found = _ML.match(usage)
    if not found or found.group(1) not in SAGEMAKER_USES:
        return None
    return "sagemaker", SAGEMAKER_USES[found.group(1)], found.group(2)


def _serverless(usage: str, gigabytes: str, attributes: Mapping[str, Any]) -> _Named:
    """A serverless endpoint's rate: on demand, ready, or used while ready. Which of the latter two is
    taken from the group: published readers of the usage types disagree on `Mem` and `Usage` there."""
    component = SERVERLESS if usage.startswith("ServerlessInf:Mem-") else None
    if usage.startswith("ProvisionedConcurrency:"):
        component = SERVERLESS_GROUPS.get(str(attributes.get("group", "")))
    return ("sagemaker", component, f"{gigabytes}GB") if component else None


def _lambda(usage: str, attributes: Mapping[str, Any]) -> _Named:
    component = LAMBDA_GROUPS.get(str(attributes.get("group", "")))
    return ("lambda", component, "") if component else None


def _s3(usage: str, attributes: Mapping[str, Any]) -> _Named:
    if usage == "TimedStorage-ByteHrs":
        return "s3", "standard_storage", ""
    component = S3_GROUPS.get(str(attributes.get("group", "")))
    known = usage in ("Requests-Tier1", "Requests-Tier2")
    return ("s3", component, "") if component and known else None


def _logs(usage: str, attributes: Mapping[str, Any]) -> _Named:
    component = LOGS.get(usage)
    return ("cloudwatch", component, "") if component else None


def _transfer(usage: str, attributes: Mapping[str, Any]) -> _Named:
    if usage == "DataTransfer-Out-Bytes":
        return "data_transfer", "internet_out_first_10tb", ""
    return None


_READERS: dict[str, Callable[[str, Mapping[str, Any]], _Named]] = {
    "AmazonEC2": _ec2,
    "AmazonSageMaker": _sagemaker,
    "AWSLambda": _lambda,
    "AmazonS3": _s3,
    "AmazonCloudWatch": _logs,
    "AWSDataTransfer": _transfer,
}
