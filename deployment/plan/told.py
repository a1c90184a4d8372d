"""A plan as people read it, on the command line and in the dashboard: a diff and a bill. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from deployment.monthly import Monthly
from deployment.plan.steps import ReleasePlan, Step
from experiments.records import Cost

MADE, CHANGED, GONE, WAITED = "+", "!", "-", " "
"""The signs of a context diff: what is not there yet, what is there otherwise, what goes, a wait."""
_MAKES = ("create_", "publish_")
_REMOVES = ("delete_", "deregister_")


@dataclass(frozen=True, kw_only=True)
class MonthLine:
    """One item of the month's bill; None where it is not on that bill, or that is not known."""

    item: str
    before_usd: Decimal | None
    after_usd: Decimal | None


def sign(step: Step) -> str:
    """What a step does to what is there. A file is put only where none is."""
    if step.call is None:
        return WAITED
    if step.call.operation.startswith(_REMOVES):
        return GONE
    makes = step.call.operation.startswith(_MAKES) or "IfNoneMatch" in step.call.params
    return MADE if makes else CHANGED


def diff_lines(plan: ReleasePlan) -> tuple[str, ...]:
    """Each step in order: its sign, what is called, and why."""
    return tuple(f"{sign(step)} {step.title}: {step.why}" for step in plan.steps)


def month_lines(before: Monthly | None, after: Monthly) -> tuple[MonthLine, ...]:
    """The month item by item at the fewest instances, what more the most cost, and both sums."""
    least, most_before = (before.at_min, before.at_max) if before else (None, None)
    old, new = _by_item(least), _by_item(after.at_min)
    old_most, new_most = _by_item(most_before), _by_item(after.at_max)
    most = [item for item in (*old_most, *new_most) if item not in old and item not in new]
    lines = [_line(item, old, new) for item in dict.fromkeys((*old, *new))]
    lines.append(_sums("all, at the fewest instances", least, after.at_min))
    lines += [_line(item, old_most, new_most) for item in dict.fromkeys(most)]
    lines.append(_sums("all, at the most instances", most_before, after.at_max))
    return tuple(lines)


def _by_item(cost: Cost | None) -> dict[str, Decimal]:
    return {line.item: line.usd for line in cost.lines} if cost else {}


def _line(item: str, old: Mapping[str, Decimal], new: Mapping[str, Decimal]) -> MonthLine:
    return MonthLine(item=item, before_usd=old.get(item), after_usd=new.get(item))


def _sums(item: str, before: Cost | None, after: Cost) -> MonthLine:
    return MonthLine(
        item=item, before_usd=before.total_usd if before else None, after_usd=after.total_usd
    )
