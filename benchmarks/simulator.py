"""The simulator's speed: a month at 10 requests a second, and its core against others.

    python -m benchmarks.simulator [--simpy PYTHON]

One core. The month is simulated whole and exactly, and reckoned from five days for comparison.
PYTHON is an interpreter with SimPy; the same queue then runs there, in turns with ours.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from experiments.prices import latest_book
from simulator import Market, Question, Settings, constant_ms, simulate, study
from simulator.service import ServiceTime
from simulator.traffic import DAY_S, constant, little

MONTH_S = 30.4 * DAY_S
PER_S, SERVICE_MS = 10.0, 60.0
GOAL_S = 60.0
QUEUE = (200_000, 10.0, 0.06, 1, 32)
TURNS = 3


def month(**members: Any) -> Question:
    """A month at ten a second, with the default settings but for `members`."""
    return Question(
        settings=Settings(**members),
        traffic=constant(PER_S),
        service=constant_ms(SERVICE_MS, spread=0.2),
        length_s=MONTH_S,
    )


def timed(what: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the processor, and the result."""
    began = time.process_time()
    result = what()
    return time.process_time() - began, result


def months() -> None:
    """Exact months: with three instances at most, and with one that is nearly full."""
    for name, question in (
        ("default settings, 1 to 3 instances", month()),
        ("one instance, 60% busy", month(max_instances=1)),
    ):
        seconds, found = timed(partial(simulate, question))
        sums = found.sums
        print(
            f"{name:<36} {sums.arrivals:>11,} arrivals {seconds:6.1f} s"
            f" {sums.arrivals / seconds / 1e6:5.2f} million/s  p99 {sums.p99_ms:.1f} ms,"
            f" refused {sums.refused_share:.4%}  (goal: under {GOAL_S:.0f} s)"
        )


def sampled() -> None:
    """A month from five days, its stated error, and how far off it is."""
    market = Market(book=latest_book(), region="us-east-1")
    question = month()
    seconds, found = timed(lambda: study(replace(question, length_s=DAY_S), market, seeds=5))
    whole = study(question, market, seeds=3, first_seed=99)
    off = float(found.month.total_usd - whole.month.total_usd)
    print(
        f"{'the month from five days':<36} {seconds:6.1f} s  ${found.month.total_usd:.2f}"
        f" +- {found.month_error_usd:.2f}; the whole month ${whole.month.total_usd:.2f}"
        f" +- {whole.month_error_usd:.2f}, off {off:.2f}"
    )


def others(python: str | None) -> None:
    """One queue with 32 places by ours, one by one and in arrays, and by SimPy; medians of turns."""
    arrivals, per_s, service_s, workers, limit = QUEUE
    settings = Settings(
        max_instances=1,
        workers=workers,
        queue_limit=limit,
        shed_to=None,
        reserved_concurrency=None,
        provisioned_concurrency=900,
        rate_per_concurrency=None,
    )
    question = Question(
        settings=settings,
        traffic=constant(per_s),
        service=ServiceTime(samples_s=(service_s,)),
        length_s=arrivals / per_s,
    )
    ways: dict[str, Callable[[], float]] = {
        "ours, in arrays": lambda: timed(lambda: simulate(question))[0],
        "ours, one by one": lambda: timed(lambda: simulate(question, exact=True))[0],
    }
    if python is not None:
        ways["SimPy"] = lambda: simpy_s(python)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, way in ways.items():
            seconds[name].append(way())
    for name, took in seconds.items():
        middle = statistics.median(took)
        print(f"{name:<36} {arrivals:>11,} arrivals {middle:6.2f} s {arrivals / middle:10,.0f}/s")


def simpy_s(python: str) -> float:
    """Seconds that the same queue takes there."""
    script = Path(__file__).with_name("simpy_queue.py")
    words = [python, str(script), *(str(value) for value in QUEUE)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["seconds"])


def days() -> None:
    """A day of little traffic, which a search simulates dozens of times."""
    question = Question(
        settings=Settings(), traffic=little(), service=constant_ms(SERVICE_MS, spread=0.2)
    )
    took = [timed(lambda: simulate(question))[0] for _ in range(2 * TURNS)]
    print(f"{'a day of little traffic':<36} {statistics.median(took):6.3f} s")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simpy", help="a Python with SimPy")
    arguments = parser.parse_args()
    days()
    others(arguments.simpy)
    months()
    sampled()


if __name__ == "__main__":
    main()
