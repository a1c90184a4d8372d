"""The data that flows through the house: frozen, keyword-only, units in the names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any


class Basis(StrEnum):
    """Where a figure in USD comes from. Figures of different basis are never added up."""

    BILLED = "billed"
    ESTIMATED = "estimated"
    SIMULATED = "simulated"


class RunStatus(StrEnum):
    """What became of a run, in Pedigree's own words."""

    REFUSED = "refused"
    SUBMITTED = "submitted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def settled(self) -> bool:
        """True once nothing more will happen to the run."""
        return self not in (RunStatus.SUBMITTED, RunStatus.RUNNING)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request to AWS, in AWS's own words, and why it is made.

    `service` is boto3's service name, `operation` boto3's method name, `params` its arguments.
    """

    service: str
    operation: str
    params: Mapping[str, Any]
    why: str


@dataclass(frozen=True, kw_only=True)
class Price:
    """One row of a price book: `usd` for one `unit`, as read on `as_of` from `source`.

    `grade` says what kind of source that is: `aws` (its price list), `machine-generated` (made from
    that list by others), `bill`, `given`, `curated`, `second-hand`, `quote` (spot, one moment).
    """

    service: str
    component: str
    instance_type: str
    region: str
    unit: str
    usd: Decimal
    as_of: str
    source: str
    grade: str = ""


@dataclass(frozen=True, kw_only=True)
class CostLine:
    """One line of a ledger: `quantity` units of something at a frozen price."""

    item: str
    quantity: Decimal
    price: Price
    usd: Decimal


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What something costs, with every line and the price each line was reckoned at."""

    basis: Basis
    lines: tuple[CostLine, ...] = ()
    not_counted: tuple[str, ...] = ()

    @property
    def total_usd(self) -> Decimal:
        return sum((line.usd for line in self.lines), Decimal(0))


@dataclass(frozen=True, kw_only=True)
class Duration:
    """Predicted seconds on each host, from launch to end; the truth lies between `low_s` and `high_s`
    in `rate` of the cases (0 to 1)."""

    low_s: float
    expected_s: float
    high_s: float
    rate: float


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run may cost before it starts, in USD, and where the figures come from.

    `high_usd` is the cost of its maximum run time: it cannot cost more. With a `duration`, `low_usd`
    to `likely_high_usd` is the interval that holds at the duration's rate. `extrapolates` says in
    which ways the run is unlike every run on record.
    """

    low_usd: Decimal
    expected_usd: Decimal | None
    high_usd: Decimal
    why: str
    likely_high_usd: Decimal | None = None
    duration: Duration | None = None
    extrapolates: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """An ImageFolder in S3. `digest` names its content, `uri` ends with a slash."""

    uri: str
    digest: str
    classes: tuple[str, ...]
    images: Mapping[str, int]
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file in S3 and the SHA-256 of its bytes (`sha256:…`)."""

    uri: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class LaunchPlan:
    """Everything that launching a run will do, decided before anything is done."""

    run_id: str
    run_name: str
    experiment: str
    launcher: str
    instance_type: str
    instance_count: int
    region: str
    calls: tuple[Call, ...]
    estimate: Estimate
    params: Mapping[str, str]
    tags: Mapping[str, str]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    max_runtime_s: int
    volume_gb: int
    output_uri: str


@dataclass(frozen=True, kw_only=True)
class RunHandle:
    """How to find a launched run again: AWS's own name for it."""

    run_id: str
    launcher: str
    resource_id: str
    submitted_at: datetime


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One stretch in which a spot host ran. `interrupted` means that AWS took it back.

    `price` is the spot quote in force when it started, if somebody read it.
    """

    started_at: datetime
    ended_at: datetime
    interrupted: bool = False
    price: Price | None = None


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What AWS says a run used. Seconds are for each host.

    `billable_s` is BillableTimeInSeconds, or launch to termination on EC2; `training_s` is
    TrainingTimeInSeconds, which on managed spot is the longer. `interrupted` means that EC2 took its
    spot host back. `retained_s` is what a warm pool was kept for after the job. `segments` are the
    stretches of a spot host on EC2 that was started several times. `download_s` is what fetching the
    photos took, None where nobody told.
    """

    billable_s: Decimal
    hosts: int
    started_at: datetime | None
    ended_at: datetime | None
    training_s: Decimal | None = None
    interrupted: bool = False
    retained_s: Decimal = Decimal(0)
    spot: bool = False
    segments: tuple[Segment, ...] = ()
    download_s: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What a run keeps and asks for beside its hosts. `stored_days` is how long its outputs stay."""

    stored_bytes: int = 0
    stored_days: int = 0
    put_requests: int = 0
    get_requests: int = 0
    log_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Hosts:
    """The machines of a run: what its cost depends on beside time."""

    launcher: str
    instance_type: str
    count: int
    region: str
    volume_gb: int
    spot: bool = False


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What AWS says of a run at one moment, translated into our words."""

    status: RunStatus
    phase: str
    reason: str = ""
    usage: Usage | None = None
    model_uri: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """A run as the tracker remembers it: one row of every leaderboard."""

    run_id: str
    tracker_run_id: str
    name: str
    experiment: str
    status: RunStatus
    launcher: str
    instance_type: str
    hosts: int
    reason: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    billable_s: float | None = None
    cost_usd: Decimal | None = None
    cost_basis: Basis | None = None
    model_uri: str | None = None
    dataset_digest: str = ""
    code_digest: str = ""
    git_commit: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    warnings: tuple[str, ...] = ()
    """What its hosts warned of, each once."""
