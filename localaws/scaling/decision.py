"""Target tracking as Application Auto Scaling documents it, as a function of the numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

OUT_DATAPOINTS = 3
IN_DATAPOINTS = 15
# The low alarm's threshold lies 10% below the target.
IN_FRACTION = 0.9

Cause = Literal["minimum", "maximum", "high", "low"]


@dataclass(frozen=True, kw_only=True)
class TrackingPolicy:
    """One target tracking policy with its target's bounds. Seconds are the clock's."""

    target_value: float
    min_capacity: int
    max_capacity: int
    scale_out_cooldown_s: float = 300.0
    scale_in_cooldown_s: float = 300.0
    disable_scale_in: bool = False
    suspend_scale_out: bool = False
    suspend_scale_in: bool = False


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Bring the capacity to `desired`; `cause` says which bound or alarm asks for it."""

    desired: int
    cause: Cause


def decide(
    policy: TrackingPolicy,
    datapoints: Sequence[float | None],
    *,
    current: int,
    last_out: float | None,
    last_in: float | None,
    now: float,
) -> Decision | None:
    """What target tracking does now; None when it does nothing.

    datapoints: the metric per instance in whole minutes, oldest first, None where there is none.
    last_out, last_in: when the last scale-out or scale-in was fulfilled; now: epoch seconds.

    - A capacity outside the bounds is brought to the nearer bound first.
    - Above the target in three consecutive minutes: enough instances to reach the target at the
      last measured load, at least one more, never above the maximum.
    - Below 90% of the target in fifteen: one instance less, unless the rest would then be above
      the target, never below the minimum.
    - Each direction waits for its own cooldown; a scale-out does not wait for a scale-in's.
    """
    if current < policy.min_capacity:
        return Decision(desired=policy.min_capacity, cause="minimum")
    if current > policy.max_capacity:
        return Decision(desired=policy.max_capacity, cause="maximum")
    measured = [point for point in datapoints if point is not None]
    if not measured:
        return None
    needed = math.ceil(current * measured[-1] / policy.target_value)
    if in_alarm(datapoints, OUT_DATAPOINTS, lambda point: point > policy.target_value):
        desired = min(policy.max_capacity, max(needed, current + 1))
        waits = _cooling(last_out, policy.scale_out_cooldown_s, now)
        allowed = not waits and not policy.suspend_scale_out and desired > current
        return Decision(desired=desired, cause="high") if allowed else None
    low = IN_FRACTION * policy.target_value
    if in_alarm(datapoints, IN_DATAPOINTS, lambda point: point < low):
        desired = max(policy.min_capacity, needed, current - 1)
        waits = _cooling(last_in, policy.scale_in_cooldown_s, now)
        off = policy.disable_scale_in or policy.suspend_scale_in
        allowed = not waits and not off and desired < current
        return Decision(desired=desired, cause="low") if allowed else None
    return None


def in_alarm(
    datapoints: Sequence[float | None], periods: int, breaches: Callable[[float], bool]
) -> bool:
    """CloudWatch's rule for missing data treated as missing.

    ALARM when the point `periods` ago is there and breaches, and so do all later ones that are
    there; with nothing that old the alarm keeps still.
    """
    window = datapoints[-periods:]
    if len(window) < periods or window[0] is None:
        return False
    return all(point is None or breaches(point) for point in window)


def _cooling(last: float | None, cooldown_s: float, now: float) -> bool:
    return last is not None and now < last + cooldown_s
