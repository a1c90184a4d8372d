"""Target tracking of invocations per instance and minute.

Sources:
- alarms: https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
  and https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-policy.html. Recorded policies
  have a high alarm of 3 periods of 60 s above the target, and a low one of 15 below 90% of it.
- cooldowns: https://docs.aws.amazon.com/autoscaling/application/APIReference/API_TargetTrackingScalingPolicyConfiguration.html
- missing minutes: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

from simulator.settings import Settings

HIGH_MINUTES = 3
LOW_MINUTES = 15
LOW_SHARE = 0.9
MINUTE_S = 60.0


def wanted_instances(
    settings: Settings,
    minutes: Sequence[float | None],
    *,
    current: int,
    last_out_s: float | None,
    last_in_s: float | None,
    now_s: float,
    grows_in_cooldown: bool,
) -> int:
    """How many instances there should be now; `current` when nothing is to be done.

    `minutes`: invocations per instance, oldest first, None for a minute without any (SageMaker
    publishes no zero). `last_*_s`: when the last change in that direction was complete.
    """
    bounded = min(max(current, settings.min_instances), settings.max_instances)
    if bounded != current:
        return bounded
    known = [value for value in minutes if value is not None]
    if not known:
        return current
    enough = math.ceil(current * known[-1] / settings.target_per_minute)
    if _in_alarm(minutes, HIGH_MINUTES, lambda value: value > settings.target_per_minute):
        least = current + 1
        if _within(last_out_s, settings.scale_out_cooldown_s, now_s):
            least = current
            enough = enough if grows_in_cooldown else current
        return min(settings.max_instances, max(enough, least))
    low = LOW_SHARE * settings.target_per_minute
    cooling = _within(last_in_s, settings.scale_in_cooldown_s, now_s)
    if not cooling and _in_alarm(minutes, LOW_MINUTES, lambda value: value < low):
        return min(current, max(settings.min_instances, enough, current - 1))
    return current


def _in_alarm(
    minutes: Sequence[float | None], periods: int, breaches: Callable[[float], bool]
) -> bool:
    """Whether an alarm over so many periods is in ALARM: the oldest is there, and all there breach."""
    if len(minutes) < periods or minutes[-periods] is None:
        return False
    return all(value is None or breaches(value) for value in minutes[-periods:])


def _within(since_s: float | None, length_s: float, now_s: float) -> bool:
    return since_s is not None and now_s < since_s + length_s


class Tracker:
    """Remembers the minutes and the last changes of one endpoint."""

    def __init__(self, settings: Settings, *, delay_minutes: int, grows_in_cooldown: bool) -> None:
        self._settings = settings
        self._grows = grows_in_cooldown
        self._delay = delay_minutes
        self._minutes: deque[float | None] = deque(maxlen=LOW_MINUTES + delay_minutes)
        self._last_out_s: float | None = None
        self._last_in_s: float | None = None

    def note_minute(self, per_instance: float) -> None:
        """A minute has passed with so many invocations for each instance."""
        self._minutes.append(per_instance or None)

    def note_change(self, *, grew: bool, now_s: float) -> None:
        """A change of capacity is complete."""
        if grew:
            self._last_out_s = now_s
        else:
            self._last_in_s = now_s

    def wanted(self, current: int, now_s: float) -> int:
        """What the alarms ask for, by the minutes they have seen.

        Nothing while they have only seen minutes from before the last change.
        """
        changes = [at for at in (self._last_out_s, self._last_in_s) if at is not None]
        if self._delay and changes and now_s - self._delay * MINUTE_S < max(changes):
            return current
        seen = list(self._minutes)
        return wanted_instances(
            self._settings,
            seen[: len(seen) - self._delay] if self._delay else seen,
            current=current,
            last_out_s=self._last_out_s,
            last_in_s=self._last_in_s,
            now_s=now_s,
            grows_in_cooldown=self._grows,
        )
