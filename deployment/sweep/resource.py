"""Things in an account, and what is known of who needs them. Data only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from experiments.records import Call

OWNER = "pedigree:owner"
APP = "pedigree:app"
RELEASE = "pedigree:release"
RUN = "pedigree:run"


class Kind(StrEnum):
    """What a thing is; they are removed in this order, users before what they use."""

    PROVISIONED = "provisioned concurrency"
    FUNCTION = "function"
    ENDPOINT = "endpoint"
    ALARM = "alarm"
    CONFIG = "endpoint configuration"
    MODEL = "model"
    JOB = "training job"
    INSTANCE = "EC2 instance"
    VOLUME = "EBS volume"
    NOTEBOOK = "notebook instance"
    UPLOAD = "unfinished upload"
    ARCHIVE = "archive of no release"


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One thing. `usd_per_day` is None where the price book has no price for it.

    `in_use`: something else that is judged for itself holds it, such as a volume's instance.
    `remove` are the requests that end it.
    """

    kind: Kind
    name: str
    tags: Mapping[str, str]
    created_at: datetime | None
    usd_per_day: Decimal | None
    remove: tuple[Call, ...] = field(repr=False)
    in_use: bool = False
    version: str = ""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is needed: by the releases on record, the commands at work, and the runs under way.

    `live`: names `<app>-<stage>` with a live release. `busy`: those that a command changes now.
    `versions`: the function version that each live alias points to. `releases`: ids that are live or
    may be gone back to. `on_record`: every release id that has a record. `runs`: run ids not settled.
    """

    live: frozenset[str]
    busy: frozenset[str]
    versions: Mapping[str, str]
    releases: frozenset[str]
    on_record: frozenset[str]
    runs: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """A thing that nobody needs, and how that is known."""

    resource: Resource
    why: str


def digest_of(orphans: Sequence[Orphan]) -> str:
    """Eight hex digits that name a list of orphans, whatever their order and price."""
    names = sorted(f"{o.resource.kind.value} {o.resource.name}" for o in orphans)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:8]
