"""Which instance takes the next request."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from localaws.sagemaker.hosting.routing import LEAST_OUTSTANDING, route_by, strategy_of


@dataclass
class Waiting:
    """An instance with so many requests under way."""

    instance_id: str
    outstanding: int


def test_the_fewest_outstanding_first_then_the_longest_rested() -> None:
    busy, idle, other = (Waiting(name, count) for name, count in (("a", 3), ("b", 0), ("c", 0)))
    route = route_by(LEAST_OUTSTANDING, random.Random(1))
    assert [route([busy, idle, other]) for _ in range(4)] == [idle, other, idle, other]
    idle.outstanding = 5
    assert [route([busy, idle, other]) for _ in range(2)] == [other, other]


def test_chance_gives_every_instance_its_share() -> None:
    instances = [Waiting(name, count) for name, count in (("a", 9), ("b", 0), ("c", 0))]
    route = route_by(strategy_of({}), random.Random(1))
    counts = Counter(route(instances).instance_id for _ in range(3000))
    assert all(900 < counts[name] < 1100 for name in "abc")
