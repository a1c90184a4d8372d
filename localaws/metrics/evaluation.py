"""What state an alarm has, as a function of its data points.

The rules for missing data follow CloudWatch's page on how alarms evaluate them: two periods more
than needed are looked at; with enough points the newest count, with fewer TreatMissingData says
what the rest would have been.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
Point = tuple[float, float | None]
EXTRA_PERIODS = 2
OPERATORS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When an alarm goes off: `needed` of the last `periods` points beyond `threshold`."""

    comparison: str
    threshold: float
    periods: int
    needed: int
    missing: str = "missing"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The state, the reason in CloudWatch's words, and the points that led to it."""

    state: State
    reason: str
    data: str


def judge(rule: Rule, points: Sequence[Point], *, state: State, period_s: int) -> Verdict:
    """The alarm's next state.

    points: (period start, value or None), oldest first, `rule.periods + EXTRA_PERIODS` of them;
    state: the present one.
    """
    breaches, _ = OPERATORS[rule.comparison]
    real = [(at, value) for at, value in points if value is not None]
    used = real[-rule.periods :]
    over = [at for at, value in used if breaches(value, rule.threshold)]
    filled = rule.periods - len(used)
    found = _state(rule, points, used, over, state)
    return Verdict(
        state=found,
        reason=_reason(rule, used, over, filled, found),
        data=_data(rule, used, period_s),
    )


def _state(
    rule: Rule,
    points: Sequence[Point],
    used: Sequence[tuple[float, float]],
    over: Sequence[float],
    state: State,
) -> State:
    filled = rule.periods - len(used)
    if rule.missing == "breaching":
        return "ALARM" if len(over) + filled >= rule.needed else "OK"
    if len(over) >= rule.needed:
        return "ALARM"
    if rule.missing == "notBreaching" or not filled or len(over) < len(used):
        return "OK"
    # Only points beyond the threshold, and too few of them; or none at all.
    if rule.missing == "ignore":
        return state
    if not used:
        return "INSUFFICIENT_DATA"
    # The oldest point must be at least `needed` periods old: no alarm from the first point alone.
    age = len(points) - [at for at, _ in points].index(used[0][0])
    return "ALARM" if age >= rule.needed else state


def _reason(
    rule: Rule,
    used: Sequence[tuple[float, float]],
    over: Sequence[float],
    filled: int,
    state: State,
) -> str:
    if not used:
        text = _unknown(rule.periods)
        if rule.missing in ("breaching", "notBreaching"):
            treated = "[Breaching]" if rule.missing == "breaching" else "[NonBreaching]"
            return f"Threshold Crossed: {text} and {_was(rule.periods)} treated as {treated}."
        return f"Insufficient Data: {text}."
    alarmed = state == "ALARM"
    shown = [point for point in used if point[0] in over or not alarmed][-3:]
    values = ", ".join(f"{value} ({_moment(at)})" for at, value in reversed(shown))
    words = OPERATORS[rule.comparison][1]
    change = "OK -> ALARM" if alarmed else "ALARM -> OK"
    count = rule.needed if alarmed else rule.periods - rule.needed + 1
    return (
        f"Threshold Crossed: {len(over) if alarmed else len(used) - len(over)} out of the last "
        f"{rule.periods} datapoints [{values}] {_was(len(shown))} {'' if alarmed else 'not '}"
        f"{words} the threshold ({rule.threshold}) (minimum {count} "
        f"{'datapoint' if count == 1 else 'datapoints'} for {change} transition)."
    )


def _unknown(count: int) -> str:
    return f"{count} {'datapoint was' if count == 1 else 'datapoints were'} unknown"


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%d/%m/%y %H:%M:%S")


def _data(rule: Rule, used: Sequence[tuple[float, float]], period_s: int) -> str:
    body: dict[str, Any] = {
        "version": "1.0",
        "period": period_s,
        "recentDatapoints": [value for _, value in used],
        "threshold": rule.threshold,
        "evaluatedDatapoints": [
            {"timestamp": datetime.fromtimestamp(at, UTC).isoformat(), "value": value}
            for at, value in used[-10:]
        ],
    }
    return json.dumps(body)
