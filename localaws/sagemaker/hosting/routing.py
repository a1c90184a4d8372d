"""Which of a variant's healthy instances takes the next request."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Protocol, TypeVar

from localaws.sagemaker.words import Params, unsupported


class Able(Protocol):
    """An instance that could take a request."""

    instance_id: str
    outstanding: int


A = TypeVar("A", bound=Able)


class Route(Protocol):
    """Picks one of several instances, of which there is at least one."""

    def __call__(self, ready: Sequence[A], /) -> A:
        """The instance for the next request."""


RANDOM, LEAST_OUTSTANDING = "RANDOM", "LEAST_OUTSTANDING_REQUESTS"


def strategy_of(variant: Params) -> str:
    """The RoutingStrategy that a variant asks for. Raises `AwsError` for one that is not here.

    SageMaker routes at random unless the variant says otherwise:
    https://aws.amazon.com/blogs/machine-learning/minimize-real-time-inference-latency-by-using-amazon-sagemaker-routing-strategies/
    """
    strategy: str = variant.get("RoutingConfig", {}).get("RoutingStrategy", RANDOM)
    if strategy not in (RANDOM, LEAST_OUTSTANDING):
        raise unsupported(f"RoutingStrategy {strategy}", f"use {RANDOM} or {LEAST_OUTSTANDING}")
    return strategy


def route_by(strategy: str, chance: random.Random) -> Route:
    """How the strategy picks."""
    return FewestOutstanding() if strategy == LEAST_OUTSTANDING else chance.choice


class FewestOutstanding:
    """The one with the fewest requests under way; among equals the one that rested longest."""

    def __init__(self) -> None:
        self._turns = itertools.count()
        self._last_used: dict[str, int] = {}

    def __call__(self, ready: Sequence[A], /) -> A:
        """Pick, and remember the turn."""
        chosen = min(ready, key=self._rank)
        self._last_used[chosen.instance_id] = next(self._turns)
        return chosen

    def _rank(self, instance: Able) -> tuple[int, int]:
        return instance.outstanding, self._last_used.get(instance.instance_id, -1)
