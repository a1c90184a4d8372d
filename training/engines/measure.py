"""How fast an engine is on this machine, and whether another could pay for itself. The rules are pure."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np

from training.graph import Floats, Network

_ROUNDS: Final = 2
_LEAST_S: Final = 0.25
_MOST_CALLS: Final = 64


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one engine does here: pictures per second on all threads, and what it takes to begin."""

    name: str
    images_per_s: float
    setup_s: float

    def total_s(self, pictures: int) -> float:
        """Seconds from now to the last of so many pictures."""
        return self.setup_s + pictures / self.images_per_s


@dataclass(frozen=True, kw_only=True)
class Prospect:
    """What is known of an engine before it is tried: at least `setup_s` to begin, at most `gain`
    times the speed of the best so far."""

    name: str
    setup_s: float
    gain: float

    def may_pay(self, best: Measured, pictures: int) -> bool:
        """Could it still come in before `best`, which is set up already?"""
        left = pictures / best.images_per_s
        return self.setup_s + left / self.gain < left


def best_of(measured: Sequence[Measured], pictures: int) -> Measured:
    """The first to have all pictures done, set-up included."""
    return min(measured, key=lambda one: one.total_s(pictures))


def reason(
    chosen: Measured, measured: Sequence[Measured], left_out: Sequence[str], pictures: int
) -> str:
    """The choice in one line, for people."""
    shown = [
        f"{one.name} {one.images_per_s:.0f} images/s, {one.total_s(pictures):.1f} s with set-up"
        for one in sorted(measured, key=lambda one: one.total_s(pictures))
    ]
    tail = f"; not tried: {'; '.join(left_out)}" if left_out else ""
    return f"{chosen.name} is the fastest here for {pictures} pictures: {', '.join(shown)}{tail}"


def taste(
    network: Network,
    picture: Floats,
    threads: int,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Pictures per second with every thread calling `network` once on one picture [1, 3, H, W], after
    each thread's first call: rough, but enough to tell what is hopeless."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(network, [picture] * threads))
        started = clock()
        list(pool.map(network, [picture] * threads))
        return threads / max(clock() - started, 1e-6)


def images_per_s(
    network: Network,
    pictures: Floats,
    threads: int,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Pictures per second with every thread calling `network` on all of `pictures` at once.

    The better of two rounds, each a quarter of a second or longer, after each thread's first call.
    """
    with ThreadPoolExecutor(threads) as pool:
        started = clock()
        list(pool.map(network, [pictures] * threads))
        once_s = max(clock() - started, 1e-6)
        calls = threads * max(1, min(_MOST_CALLS, int(np.ceil(_LEAST_S / once_s))))
        best = 0.0
        for _ in range(_ROUNDS):
            started = clock()
            list(pool.map(network, [pictures] * calls))
            best = max(best, calls * len(pictures) / (clock() - started))
    return best
