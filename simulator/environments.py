"""A pool of execution environments, each of which runs one call at a time: Lambda's rules.

Sources:
- reserved and provisioned concurrency, spill-over to on-demand environments:
  https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html and
  https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html
- 1,000 more environments every 10 s for each function, refilled continuously:
  https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html
- ten calls a second for each unit of concurrency:
  https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html (for an account and for
  provisioned concurrency; that it holds for a reserved number too is taken for granted)
"""

from __future__ import annotations

import math
from enum import IntEnum
from heapq import heappop, heappush


class Place(IntEnum):
    """Where a call runs, or that it does not."""

    REFUSED = 0
    PROVISIONED = 1
    WARM = 2
    COLD = 3


class Environments:
    """Who runs where. Calls have to be given in the order of their time.

    On-demand environments are kept by level: the n-th that is busy at once is warm while the last
    call that was the n-th at once began less than `idle_s` ago. As the environment used last is used
    first, this tells which calls find a warm one without naming them.
    """

    def __init__(
        self,
        *,
        limit: int,
        provisioned: int,
        idle_s: float,
        per_second: int | None = None,
        burst: int = 1000,
        refill_per_s: float = 100.0,
    ) -> None:
        self.limit = limit
        self.provisioned = provisioned
        self.idle_s = idle_s
        self.per_second = math.inf if per_second is None else per_second
        self.last_taken: list[float] = []
        self.running: list[tuple[float, bool]] = []
        self.on_demand = 0
        self.peak = 0
        self._undecided = 0
        self._burst, self._refill = float(burst), refill_per_s
        self._tokens, self._filled_at = float(burst), 0.0
        self._second, self._this_second = -1, 0

    def in_flight(self, now: float) -> int:
        """Calls under way."""
        running = self.running
        while running and running[0][0] <= now:
            self.on_demand -= heappop(running)[1]
        return len(running) + self._undecided

    def take(self, now: float) -> Place:
        """Begin a call, if there is room; `ends_at` has to follow."""
        busy = self.in_flight(now)
        if int(now) != self._second:
            self._second, self._this_second = int(now), 0
        if busy >= self.limit or self._this_second >= self.per_second:
            return Place.REFUSED
        if busy - self.on_demand < self.provisioned:
            place = Place.PROVISIONED
        else:
            place = self._take_on_demand(now)
            if place is Place.REFUSED:
                return place
            self.on_demand += 1
        self._this_second += 1
        self._undecided += 1
        if busy >= self.peak:
            self.peak = busy + 1
        return place

    def ends_at(self, end: float, *, on_demand: bool) -> None:
        """Say when a call that was taken ends."""
        self._undecided -= 1
        heappush(self.running, (end, on_demand))

    def resume(self, ends: list[float], on_demand: list[float]) -> None:
        """Take over calls under way: when they end, and which of those are on demand."""
        self.running = sorted((end, end in on_demand) for end in ends)
        self.on_demand = sum(taken for _, taken in self.running)

    def note_calls(self, now: float, count: int) -> None:
        """So many calls began in this second without asking."""
        if int(now) != self._second:
            self._second, self._this_second = int(now), 0
        self._this_second += count

    def _take_on_demand(self, now: float) -> Place:
        level = self.on_demand
        if level < len(self.last_taken):
            warm = now - self.last_taken[level] <= self.idle_s
            if not warm and not self._may_start(now):
                return Place.REFUSED
            self.last_taken[level] = now
            return Place.WARM if warm else Place.COLD
        if not self._may_start(now):
            return Place.REFUSED
        self.last_taken.append(now)
        return Place.COLD

    def _may_start(self, now: float) -> bool:
        filled = self._tokens + (now - self._filled_at) * self._refill
        self._tokens, self._filled_at = min(self._burst, filled), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
