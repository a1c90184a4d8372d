"""Requests one after the other through function and endpoint: a discrete-event core.

Events are few, because what a request meets is known when it comes: workers and environments keep
when they are free again. So the only event list is that of calls whose environment still starts.
"""

from __future__ import annotations

import math
from heapq import heappop, heappush
from random import Random

from simulator.assumptions import Assumptions
from simulator.environments import Environments, Place
from simulator.fleet import FULL, INVOKE_LIMIT_S, Endpoint, Fleet, ServerlessFleet
from simulator.settings import Settings
from simulator.tally import Counts

_RETRY_S = (0.05, 0.25)
_Pending = tuple[float, int, float, float, bool, bool]


class Stream:
    """One function in front of one endpoint, and the calls under way.

    A call passes: room in the function (else 429), an environment (provisioned, warm, or cold, which
    takes its initialisation), half of `front_ms`, the endpoint (429 where its queue is full; a
    serverless one that throttles is asked once more, as lambda/handler.py does), the model, the other
    half. Above the read time-out the visitor gets 504 and the photo is worked on all the same.
    """

    def __init__(self, settings: Settings, assumed: Assumptions, chance: Random) -> None:
        self.settings, self.assumed = settings, assumed
        self.half_s = assumed.front_ms / 2000
        self.patience_s = min(
            settings.endpoint_read_timeout_s, assumed.answer_timeout_s, INVOKE_LIMIT_S
        )
        rate = settings.rate_per_concurrency
        self.front = Environments(
            limit=settings.concurrency,
            provisioned=settings.provisioned_concurrency,
            idle_s=assumed.environment_idle_s,
            per_second=None if rate is None else rate * settings.concurrency,
            burst=assumed.new_environments,
            refill_per_s=assumed.new_environments_per_s,
        )
        self.fleet = None if settings.serverless else Fleet(settings, chance)
        self.endpoint: Endpoint = self.fleet or _serverless(settings, assumed, chance)
        self.pending: list[_Pending] = []
        self._chance = chance
        self._number = 0
        self._abandoned_until = 0.0

    def is_calm(self, now: float) -> bool:
        """Whether nobody waits, no photo is worked on that nobody waits for, and there is room to
        spare, so that the next requests need not be followed."""
        fleet = self.fleet
        if self.pending or fleet is None:
            return False
        if now < fleet.queue_over_at or now < self._abandoned_until:
            return False
        return 2 * self.front.in_flight(now) < min(self.front.limit, fleet.calm_below)

    def follow(
        self, times: list[float], services: list[float], counts: Counts, *, until_calm: bool
    ) -> int:
        """Let requests in, one by one; how many, which is all unless it is calm again before."""
        half, take, admit, pending = self.half_s, self.front.take, self._admit, self.pending
        for k, came in enumerate(times):
            if pending:
                self.settle(came + half, counts)
            if until_calm and k and self.is_calm(came):
                return k
            counts.arrivals += 1
            place = take(came)
            if place is Place.REFUSED:
                counts.refused_front += 1
            elif place is Place.COLD:
                self._start(came, services[k], counts)
            else:
                on_demand = place is Place.WARM
                counts.spilled += on_demand
                admit(came + half, came, services[k], on_demand, False, counts)
        return len(times)

    def settle(self, until: float, counts: Counts) -> None:
        """Let the calls that waited for their environment until then go on."""
        while self.pending and self.pending[0][0] <= until:
            at, _, came, service_s, on_demand, again = heappop(self.pending)
            self._admit(at, came, service_s, on_demand, again, counts)

    def _start(self, came: float, service_s: float, counts: Counts) -> None:
        counts.cold_starts += 1
        counts.spilled += 1
        spread = self.assumed.init_spread
        init_s = self.assumed.init_ms / 1000 * self._chance.lognormvariate(0, spread)
        self._hold(came + self.half_s + init_s, came, service_s, True, False)

    def _hold(self, at: float, came: float, service_s: float, on_demand: bool, again: bool) -> None:
        self._number += 1
        heappush(self.pending, (at, self._number, came, service_s, on_demand, again))

    def _admit(
        self,
        at: float,
        came: float,
        service_s: float,
        on_demand: bool,
        again: bool,
        counts: Counts,
    ) -> None:
        counts.invocations += 1
        start = self.endpoint.offer(at, service_s)
        if start == FULL:
            if self.fleet is None and not again:
                low, high = _RETRY_S
                self._hold(at + self._chance.uniform(low, high), came, service_s, on_demand, True)
                return
            counts.refused_endpoint += 1
            end = at + self.half_s
        else:
            counts.busy_s += service_s
            counts.waited += start > at
            took = start - at + service_s
            if took > self.patience_s:
                counts.timed_out += 1
                self._abandoned_until = max(self._abandoned_until, at + took)
                end = at + self.patience_s + self.half_s
            else:
                end = at + took + self.half_s
                counts.latencies_s.append(end - came)
        self.front.ends_at(end, on_demand=on_demand)
        billed = math.ceil((end - came) * 1000 - 1e-6)
        if on_demand:
            counts.on_demand_billed_ms += billed
        else:
            counts.warm_billed_ms += billed


def _serverless(settings: Settings, assumed: Assumptions, chance: Random) -> ServerlessFleet:
    wanted = settings.serverless
    if wanted is None:
        raise ValueError("the variant has instances")
    pool = Environments(
        limit=wanted.max_concurrency,
        provisioned=wanted.provisioned_concurrency,
        idle_s=assumed.serverless_idle_s,
    )
    return ServerlessFleet(
        pool,
        chance,
        median_s=assumed.serverless_init_ms / 1000,
        spread=assumed.init_spread,
    )
