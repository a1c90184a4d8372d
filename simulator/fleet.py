"""The endpoint: instances with workers and a queue each, or a serverless variant.

Sources:
- routing: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariantRoutingConfig.html
  and https://aws.amazon.com/blogs/machine-learning/minimize-real-time-inference-latency-by-using-amazon-sagemaker-routing-strategies/
- 60 s for an answer: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
- serverless: https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html (throttled above
  the maximum concurrency, a cold start where no environment is warm)
- the queue's limit, what is answered above it, and the shorter queue while some are refused:
  serving/http/admission.py
"""

from __future__ import annotations

from heapq import heappop, heappush, heapreplace
from random import Random
from typing import Protocol

from simulator.environments import Environments, Place
from simulator.settings import Settings

INVOKE_LIMIT_S = 60.0
FULL = -1.0


class Endpoint(Protocol):
    """What answers: `offer` gives the time at which work on a photo starts, or FULL."""

    queue_peak: int
    cold_starts: int

    def offer(self, at: float, service_s: float) -> float:
        """Send a photo at this time; times never go back."""

    def resize(self, instances: int) -> None:
        """Have so many instances from now on; the newest leave first."""


class _Instance:
    __slots__ = ("free", "leaving", "refused_at")

    def __init__(self, workers: int) -> None:
        self.free = [0.0] * workers
        self.leaving: list[float] = []
        self.refused_at = float("-inf")


class Fleet:
    """Instances that answer. Each has `workers` and takes at most `queue_limit` requests at once,
    and `shed_to` until it refused nobody for `shed_calm_s`."""

    def __init__(self, settings: Settings, chance: Random) -> None:
        self.workers = settings.workers
        self.instances: list[_Instance] = []
        self.queue_peak = 0
        self.cold_starts = 0
        self.queue_over_at = 0.0
        self._limit = settings.queue_limit
        self._shed_to = settings.queue_limit if settings.shed_to is None else settings.shed_to
        self._calm_s = settings.shed_calm_s
        self._random = settings.routing == "random"
        self._chance = chance
        self.resize(settings.min_instances)

    @property
    def calm_below(self) -> int:
        """With fewer requests than this under way none can have to wait."""
        return self.workers if self._random else self.workers * len(self.instances)

    def resize(self, instances: int) -> None:
        self.instances = self.instances[:instances]
        while len(self.instances) < instances:
            self.instances.append(_Instance(self.workers))

    def offer(self, at: float, service_s: float) -> float:
        chosen = self._route(at)
        if chosen is None:
            return FULL
        free = chosen.free[0]
        if free <= at:
            end = at + service_s
            heapreplace(chosen.free, end)
            heappush(chosen.leaving, end)
            return at
        end = free + service_s
        heapreplace(chosen.free, end)
        heappush(chosen.leaving, end)
        self._note_queue(free)
        return free

    def resume(self, ends: list[float]) -> None:
        """Take over photos that are being worked on, none of which waits."""
        for instance in self.instances:
            instance.free, instance.leaving = [0.0] * self.workers, []
        for number, end in enumerate(ends):
            instance = self.instances[number % len(self.instances)]
            heapreplace(instance.free, end)
            heappush(instance.leaving, end)

    def _route(self, at: float) -> _Instance | None:
        """The instance that takes the request; None if the one it is routed to refuses it."""
        instances = self.instances
        if self._random and len(instances) > 1:
            instances = [instances[int(self._chance.random() * len(instances))]]
        chosen, fewest = instances[0], self._limit + 1
        for instance in instances:
            leaving = instance.leaving
            while leaving and leaving[0] <= at:
                heappop(leaving)
            count = len(leaving)
            if count < fewest:
                chosen, fewest = instance, count
                if not count:
                    break
        room = self._limit if at - chosen.refused_at >= self._calm_s else self._shed_to
        if fewest < room:
            return chosen
        chosen.refused_at = at
        return None

    def _note_queue(self, start: float) -> None:
        if start > self.queue_over_at:
            self.queue_over_at = start
        queue = 0
        for one in self.instances:
            waiting = len(one.leaving) - self.workers
            if waiting > 0:
                queue += waiting
        if queue > self.queue_peak:
            self.queue_peak = queue


class ServerlessFleet:
    """A serverless variant. `cold_s` draws the seconds of a cold start."""

    def __init__(self, pool: Environments, cold_s: Random, *, median_s: float, spread: float):
        self.queue_peak = 0
        self.cold_starts = 0
        self._pool = pool
        self._chance = cold_s
        self._median_s, self._spread = median_s, spread

    def resize(self, instances: int) -> None:
        """A serverless variant has no instances."""

    def offer(self, at: float, service_s: float) -> float:
        place = self._pool.take(at)
        if place is Place.REFUSED:
            return FULL
        start = at
        if place is Place.COLD:
            self.cold_starts += 1
            start += self._median_s * self._chance.lognormvariate(0, self._spread)
        self._pool.ends_at(start + service_s, on_demand=place is not Place.PROVISIONED)
        return start
