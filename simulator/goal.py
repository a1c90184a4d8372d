"""What people want: percentiles, refusals, failures; and whether a study shows it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from experiments.errors import SpecError
from simulator.study import Study

_SLO = re.compile(r"^p(50|95|99)\s*[=<]\s*([0-9.]+)\s*(ms|s)$")
_SHARE = re.compile(r"^([0-9.]+)\s*(%?)$")


@dataclass(frozen=True, kw_only=True)
class Goal:
    """Percentiles of the answered in ms (None: any), and shares of all arrivals at most."""

    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    max_refused: float = 0.001
    max_failed: float = 0.001


def parse_goal(slos: tuple[str, ...], *, max_refused: str, max_failed: str = "0.1%") -> Goal:
    """From `p99=800ms` and `0.1%`. Raises SpecError."""
    wanted: dict[str, float] = {}
    for text in slos:
        match = _SLO.match(text.strip())
        if match is None or float(match[2]) <= 0:
            raise SpecError(f"{text!r} is no goal", fix="write it as p99=800ms or p95=0.5s")
        wanted[f"p{match[1]}_ms"] = float(match[2]) * (1000 if match[3] == "s" else 1)
    return Goal(**wanted, max_refused=_share(max_refused), max_failed=_share(max_failed))


def _share(text: str) -> float:
    match = _SHARE.match(text.strip())
    value = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if not 0 <= value <= 1:
        raise SpecError(f"{text!r} is no share", fix="write it as 0.1% or 0.001")
    return value


def misses(found: Study, goal: Goal) -> tuple[str, ...]:
    """In words, every part of the goal that some seed misses; empty when it is met by all."""
    said = []
    for name in ("p50_ms", "p95_ms", "p99_ms"):
        limit, band = getattr(goal, name), found.bands.get(name)
        if limit is not None and band is not None and band.high > limit:
            said.append(
                f"{name.removesuffix('_ms')} is {band.low:.0f} to {band.high:.0f} ms over the seeds,"
                f" above {limit:.0f} ms"
            )
    for name, limit, word in (
        ("refused_share", goal.max_refused, "are refused (429)"),
        ("failed_share", goal.max_failed, "fail (5xx)"),
    ):
        band = found.bands[name]
        if band.high > limit:
            said.append(
                f"{_percent(band.low)} to {_percent(band.high)} of the visitors {word}, above"
                f" {_percent(limit)}"
            )
    return tuple(said)


def _percent(share: float) -> str:
    return f"{share * 100:.3g}%"
