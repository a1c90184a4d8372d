"""Which fleets answer for an endpoint, and which of them gets the next request."""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from localaws.sagemaker.hosting.instances import Instance
from localaws.sagemaker.words import Doc


class VariantFleet(Protocol):
    """The instances of one production variant."""

    @property
    def size(self) -> int:
        """How many instances share the load."""

    def borrow(self, besides: list[Instance]) -> AbstractContextManager[Instance]:
        """An instance for one request. Raises `FleetClosed`, `FleetFull`, `NoHealthyInstance`."""

    def open(self, count: int) -> None:
        """Bring up what it starts with, or raise `FleetFailed`."""

    def close(self, *, drain: bool) -> None:
        """End all instances, after their requests if `drain`."""

    def kill(self) -> bool:
        """Kill one instance's program with SIGKILL; False when none runs."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Side:
    """The fleets of one endpoint configuration, by variant, with the variants' weights."""

    config: str
    fleets: Mapping[str, VariantFleet]
    weights: Mapping[str, float]
    capture: Doc = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Sides with their shares, which sum to 1: one, and two while an update shifts."""

    sides: tuple[tuple[Side, float], ...]

    @property
    def main(self) -> Side:
        """The side that is there when no update is under way."""
        return self.sides[0][0]

    def choose(self, variant: str | None, chance: random.Random) -> tuple[Side, str] | None:
        """A side by its share, then a variant of it by weight, or `variant`.

        None when no side has such a variant, or no variant a weight above 0.
        """
        able = [(side, share) for side, share in self.sides if _can_answer(side, variant)]
        weights = [share for _, share in able]
        if not able:
            return None
        if not sum(weights):
            weights = [1.0] * len(able)
        side = able[0][0]
        if len(able) > 1:
            side = chance.choices([one for one, _ in able], weights)[0]
        if variant is not None:
            return side, variant
        names = list(side.fleets)
        if len(names) == 1:
            return side, names[0]
        return side, chance.choices(names, [side.weights[name] for name in names])[0]


def alone(side: Side) -> Traffic:
    """All traffic to one side."""
    return Traffic(sides=((side, 1.0),))


def split(old: Side, new: Side, new_share: float) -> Traffic:
    """`new_share` of the traffic to the new side, the rest to the old one."""
    return Traffic(sides=((old, 1.0 - new_share), (new, new_share)))


def _can_answer(side: Side, variant: str | None) -> bool:
    if variant is not None:
        return variant in side.fleets
    return len(side.fleets) == 1 or any(side.weights[name] > 0 for name in side.fleets)
