"""Traffic as people write it on a command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from experiments.errors import SpecError
from simulator.traffic import Mixture, Traffic, bursts, constant, daily, little

_RATE = re.compile(r"^([0-9]*\.?[0-9]+)\s*/\s*(s|sec|min|m|h|hour|d|day)$")
_TIME = re.compile(r"^([0-9]*\.?[0-9]+)\s*(s|min|m|h|d)$")
_UNIT_S = {
    "s": 1,
    "sec": 1,
    "min": 60,
    "m": 60,
    "h": 3600,
    "hour": 3600,
    "d": 86_400,
    "day": 86_400,
}
FORMS = (
    "little; constant:10/s; daily:mean=20/h,peak=40/h[,at=14h];"
    " bursts:base=1/min,burst=3/s,for=2min,every=6h; several joined by +"
)


def parse_traffic(text: str) -> Traffic:
    """A profile by its words, as in FORMS. Raises SpecError."""
    parts = [_part(part.strip()) for part in text.split("+")]
    return parts[0] if len(parts) == 1 else Mixture(parts=tuple(parts))


def parse_rate(text: str) -> float:
    """Arrivals a second of `10/s`, `5/min`, `3/h` or `100/day`. Raises SpecError."""
    return _measured(_RATE, text, "a rate", "10/s, 5/min or 100/day", divides=True)


def parse_duration(text: str) -> float:
    """Seconds of `90s`, `2min`, `6h` or `1d`. Raises SpecError."""
    return _measured(_TIME, text, "a duration", "90s, 2min, 6h or 1d", divides=False)


def _measured(form: re.Pattern[str], text: str, what: str, forms: str, *, divides: bool) -> float:
    match = form.match(text.strip())
    if match is None:
        raise SpecError(f"{text!r} is not {what}", fix=f"write it as {forms}")
    unit = _UNIT_S[match[2]]
    return float(match[1]) / unit if divides else float(match[1]) * unit


def _part(text: str) -> Traffic:
    kind, _, rest = text.partition(":")
    make = _KINDS.get(kind)
    if make is None:
        raise SpecError(f"{text!r} is no traffic", fix=f"write one of: {FORMS}")
    if kind == "constant" and "=" not in rest:
        rest = f"rate={rest}"
    members = dict(_member(member, text) for member in rest.split(",") if member)
    found = make(members)
    if members:
        raise SpecError(f"{text!r}: {', '.join(members)} is not known", fix=f"write: {FORMS}")
    return found


def _member(text: str, whole: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not mark:
        raise SpecError(f"{whole!r}: {text!r} has no value", fix=f"write one of: {FORMS}")
    return name.strip(), value


def _take(members: dict[str, str], name: str) -> str:
    if name not in members:
        raise SpecError(f"the traffic has no {name}=", fix=f"write one of: {FORMS}")
    return members.pop(name)


def _constant(members: dict[str, str]) -> Traffic:
    return constant(parse_rate(_take(members, "rate")))


def _daily(members: dict[str, str]) -> Traffic:
    hour = parse_duration(members.pop("at", "14h")) / 3600
    mean, peak = parse_rate(_take(members, "mean")), parse_rate(_take(members, "peak"))
    return daily(mean, peak, peak_hour=hour)


def _bursts(members: dict[str, str]) -> Traffic:
    return bursts(
        parse_rate(members.pop("base", "0/s")),
        parse_rate(_take(members, "burst")),
        length_s=parse_duration(_take(members, "for")),
        every_s=parse_duration(_take(members, "every")),
    )


_KINDS: Mapping[str, Callable[[dict[str, str]], Traffic]] = {
    "little": lambda members: little(),
    "constant": _constant,
    "daily": _daily,
    "bursts": _bursts,
}
