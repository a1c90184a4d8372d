"""How long one photo takes on an instance: a constant, a lognormal, or measured times."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from experiments.errors import DataError

Times = np.ndarray[tuple[int], np.dtype[np.float64]]
_MOST = 1_000_000


@dataclass(frozen=True, kw_only=True)
class ServiceTime:
    """`samples_s`: measured seconds, drawn from with replacement; one alone is a constant.

    `spread`: sigma of a lognormal factor around each draw with mean 1; 0 for none. `vcpus`: of the
    machine where it was measured, to scale it to others; None where it is to be taken as it is.
    `source` says where the figures come from and is shown with every result.
    """

    samples_s: tuple[float, ...]
    spread: float = 0.0
    vcpus: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if not self.samples_s or not all(0 < s < 900 for s in self.samples_s):
            raise DataError(
                "a service time has to be above 0 and below 900 s", fix="give milliseconds, as 60"
            )

    @property
    def mean_s(self) -> float:
        """The mean, in seconds."""
        return math.fsum(self.samples_s) / len(self.samples_s)

    def on(self, vcpus: float) -> ServiceTime:
        """The same with other vCPUs, taking that one photo's time falls in proportion to them."""
        if self.vcpus is None or self.vcpus == vcpus:
            return self
        factor = self.vcpus / vcpus
        return replace(self, samples_s=tuple(s * factor for s in self.samples_s), vcpus=vcpus)

    def draw(self, rng: np.random.Generator, count: int) -> Times:
        """So many independent service times, in seconds."""
        if len(self.samples_s) == 1:
            drawn = np.full(count, self.samples_s[0])
        else:
            samples = np.asarray(self.samples_s)
            drawn = samples[rng.integers(0, samples.size, count)]
        if self.spread:
            drawn = drawn * rng.lognormal(-(self.spread**2) / 2, self.spread, count)
        return drawn


def constant_ms(
    value: float, *, spread: float = 0.0, vcpus: float | None = None, source: str = "given"
) -> ServiceTime:
    """A service time by its mean in milliseconds."""
    return ServiceTime(samples_s=(value / 1000,), spread=spread, vcpus=vcpus, source=source)


def parse_times(text: str, *, name: str, vcpus: float | None = None) -> ServiceTime:
    """Measured milliseconds: one a line, or JSON (a list, or an object with the list `service_ms`).

    Raises DataError for anything else.
    """
    fix = "give a file with one number of milliseconds a line, or JSON with a list `service_ms`"
    try:
        if text.lstrip()[:1] in ("[", "{"):
            content = json.loads(text)
            values = content["service_ms"] if isinstance(content, dict) else content
            numbers = [float(value) for value in values]
        else:
            numbers = [float(line) for line in text.split()]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{name} holds no service times: {error}", fix=fix) from error
    return measured(numbers, source=f"{len(numbers)} times in {name}", vcpus=vcpus)


def measured(
    milliseconds: Sequence[float], *, source: str, vcpus: float | None = None
) -> ServiceTime:
    """From measured milliseconds. Raises DataError for none, too many, or impossible ones."""
    if not 0 < len(milliseconds) <= _MOST:
        raise DataError(
            f"there are {len(milliseconds)} service times", fix=f"give 1 to {_MOST} of them"
        )
    return ServiceTime(
        samples_s=tuple(ms / 1000 for ms in milliseconds), vcpus=vcpus, source=source
    )
