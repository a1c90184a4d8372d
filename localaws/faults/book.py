"""Which faults are asked for, and which of them a call meets."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KINDS = ("throttle", "error", "timeout", "drop", "stale", "delay")
STATUSES = (500, 502, 503, 504)
LONGEST_DELAY_S = 900.0
MOST_FAULTS = 1000
_MEMBERS = ("service", "operation", "kind", "times", "after", "probability", "delay_s", "status")


class BadFault(Exception):
    """The fault cannot be made; the text says what to change."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to calls of `operation` (`*`: any) of `service` (`*`: any).

    throttle: refused as too many, without effect. error: HTTP `status` and no effect. drop: the
    connection is closed, without effect. timeout: the effect happens, then after `delay_s` the
    connection is closed without an answer. stale: a read gets the answer that the same question got
    the last time. delay: the answer comes `delay_s` later. The first `after` matching calls pass;
    then `times` calls meet it (None: all), each with `probability`. Seconds are real time.
    """

    service: str
    kind: str
    operation: str = "*"
    times: int | None = 1
    after: int = 0
    probability: float = 1.0
    delay_s: float = 0.0
    status: int = 500


def fault_of(fields: Mapping[str, Any]) -> Fault:
    """A fault from JSON. Raises `BadFault`."""
    unknown = sorted(set(fields) - set(_MEMBERS))
    if unknown:
        raise BadFault(f"unknown member {', '.join(unknown)}; use {', '.join(_MEMBERS)}")
    for member in ("service", "kind"):
        if not isinstance(fields.get(member), str):
            raise BadFault(f"{member} is missing; name it as a string")
    found = Fault(**fields)
    if found.kind not in KINDS:
        raise BadFault(f"kind {found.kind!r} is unknown; use one of {', '.join(KINDS)}")
    if not isinstance(found.operation, str):
        raise BadFault("operation must be a string, such as CreateEndpoint, or *")
    _check_number("times", found.times, least=1, optional=True)
    _check_number("after", found.after, least=0)
    _check_number("probability", found.probability, least=0, most=1, whole=False)
    _check_number("delay_s", found.delay_s, least=0, most=LONGEST_DELAY_S, whole=False)
    if found.status not in STATUSES:
        raise BadFault(f"status must be one of {', '.join(map(str, STATUSES))}")
    return found


def _check_number(
    name: str,
    value: Any,
    *,
    least: float,
    most: float = float("inf"),
    whole: bool = True,
    optional: bool = False,
) -> None:
    if value is None and optional:
        return
    wrong = isinstance(value, bool) or not isinstance(value, int | float)
    if wrong or (whole and not isinstance(value, int)) or not least <= value <= most:
        upper = "" if most == float("inf") else f" to {most:g}"
        what = "a whole number" if whole else "a number"
        raise BadFault(f"{name} must be {what} from {least:g}{upper}")


@dataclass(kw_only=True)
class _Entry:
    fault: Fault
    met: int = 0
    seen: int = 0


class FaultBook:
    """The faults by number, in the order in which they were added."""

    def __init__(self, chance: random.Random | None = None) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._entries: dict[int, _Entry] = {}
        self._chance = chance or random.SystemRandom()

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, fault: Fault) -> int:
        """Its number. Raises `BadFault` when there are too many."""
        with self._lock:
            if len(self._entries) >= MOST_FAULTS:
                raise BadFault(f"there are {MOST_FAULTS} faults already; clear them first")
            number = next(self._numbers)
            self._entries[number] = _Entry(fault=fault)
            return number

    def everything(self) -> list[dict[str, Any]]:
        """Each fault with its `id`, how many calls it `met` and whether it is `over`."""
        with self._lock:
            return [
                {
                    "id": number,
                    **{name: getattr(entry.fault, name) for name in _MEMBERS},
                    "met": entry.met,
                    "over": _is_over(entry),
                }
                for number, entry in self._entries.items()
            ]

    def clear(self, number: int | None = None) -> int:
        """Forget one fault, or all; how many."""
        with self._lock:
            gone = [one for one in self._entries if number in (None, one)]
            for one in gone:
                del self._entries[one]
            return len(gone)

    def meet(self, service: str, operation: str) -> Fault | None:
        """The first fault that this call meets, which is then counted."""
        with self._lock:
            for entry in self._entries.values():
                fault = entry.fault
                if fault.service not in ("*", service) or _is_over(entry):
                    continue
                if fault.operation not in ("*", operation):
                    continue
                entry.seen += 1
                if entry.seen > fault.after and self._chance.random() < fault.probability:
                    entry.met += 1
                    return fault
        return None


def _is_over(entry: _Entry) -> bool:
    return entry.fault.times is not None and entry.met >= entry.fault.times
