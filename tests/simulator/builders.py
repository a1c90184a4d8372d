"""Questions, services and closed forms for the tests of the simulator."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.prices import latest_book
from simulator import Assumptions, Market, Outcome, Question, ServiceTime, Settings, simulate
from simulator.service import Times
from simulator.traffic import Traffic, constant

# 99.9% two-sided, ten runs.
T_TEN = 4.781
RUNS = 10


@dataclass(frozen=True, kw_only=True)
class Exponential(ServiceTime):
    """Exponential service times with the mean of the samples."""

    def draw(self, rng: np.random.Generator, count: int) -> Times:
        return rng.exponential(self.mean_s, count)


def fixed(seconds: float) -> ServiceTime:
    """The same for every photo."""
    return ServiceTime(samples_s=(seconds,))


def exponential(seconds: float) -> Exponential:
    """Exponential with this mean."""
    return Exponential(samples_s=(seconds,))


def open_front(**members: Any) -> Settings:
    """One instance behind a function that never limits and is never cold."""
    facts: dict[str, Any] = {
        "max_instances": 1,
        "reserved_concurrency": None,
        "provisioned_concurrency": 900,
        "rate_per_concurrency": None,
        "queue_limit": 100_000,
        "shed_to": None,
        **members,
    }
    return Settings(**facts)


def question(
    settings: Settings | None = None,
    *,
    per_s: float = 1.0,
    service: ServiceTime | None = None,
    traffic: Traffic | None = None,
    length_s: float = 3600.0,
    **assumed: Any,
) -> Question:
    """A question; nothing is added to the model's time unless `front_ms` says so."""
    return Question(
        settings=settings or Settings(),
        traffic=traffic or constant(per_s),
        service=service or fixed(0.1),
        assumed=Assumptions(**{"front_ms": 0.0, **assumed}),
        length_s=length_s,
        warm_up_s=0.0,
    )


def market() -> Market:
    """The book's prices in us-east-1."""
    return Market(book=latest_book(), region="us-east-1")


def agrees(
    asked: Question,
    figure: Callable[[Outcome], float],
    theory: float,
    *,
    exact: bool = False,
    within: float = 0.06,
) -> None:
    """Over ten seeds the mean of a figure lies within its 99.9% sampling error of the theory.

    And that error is small enough to mean something: `within` of the theory.
    """
    found = [figure(simulate(asked, seed=seed, exact=exact)) for seed in range(RUNS)]
    mean, error = interval(found)
    assert abs(mean - theory) <= error, f"{mean:.5g} +- {error:.2g}, not {theory:.5g}"
    assert error <= within * theory, f"an error of {error:.2g} tells nothing of {theory:.3g}"


def interval(found: Sequence[float]) -> tuple[float, float]:
    """The mean and its 99.9% error, of ten runs."""
    return statistics.mean(found), T_TEN * statistics.stdev(found) / math.sqrt(len(found))


def erlang_b(servers: int, offered: float) -> float:
    """The share of calls lost of `offered` erlangs by so many servers without a queue."""
    lost = 1.0
    for count in range(1, servers + 1):
        lost = offered * lost / (count + offered * lost)
    return lost


def erlang_c(servers: int, offered: float) -> float:
    """The share of calls that wait with so many servers and one queue."""
    lost = erlang_b(servers, offered)
    return lost / (1 - offered / servers * (1 - lost))
