"""The account of one run: before it starts, while it runs, and once AWS has said what it used. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from experiments.errors import PedigreeError
from experiments.ledger.lines import Part, compute, surroundings, volumes
from experiments.prices import PriceBook
from experiments.records import Basis, Cost, CostLine, Footprint, Hosts, LaunchPlan, Usage

NEVER_COUNTED = ("data transfer out of AWS", "a public IPv4 address, if the subnet gives one")


def hosts_of(plan: LaunchPlan) -> Hosts:
    """The machines that a plan asks for."""
    return Hosts(
        launcher=plan.launcher,
        instance_type=plan.instance_type,
        count=plan.instance_count,
        region=plan.region,
        volume_gb=plan.volume_gb,
        spot=plan.params.get("launch/spot", "").lower() == "true",
    )


def account(
    hosts: Hosts,
    usage: Usage,
    *,
    book: PriceBook,
    basis: Basis,
    footprint: Footprint | None = None,
) -> Cost:
    """What `usage` costs at the prices of `book`: one line for each thing AWS bills.

    A run that never started costs nothing at all. Raises PriceError if there is no compute price.
    """
    if usage.billable_s <= 0 and not usage.segments:
        return Cost(basis=basis)
    parts = [*compute(hosts, usage, book), *volumes(hosts, usage, book)]
    if footprint is not None:
        parts += surroundings(hosts.region, footprint, book)
    not_counted = (*_named(parts), *NEVER_COUNTED)
    if footprint is None:
        not_counted = (*not_counted, "S3 storage and requests", "log ingestion")
    return Cost(basis=basis, lines=_lines(parts), not_counted=tuple(dict.fromkeys(not_counted)))


def _lines(parts: Iterable[Part]) -> tuple[CostLine, ...]:
    return tuple(part.line for part in parts if part.line is not None)


def _named(parts: Iterable[Part]) -> tuple[str, ...]:
    return tuple(part.not_counted for part in parts if part.not_counted)


def for_seconds(hosts: Hosts, seconds: Decimal, *, book: PriceBook, basis: Basis) -> Cost:
    """What so many seconds on each host cost; for estimates."""
    usage = Usage(
        billable_s=seconds, hosts=hosts.count, started_at=None, ended_at=None, spot=hosts.spot
    )
    return account(hosts, usage, book=book, basis=basis)


def so_far(
    hosts: Hosts, *, started_at: datetime | None, now: datetime, book: PriceBook, basis: Basis
) -> Cost:
    """What a running run has cost until `now`; nothing before AWS says that it started.

    Simulated stays simulated; everything else is an estimate while the run goes on.
    """
    kind = Basis.SIMULATED if basis is Basis.SIMULATED else Basis.ESTIMATED
    if started_at is None:
        return Cost(basis=kind)
    seconds = Decimal(str(max((now - started_at).total_seconds(), 0)))
    return for_seconds(hosts, seconds, book=book, basis=kind)


def usd_per_second(hosts: Hosts, *, book: PriceBook) -> Decimal:
    """How fast all hosts of a run together spend, past every minimum charge."""
    hour = Decimal(3600)
    return for_seconds(hosts, hour, book=book, basis=Basis.ESTIMATED).total_usd / hour


def total(costs: Iterable[Cost]) -> tuple[Basis, Decimal] | None:
    """The sum of costs of one basis, or None for none. Raises PedigreeError if their bases differ."""
    found = list(costs)
    bases = {cost.basis for cost in found}
    if len(bases) > 1:
        raise PedigreeError(
            f"costs that are {' and '.join(sorted(bases))} are never added up",
            fix="sum each basis for itself",
        )
    if not found:
        return None
    return bases.pop(), sum((cost.total_usd for cost in found), Decimal(0))
