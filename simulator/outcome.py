"""What a simulation tells: over time and in sum. Plain frozen data for tables and charts."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A stretch of time. Percentiles in milliseconds of those answered; None if nobody was.

    `refused`: 429 of the function or the endpoint. `failed`: 5xx (time-outs). `queue`: the most
    requests that waited in the endpoint at once. `instances`: at the end; `starting`: asked for.
    """

    start_s: float
    length_s: float
    arrivals: int
    answered: int
    refused: int
    failed: int
    cold_starts: int
    instances: int
    starting: int
    queue: int
    in_flight: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What is paid for. Lambda bills each call's milliseconds, rounded up, with its cold start."""

    length_s: float
    instance_s: float
    calls: int
    warm_billed_ms: float
    on_demand_billed_ms: float
    provisioned_environment_s: float
    serverless_s: float
    serverless_provisioned_s: float
    photos_bytes: float
    log_bytes: float


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Of the whole time. arrivals = answered + refused + failed. `idle_share`: of the workers' time."""

    length_s: float
    arrivals: int
    answered: int
    refused_front: int
    refused_endpoint: int
    failed: int
    cold_starts: int
    spilled: int
    endpoint_cold_starts: int
    waited: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    mean_ms: float | None
    idle_share: float
    mean_instances: float
    peak_instances: int
    peak_queue: int
    peak_in_flight: int

    @property
    def refused(self) -> int:
        """429 of the function and of the endpoint."""
        return self.refused_front + self.refused_endpoint

    @property
    def refused_share(self) -> float:
        """Of all arrivals; 0 without any."""
        return self.refused / self.arrivals if self.arrivals else 0.0

    @property
    def failed_share(self) -> float:
        """Of all arrivals; 0 without any."""
        return self.failed / self.arrivals if self.arrivals else 0.0


@dataclass(frozen=True, kw_only=True)
class Line:
    """One component of the bill: `quantity` of `unit`, at `price_usd` for one."""

    component: str
    quantity: Decimal
    unit: str
    price_usd: Decimal
    usd: Decimal


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What a length of time costs; `unpriced` is used and has no price in the book."""

    hours: Decimal
    lines: tuple[Line, ...]
    unpriced: tuple[str, ...] = ()

    @property
    def total_usd(self) -> Decimal:
        """Of all lines."""
        return sum((line.usd for line in self.lines), Decimal(0))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One run of the simulator, by one seed."""

    seed: int
    slots: tuple[Slot, ...]
    sums: Sums
    usage: Usage
