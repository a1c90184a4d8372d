"""Which run goes live: one rule, one candidate, and a reason for every run refused. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from experiments.cost import money
from experiments.errors import ReleaseError
from experiments.records import RunRecord, RunStatus

_SMALLER_IS_BETTER = ("loss", "ece")
_LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The best is the run with the largest `metric`; what is too dear or too weak is refused.

    `minimums` are least values by metric, beside `min_metric` for the metric chosen by. Raises
    ReleaseError for a metric of which less is better.
    """

    metric: str = "test/top1"
    max_cost_usd: Decimal | None = None
    min_metric: float | None = None
    minimums: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.metric.endswith(_SMALLER_IS_BETTER) or self.metric.startswith("time/"):
            raise ReleaseError(
                f"the largest {self.metric} is not the best", fix="choose by test/top1"
            )


@dataclass(frozen=True, kw_only=True)
class Choice:
    """`candidate` is None when every run was refused. `notes` say what was not compared."""

    candidate: RunRecord | None
    refused: tuple[tuple[RunRecord, str], ...]
    notes: tuple[str, ...] = ()

    def best(self) -> RunRecord:
        """The candidate. Raises ReleaseError with the reasons if there is none."""
        if self.candidate is not None:
            return self.candidate
        reasons = "; ".join(f"{record.name}: {reason}" for record, reason in self.refused)
        raise ReleaseError(
            f"no run can be promoted ({reasons or 'there are no runs'})",
            fix="train a run that succeeds, or loosen the rule",
        )


def choose(records: Sequence[RunRecord], rule: Rule) -> Choice:
    """The best run by `rule`; a tie goes to the cheaper run, then to the earlier one.

    Costs of different basis are not compared: such a tie goes to the earlier run, and a note says so.
    """
    reasons = [(record, _fault(record, rule)) for record in records]
    fit = [record for record, reason in reasons if not reason]
    refused = [(record, reason) for record, reason in reasons if reason]
    notes = _limit_notes(fit, refused, rule)
    if not fit:
        return Choice(candidate=None, refused=tuple(refused), notes=notes)
    top = max(record.metrics[rule.metric] for record in fit)
    tied = [record for record in fit if record.metrics[rule.metric] == top]
    comparable = _comparable(tied)
    winner = min(tied, key=lambda record: _order(record, by_cost=comparable))
    if not comparable:
        notes = (
            *notes,
            "the costs of the tied runs are not of one basis: the earlier run is taken",
        )
    for record in fit:
        if record is not winner:
            refused.append((record, _why_not(record, winner, rule.metric, by_cost=comparable)))
    return Choice(candidate=winner, refused=tuple(refused), notes=notes)


def _fault(record: RunRecord, rule: Rule) -> str:
    """Why a run cannot be a candidate at all; empty if it can."""
    if record.status is not RunStatus.SUCCEEDED:
        return f"{record.status.value}{': ' + record.reason if record.reason else ''}"
    wild = [name for name in sorted(record.metrics) if not math.isfinite(record.metrics[name])]
    if wild:
        return f"diverged: {wild[0]} is {record.metrics[wild[0]]}"
    if rule.metric not in record.metrics:
        return f"has no {rule.metric}"
    if not record.model_uri:
        return "has no model"
    value = record.metrics[rule.metric]
    if rule.min_metric is not None and value < rule.min_metric:
        return f"{rule.metric} {value:.4f} is below {rule.min_metric}"
    for name, least in rule.minimums.items():
        if name not in record.metrics:
            return f"has no {name}, and the rule asks for {least}"
        if record.metrics[name] < least:
            return f"{name} {record.metrics[name]:.4f} is below {least}"
    if rule.max_cost_usd is not None:
        return _too_dear(record, rule.max_cost_usd)
    return ""


def _too_dear(record: RunRecord, limit: Decimal) -> str:
    if record.cost_usd is None:
        return "its cost is not known, and the rule has a limit"
    if record.cost_usd > limit:
        basis = f" ({record.cost_basis.value})" if record.cost_basis else ""
        return f"too dear: {money(record.cost_usd)}{basis}, at most {money(limit)}"
    return ""


def _limit_notes(
    fit: Sequence[RunRecord], refused: Sequence[tuple[RunRecord, str]], rule: Rule
) -> tuple[str, ...]:
    if rule.max_cost_usd is None:
        return ()
    judged = [*fit, *(record for record, reason in refused if reason.startswith("too dear"))]
    kinds = sorted({record.cost_basis.value for record in judged if record.cost_basis})
    if len(kinds) < 2:
        return ()
    return (f"the limit was held against {' and '.join(kinds)} costs, each for itself",)


def _comparable(tied: Sequence[RunRecord]) -> bool:
    """Whether the costs of tied runs may decide: all known, all of one basis."""
    if len(tied) == 1:
        return True
    kinds = {record.cost_basis for record in tied}
    return len(kinds) == 1 and all(record.cost_usd is not None for record in tied)


def _order(record: RunRecord, *, by_cost: bool) -> tuple[Decimal, datetime, str]:
    cost = record.cost_usd if by_cost and record.cost_usd is not None else Decimal(0)
    return cost, record.started_at or _LATEST, record.run_id


def _why_not(record: RunRecord, winner: RunRecord, metric: str, *, by_cost: bool) -> str:
    mine, best = record.metrics[metric], winner.metrics[metric]
    if mine < best:
        return f"worse: {metric} {mine:.4f}, against {best:.4f} of {winner.name}"
    if by_cost and record.cost_usd != winner.cost_usd:
        mine_usd, best_usd = money(record.cost_usd), money(winner.cost_usd)
        return f"as good as {winner.name}, and dearer: {mine_usd} against {best_usd}"
    return f"as good as {winner.name}, and later"
