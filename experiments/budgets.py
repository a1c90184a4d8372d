"""Limits on spend: a launch that would break one is refused with its sum, a run that reaches one is ended.

Simulated money and AWS's are never summed: a budget is held against the figures of the cloud that the
launch goes to. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from experiments.cost import money
from experiments.errors import BudgetError
from experiments.files import write_whole
from experiments.ledger.periods import spent_in
from experiments.ledger.settle import hosts_of, usd_per_second
from experiments.prices import PriceBook
from experiments.records import Basis, Cost, LaunchPlan, RunRecord
from experiments.spec import ExperimentSpec

_MAX_SETTING_BYTES = 10_000


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """The limits that hold for a launch, in USD; None is no limit. `run_usd` is by run name."""

    run_usd: tuple[tuple[str, Decimal], ...] = ()
    experiment_usd: Decimal | None = None
    month_usd: Decimal | None = None

    @property
    def any(self) -> bool:
        """Whether there is any limit at all."""
        month, experiment = self.month_usd, self.experiment_usd
        return bool(self.run_usd) or experiment is not None or month is not None

    def of_run(self, name: str) -> Decimal | None:
        """The limit of one run."""
        return dict(self.run_usd).get(name)


def budgets_of(spec: ExperimentSpec, month_usd: Decimal | None = None) -> Budgets:
    """The limits of an experiment file and of the workspace."""
    return Budgets(
        run_usd=tuple((r.name, r.budget_usd) for r in spec.runs if r.budget_usd is not None),
        experiment_usd=spec.budget_usd,
        month_usd=month_usd,
    )


def same_money(basis: Basis) -> tuple[Basis, ...]:
    """The bases that count together with what a cloud of this basis makes: simulated alone, or AWS's two."""
    if basis is Basis.SIMULATED:
        return (Basis.SIMULATED,)
    return (Basis.BILLED, Basis.ESTIMATED)


RUN_PARAM, EXPERIMENT_PARAM = "budget/run_usd", "budget/experiment_usd"
"""A plan's params that keep its limits, so that whoever follows the run later holds it to them."""


def params_of(run_usd: Decimal | None, experiment_usd: Decimal | None) -> dict[str, str]:
    """The limits of a run and its experiment as params; none for no limit."""
    given = {RUN_PARAM: run_usd, EXPERIMENT_PARAM: experiment_usd}
    return {name: f"{usd:f}" for name, usd in given.items() if usd is not None}


def budgets_of_plan(plan: LaunchPlan, month_usd: Decimal | None) -> Budgets:
    """The limits that a plan was made under, and the workspace's of today."""
    run, experiment = plan.params.get(RUN_PARAM), plan.params.get(EXPERIMENT_PARAM)
    return Budgets(
        run_usd=((plan.run_name, Decimal(run)),) if run else (),
        experiment_usd=Decimal(experiment) if experiment else None,
        month_usd=month_usd,
    )


def planned_usd(plan: LaunchPlan) -> Decimal:
    """What a plan is reckoned at: the upper end of its interval, or its maximum run time's cost."""
    estimate = plan.estimate
    return estimate.high_usd if estimate.likely_high_usd is None else estimate.likely_high_usd


@dataclass(frozen=True, kw_only=True)
class Sum:
    """One limit and what a launch would bring it to."""

    what: str
    limit_usd: Decimal
    spent_usd: Decimal
    planned_usd: Decimal
    basis: Basis

    @property
    def total_usd(self) -> Decimal:
        return self.spent_usd + self.planned_usd

    @property
    def broken(self) -> bool:
        return self.total_usd > self.limit_usd

    def __str__(self) -> str:
        return (
            f"{self.what}: spent {money(self.spent_usd)} + planned {money(self.planned_usd)}"
            f" = {money(self.total_usd)} of {money(self.limit_usd)}"
            + (" (simulated)" if self.basis is Basis.SIMULATED else "")
        )


def sums(
    plans: Sequence[LaunchPlan],
    budgets: Budgets,
    history: Iterable[RunRecord],
    *,
    now: datetime,
    basis: Basis,
) -> tuple[Sum, ...]:
    """Every limit that these plans fall under, with what is spent and what they would add."""
    known, counted = list(history), same_money(basis)
    found = []
    for plan in plans:
        limit = budgets.of_run(plan.run_name)
        if limit is not None:
            found.append((f"run {plan.run_name}", limit, Decimal(0), planned_usd(plan)))
    if budgets.experiment_usd is not None:
        for name in dict.fromkeys(plan.experiment for plan in plans):
            spent = sum(
                (r.cost_usd or Decimal(0))
                for r in known
                if r.experiment == name and r.cost_basis in counted
            )
            planned = sum((planned_usd(p) for p in plans if p.experiment == name), Decimal(0))
            found.append((f"experiment {name}", budgets.experiment_usd, Decimal(spent), planned))
    if budgets.month_usd is not None:
        month = f"{now.astimezone(UTC):%Y-%m}"
        planned = sum((planned_usd(plan) for plan in plans), Decimal(0))
        found.append(
            (f"month {month}", budgets.month_usd, spent_in(known, month, counted), planned)
        )
    return tuple(
        Sum(what=what, limit_usd=limit, spent_usd=spent, planned_usd=planned, basis=counted[0])
        for what, limit, spent, planned in found
    )


