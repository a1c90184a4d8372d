"""What carrying out a plan takes besides the plan, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from deployment.clock import Clock
from deployment.invoke import Answer
from deployment.monthly import Monthly
from deployment.reconcile.owner import is_dead
from deployment.reconcile.perform import Report
from deployment.release import Release
from deployment.settings import ALIAS
from deployment.smoke import GoldenPhoto
from experiments.aws import Cloud
from experiments.prices import PriceBook


@dataclass(frozen=True, kw_only=True)
class Applied:
    """A release that is live, with what the tracker writes on its run and model version."""

    release: Release
    previous_id: str
    function_version: str
    monthly: Monthly
    steps_done: int
    answer: Answer | None
    finished_at: datetime
    address: str = ""
    """The alias's function URL; empty for a release without one."""

    @property
    def tags(self) -> dict[str, str]:
        """For the registered model version and the run: release, addresses, price and evidence."""
        name = self.release.settings.name
        gates = (f"{g.name} {'passed' if g.passed else 'NOT passed'}" for g in self.release.gates)
        return {
            "pedigree.release": self.release.release_id,
            "pedigree.endpoint": name,
            "pedigree.function": f"{name}:{ALIAS}",
            "pedigree.function_version": self.function_version,
            "pedigree.live_since": self.finished_at.isoformat(timespec="seconds"),
            "pedigree.monthly_usd_at_min": f"{self.monthly.at_min.total_usd:.2f}",
            "pedigree.monthly_usd_at_max": f"{self.monthly.at_max.total_usd:.2f}",
            "pedigree.monthly_basis": self.monthly.at_min.basis.value,
            "pedigree.gates": ", ".join(gates),
            **({"pedigree.function_url": self.address} if self.address else {}),
            **({"pedigree.override": self.release.override} if self.release.override else {}),
        }


@dataclass(frozen=True, kw_only=True)
class Means:
    """What carrying out a plan takes besides the plan. `holder` is a word nobody else uses."""

    cloud: Cloud
    book: PriceBook
    holder: str
    report: Report
    golden: GoldenPhoto | None = None
    clock: Clock = Clock()  # noqa: RUF009  (frozen)
    died: Callable[[Mapping[str, object]], bool] = is_dead
