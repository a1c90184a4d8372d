"""From what a run used to ledger lines. Pure; Decimal throughout.

A price that the book does not hold is never guessed: compute without a price is refused by name, and
a small part without one (a volume, a request) is named in `not_counted`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from experiments.cost import HOURS_PER_MONTH, SECONDS_PER_HOUR, compute_price, line
from experiments.errors import PriceError
from experiments.prices import PriceBook
from experiments.records import CostLine, Footprint, Hosts, Price, Usage

EC2_MINIMUM_S = Decimal(60)
"""EC2 Linux is billed by the second, a minute at least (EC2 User Guide, "On-Demand Instances")."""
FREE_IF_INTERRUPTED_S = Decimal(3600)
"""A Linux spot instance that EC2 interrupts within its first hour is not charged; later, and whenever
we end it, the seconds used are (EC2 User Guide, "Billing for interrupted Spot Instances")."""
_GB = Decimal(2**30)
_MONTH_S = HOURS_PER_MONTH * SECONDS_PER_HOUR
_DAY_S = Decimal(86_400)
_UNITS = {
    "hour": Decimal(1),
    "GB": Decimal(1),
    "GB-month": Decimal(1),
    "request": Decimal(1),
    "1k requests": Decimal(1000),
    "1M requests": Decimal(1_000_000),
}
"""The units of a book, and how many of the plain thing each holds."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One line of a ledger, or the name of what could not be counted."""

    line: CostLine | None = None
    not_counted: str = ""


def compute(hosts: Hosts, usage: Usage, book: PriceBook) -> Iterator[Part]:
    """The hosts' time. Raises PriceError if the book has no price for the type in the region."""
    if hosts.launcher == "ec2" and (hosts.spot or usage.spot):
        yield from _spot_segments(hosts, usage, book)
        return
    seconds = usage.billable_s
    item = f"{usage.hosts} x {hosts.instance_type}"
    if hosts.launcher == "ec2":
        seconds = max(seconds, EC2_MINIMUM_S)
    elif (hosts.spot or usage.spot) and usage.training_s is not None:
        item += f" managed spot (trained {usage.training_s} s, billed {usage.billable_s} s)"
    price = compute_price(book, hosts.launcher, hosts.instance_type, hosts.region)
    yield Part(line=line(item, seconds * usage.hosts, price, per=SECONDS_PER_HOUR))
    if usage.retained_s > 0:
        yield _or_named(
            book,
            ("sagemaker", "training_warm_pool", hosts.instance_type, hosts.region),
            f"{usage.hosts} x {hosts.instance_type} kept warm",
            usage.retained_s * usage.hosts,
            per=SECONDS_PER_HOUR,
        )


def _spot_segments(hosts: Hosts, usage: Usage, book: PriceBook) -> Iterator[Part]:
    if not usage.segments:
        price, known = _spot_price(hosts, book)
        seconds, note = _billed_s(usage.billable_s, usage.interrupted)
        item = f"{usage.hosts} x {hosts.instance_type} spot{note}"
        yield Part(line=line(item, seconds * usage.hosts, price, per=SECONDS_PER_HOUR))
        if not known:
            yield Part(not_counted=_UPPER_BOUND.format(kind=hosts.instance_type))
        return
    for at, segment in enumerate(usage.segments, start=1):
        price, known = (segment.price, True) if segment.price else _spot_price(hosts, book)
        ran = Decimal(str(max((segment.ended_at - segment.started_at).total_seconds(), 0)))
        seconds, note = _billed_s(ran, segment.interrupted)
        item = f"{hosts.instance_type} spot, segment {at} of {len(usage.segments)}{note}"
        yield Part(line=line(item, seconds, price, per=SECONDS_PER_HOUR))
        if not known:
            yield Part(not_counted=_UPPER_BOUND.format(kind=hosts.instance_type))


_UPPER_BOUND = "the spot discount (no quote for {kind} in the book; on-demand is an upper bound)"


def _billed_s(ran: Decimal, interrupted: bool) -> tuple[Decimal, str]:
    if interrupted and ran < FREE_IF_INTERRUPTED_S:
        return Decimal(0), f" (interrupted after {ran} s: free)"
    return max(ran, EC2_MINIMUM_S), " (interrupted)" if interrupted else ""


def _spot_price(hosts: Hosts, book: PriceBook) -> tuple[Price, bool]:
    """The book's quote, or the on-demand price and False."""
    try:
        return book.find("ec2", "spot", hosts.region, hosts.instance_type), True
    except PriceError:
        return compute_price(book, "ec2", hosts.instance_type, hosts.region), False


def volumes(hosts: Hosts, usage: Usage, book: PriceBook) -> Iterator[Part]:
    """The hosts' disks while they ran: gp3 on EC2, the training volume on SageMaker."""
    seconds = usage.billable_s
    if hosts.launcher == "ec2":
        ran = [(s.ended_at - s.started_at).total_seconds() for s in usage.segments]
        seconds = max(Decimal(str(sum(ran))) if ran else seconds, EC2_MINIMUM_S)
        key = ("ebs", "gp3_storage", "", hosts.region)
        item = f"{hosts.volume_gb} GB gp3 volume"
    else:
        key = ("sagemaker", "training_storage", "", hosts.region)
        item = f"{hosts.volume_gb} GB training volume"
    share = seconds * usage.hosts * hosts.volume_gb
    yield _or_named(book, key, item, share, per=_MONTH_S)


def surroundings(region: str, footprint: Footprint, book: PriceBook) -> Iterator[Part]:
    """S3 storage until the outputs expire, S3 requests, and log ingestion."""
    s3, logs = "s3", "cloudwatch"
    kept = Decimal(footprint.stored_bytes) * footprint.stored_days * _DAY_S
    stored = f"outputs in S3 for {footprint.stored_days} days"
    counts = (
        ((s3, "standard_storage", "", region), stored, kept, _GB * _MONTH_S),
        ((s3, "put_request", "", region), "S3 writes", Decimal(footprint.put_requests), Decimal(1)),
        ((s3, "get_request", "", region), "S3 reads", Decimal(footprint.get_requests), Decimal(1)),
        ((logs, "logs_ingest", "", region), "log ingestion", Decimal(footprint.log_bytes), _GB),
    )
    for key, item, quantity, per in counts:
        if quantity > 0:
            yield _or_named(book, key, item, quantity, per=per)


def _or_named(
    book: PriceBook, key: tuple[str, str, str, str], item: str, quantity: Decimal, *, per: Decimal
) -> Part:
    price = book.rows.get(key)
    if price is None:
        return Part(not_counted=f"{item} (no {key[0]} {key[1]} price for {key[3]} in the book)")
    if price.unit not in _UNITS:
        return Part(not_counted=f"{item} (its price is by {price.unit}, a unit not known here)")
    return Part(line=line(item, quantity, price, per=per * _UNITS[price.unit]))
