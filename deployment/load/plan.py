"""What a load test sends and what it will cost, before anything is sent. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from deployment.invoke import Way
from deployment.plan.release_plan import ASSUMED_MS
from deployment.settings import ServingSettings
from deployment.straight import DATA
from experiments.cost import line, money
from experiments.errors import PriceError, SpecError
from experiments.prices import PriceBook
from experiments.records import Basis, Cost, CostLine

MAX_RATE_PER_S = 50.0
MAX_SECONDS = 120
_MILLION = Decimal(1_000_000)
_BYTES_PER_GB = Decimal(1024**3)
# Instances that were added stay until fifteen quiet minutes have passed: AWS's low alarm.
_STAY_S = 15 * 60


@dataclass(frozen=True, kw_only=True)
class Load:
    """So many questions a second for so long, whatever becomes of the ones before (an open loop).

    Raises SpecError beyond MAX_RATE_PER_S and MAX_SECONDS: this is a look at how the service feels,
    not a tool to press a service down with.
    """

    rate_per_s: float
    seconds: int
    way: Way = Way.LAMBDA

    def __post_init__(self) -> None:
        if not 0 < self.rate_per_s <= MAX_RATE_PER_S:
            raise SpecError(
                f"--rate {self.rate_per_s:g} is not above 0 and at most {MAX_RATE_PER_S:g} a second",
                fix=f"use --rate {MAX_RATE_PER_S:g} or less",
            )
        if not 1 <= self.seconds <= MAX_SECONDS:
            raise SpecError(
                f"--seconds {self.seconds} is not 1 to {MAX_SECONDS}",
                fix=f"use --seconds {MAX_SECONDS} or less",
            )

    @property
    def requests(self) -> int:
        """How many questions there are in all, at least one."""
        return max(1, round(self.rate_per_s * self.seconds))


@dataclass(frozen=True, kw_only=True)
class LoadPlan:
    """What will be asked of `name`, what the calls will cost, and what is to be expected."""

    name: str
    load: Load
    photos: int
    cost: Cost
    notes: tuple[str, ...]


def plan_load(
    load: Load,
    settings: ServingSettings,
    *,
    photo_bytes: tuple[int, ...],
    region: str,
    book: PriceBook,
    basis: Basis,
) -> LoadPlan:
    """The plan for asking about photos of these sizes in turn. A price that is missing is named."""
    lines: list[CostLine] = []
    missing: list[str] = []
    parts = (_function_lines, _data_lines) if load.way is Way.LAMBDA else (_data_lines,)
    for part in parts:
        try:
            lines += part(load, settings, photo_bytes, region, book)
        except PriceError as error:
            missing.append(error.message)
    hours = "the hours of instances and warm functions, which stand there anyway"
    cost = Cost(basis=basis, lines=tuple(lines), not_counted=(hours, *missing))
    notes = (*_refusals(load, settings), *_scaling(load, settings, region, book))
    return LoadPlan(name=settings.name, load=load, photos=len(photo_bytes), cost=cost, notes=notes)


def _function_lines(
    load: Load, settings: ServingSettings, sizes: tuple[int, ...], region: str, book: PriceBook
) -> list[CostLine]:
    del sizes
    warm = "provisioned_duration_gb_second" if settings.provisioned_concurrency else "gb_second"
    count = Decimal(load.requests)
    seconds = count * ASSUMED_MS / 1000 * settings.memory_mb / 1024
    item = f"{ASSUMED_MS} ms of {settings.memory_mb} MB of the function for each"
    return [
        line(
            f"{load.requests:,} requests",
            count,
            book.find("lambda", "request", region),
            per=_MILLION,
        ),
        line(item, seconds, book.find("lambda", warm, region)),
    ]


def _data_lines(
    load: Load, settings: ServingSettings, sizes: tuple[int, ...], region: str, book: PriceBook
) -> list[CostLine]:
    del settings
    sent = Decimal(load.requests) * sum(sizes) / max(len(sizes), 1)
    price = book.find("sagemaker", DATA, region)
    return [line("the photos into the endpoint", sent, price, per=_BYTES_PER_GB)]


def _refusals(load: Load, settings: ServingSettings) -> list[str]:
    """By Little's law: so many are under way at once."""
    at_once = load.rate_per_s * ASSUMED_MS / 1000
    if load.way is Way.LAMBDA and at_once > settings.reserved_concurrency:
        return [
            f"at {ASSUMED_MS} ms each about {at_once:.0f} calls run at once and the function runs"
            f" {settings.reserved_concurrency}: the others are refused with 429"
        ]
    return []


def _scaling(load: Load, settings: ServingSettings, region: str, book: PriceBook) -> list[str]:
    more = settings.max_instances - settings.min_instances
    a_minute = load.rate_per_s * 60
    aimed = settings.target_invocations_per_instance * settings.min_instances
    if settings.is_serverless or more == 0 or a_minute <= aimed:
        return []
    words = (
        f"{a_minute:.0f} calls a minute are above the {aimed} that {settings.min_instances} of"
        f" {settings.instance_type} are to serve: if it lasts about three minutes, up to {more} more"
        " are added"
    )
    try:
        hourly = book.find("sagemaker", "hosting", region, settings.instance_type).usd
    except PriceError:
        return [words]
    most = more * hourly * (load.seconds + _STAY_S) / 3600
    return [f"{words}, for at most {money(most)} until they are removed again"]