def check(
    plans: Sequence[LaunchPlan],
    budgets: Budgets,
    history: Iterable[RunRecord],
    *,
    now: datetime,
    basis: Basis,
) -> tuple[Sum, ...]:
    """The sums of `sums`. Raises BudgetError, with each broken sum shown, before anything is launched."""
    return refuse_broken(sums(plans, budgets, history, now=now, basis=basis))


def refuse_broken(found: tuple[Sum, ...]) -> tuple[Sum, ...]:
    """The same sums if all hold. Raises BudgetError with each broken one shown."""
    broken = [item for item in found if item.broken]
    if broken:
        raise BudgetError(
            "; ".join(str(item) for item in broken),
            fix="plan less (`pedigree plan --what-if`), shorten max_runtime_s, or raise the budget",
        )
    return found


def allowance_usd(
    plan: LaunchPlan,
    budgets: Budgets,
    history: Iterable[RunRecord],
    *,
    now: datetime,
    basis: Basis,
    others_usd: Mapping[str, Decimal] | None = None,
) -> Decimal | None:
    """What one run may still spend under its tightest limit, or None for no limit.

    `others_usd` is what runs that are under way beside it have cost so far, by experiment: an
    experiment's limit counts its own, a month's all of them.
    """
    beside = others_usd or {}
    taken = {
        f"run {plan.run_name}": Decimal(0),
        f"experiment {plan.experiment}": beside.get(plan.experiment, Decimal(0)),
    }
    everything = sum(beside.values(), Decimal(0))
    known = [record for record in history if record.run_id != plan.run_id]
    left = [
        item.limit_usd - item.spent_usd - taken.get(item.what, everything)
        for item in sums([plan], budgets, known, now=now, basis=basis)
    ]
    return max(min(left), Decimal(0)) if left else None


def must_stop(
    so_far_usd: Decimal, *, usd_per_second: Decimal, tick_s: float, allowance: Decimal | None
) -> bool:
    """Whether a run must be asked to stop now: by the next look it would be past its allowance.

    `tick_s` is the time to the next look and that which a run is given to write its checkpoint. So a
    run that stops in that time never spends more than its limit, whenever within a tick it is looked at.
    """
    if allowance is None:
        return False
    return so_far_usd + usd_per_second * Decimal(str(tick_s)) > allowance


@dataclass(kw_only=True)
class Watch:
    """Holds the runs that one process follows to their budgets; asked at every look.

    `history` gives the runs on record when first asked. Call it with a plan and its cost so far: it
    returns why the run must be asked to stop, or None. Runs followed beside it count with their cost
    so far. `stopping_s` is what a run may take to stop: SageMaker gives it 120 s, an instance 90 s.
    """

    book: PriceBook
    basis: Basis
    tick_s: float
    stopping_s: float
    month_usd: Decimal | None
    history: Callable[[], Sequence[RunRecord]]
    now: Callable[[], datetime]
    _known: Sequence[RunRecord] | None = None
    _so_far: dict[str, tuple[str, Decimal]] = field(default_factory=dict)
    """Experiment and cost of each run that is followed, by its id."""

    def __call__(self, plan: LaunchPlan, so_far: Cost) -> str | None:
        """Why `plan`'s run must stop now, or None."""
        self._so_far[plan.run_id] = plan.experiment, so_far.total_usd
        limits = budgets_of_plan(plan, self.month_usd)
        if not limits.any:
            return None
        known = self._read()
        others: dict[str, Decimal] = {}
        for run_id, (experiment, usd) in self._so_far.items():
            if run_id != plan.run_id:
                others[experiment] = others.get(experiment, Decimal(0)) + usd
        left = allowance_usd(
            plan,
            limits,
            [record for record in known if record.run_id not in self._so_far],
            now=self.now(),
            basis=self.basis,
            others_usd=others,
        )
        rate = usd_per_second(hosts_of(plan), book=self.book)
        if not must_stop(
            so_far.total_usd,
            usd_per_second=rate,
            tick_s=self.tick_s + self.stopping_s,
            allowance=left,
        ):
            return None
        return f"its budget is reached: {money(so_far.total_usd)} of {money(left)} so far"

    def _read(self) -> Sequence[RunRecord]:
        if self._known is None:
            try:
                self._known = self.history()
            except Exception:  # a tracker that is down stops no run: its own limit holds meanwhile
                return ()
        return self._known


def read_month_budget(path: Path) -> Decimal | None:
    """The workspace's monthly limit, or None. Raises BudgetError if the setting is damaged."""
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _MAX_SETTING_BYTES:
            raise ValueError
        limit = Decimal(json.loads(path.read_text(encoding="utf-8"))["month_usd"])
        if limit.is_finite() and limit >= 0:
            return limit
    except (ValueError, KeyError, TypeError, InvalidOperation):
        pass
    raise BudgetError(
        f"{path} does not hold a budget", fix="set it anew: `pedigree budget set --month 50`"
    )


def write_month_budget(path: Path, limit: Decimal | None) -> None:
    """Set or remove the workspace's monthly limit."""
    if limit is None:
        path.unlink(missing_ok=True)
    else:
        write_whole(path, json.dumps({"month_usd": str(limit)}).encode())
