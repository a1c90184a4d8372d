"""The data that the pages hand around: frozen, units in the names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from deployment.release import Release
from deployment.settings import ServingSettings
from experiments.records import Basis


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One figure in a box: what it is, the figure, a few words on it, and what the words mean."""

    label: str
    value: str
    detail: str
    help: str


@dataclass(frozen=True, kw_only=True)
class LiveRelease:
    """A release that answers now, and where. `endpoint_status` is SageMaker's word.

    `instances` is how many run; None where AWS does not say. `standing_usd_per_h` is paid whether
    asked or not; None where the book has no price. `cloud_url` is None for AWS itself.
    `function_url` is the function's own address, or empty.
    """

    release: Release
    since: datetime
    endpoint_status: str
    instances: int | None
    standing_usd_per_h: Decimal | None
    basis: Basis
    region: str
    cloud_url: str | None
    function_url: str = ""

    @property
    def settings(self) -> ServingSettings:
        return self.release.settings


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photo to send. `label` is the class it is filed under, or empty."""

    name: str
    data: bytes
    content_type: str
    label: str = ""
