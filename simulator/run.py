"""One run: arrivals, the stream of requests, the minutes of autoscaling. Pure and seeded.

The same seed gives the same arrivals and the same service times whatever the settings are, so that
settings are compared on the same visitors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random

import numpy as np

from experiments.errors import SpecError
from simulator import calm
from simulator.assumptions import Assumptions
from simulator.outcome import Outcome, Slot, Sums, Usage
from simulator.scaling import MINUTE_S, Tracker
from simulator.service import ServiceTime, Times
from simulator.settings import MB_PER_VCPU, Settings, vcpus
from simulator.stream import Stream
from simulator.tally import Counts, Histogram, exact_percentiles_ms
from simulator.traffic import Traffic

_MOST_SLOTS = 1440
_LONGEST_S = 400 * 86_400.0
_ROUND_UP = 1e-9


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked: these settings under this traffic with this service time, for so long.

    `warm_up_s` before that go by uncounted, so that a day is one of many and not the first.
    """

    settings: Settings
    traffic: Traffic
    service: ServiceTime
    assumed: Assumptions = field(default_factory=Assumptions)
    length_s: float = 86_400.0
    warm_up_s: float = 3600.0

    def __post_init__(self) -> None:
        if not MINUTE_S <= self.length_s <= _LONGEST_S:
            raise SpecError(
                f"{self.length_s:g} s cannot be simulated", fix="use a minute to 400 days"
            )
        if min(self.assumed.environment_idle_s, self.assumed.serverless_idle_s) < MINUTE_S:
            raise SpecError(
                "an environment that is gone within a minute is not foreseen",
                fix="assume 60 s or more",
            )

    @property
    def photo_time(self) -> ServiceTime:
        """The service time on the instances asked about. Raises SpecError for unknown vCPUs."""
        if self.service.vcpus is None:
            return self.service
        serverless = self.settings.serverless
        if serverless is not None:
            return self.service.on(serverless.memory_mb / MB_PER_VCPU)
        return self.service.on(vcpus(self.settings.instance_type))


def simulate(question: Question, *, seed: int = 1, exact: bool = False) -> Outcome:
    """What happens, by one seed. `exact` follows every request alone, for comparison; the answer
    does not depend on it but for which instance a photo was dealt to."""
    return _Run(question, seed=seed, exact=exact).to_end()


class _Run:
    def __init__(self, question: Question, *, seed: int, exact: bool) -> None:
        self._asked, self._seed, self._exact = question, seed, exact
        self._photo_time = question.photo_time
        visitors, photos = np.random.SeedSequence(seed).spawn(2)
        self._visitors, self._photos = (
            np.random.default_rng(visitors),
            np.random.default_rng(photos),
        )
        self._chance = Random(seed * 7919 + 1)  # noqa: S311  (a simulation)
        assumed, settings = question.assumed, question.settings
        self._pace = self._chance.lognormvariate(0, assumed.instance_start_spread)
        self._stream = Stream(settings, assumed, self._chance)
        self._tracker = Tracker(
            settings,
            delay_minutes=assumed.alarm_delay_minutes,
            grows_in_cooldown=assumed.grows_in_cooldown,
        )
        self._instances = 0 if settings.serverless else settings.min_instances
        self._target, self._ready_s = self._instances, math.inf
        self._book = _Ledger(question)

    def to_end(self) -> Outcome:
        self._pass(-self._asked.warm_up_s, 0.0)
        self._book, self._stream.endpoint.cold_starts = _Ledger(self._asked), 0
        self._pass(0.0, self._asked.length_s)
        rest = Counts()
        while self._stream.pending:  # a serverless endpoint may be asked once more
            self._stream.settle(math.inf, rest)
        self._book.close(rest, self._stream)
        return self._book.outcome(self._seed)

    def _pass(self, start: float, end: float) -> None:
        while start < end:
            until = min(start + 3600.0, end)
            times = self._asked.traffic.arrivals(start, until, self._visitors)
            services = self._photo_time.draw(self._photos, times.size)
            self._hour(start, until, times, services)
            start = until

    def _hour(self, start: float, end: float, times: Times, services: Times) -> None:
        now = start
        edges = [*np.arange(start + MINUTE_S, end, MINUTE_S).tolist(), end]
        for edge in edges:
            per_instance = 0.0
            while now < edge:
                until = min(edge, self._ready_s)
                counts = self._minute(now, until, times, services)
                per_instance += counts.invocations / max(1, self._instances)
                now = until
                if now >= self._ready_s:
                    self._change(self._target, now)
            self._steer(per_instance, now)
            self._book.minute_ends(now, self._instances, self._target)

    def _minute(self, start: float, end: float, times: Times, services: Times) -> Counts:
        low, high = np.searchsorted(times, (start, end))
        counts = Counts()
        if self._exact:
            here = times[low:high].tolist(), services[low:high].tolist()
            self._stream.follow(*here, counts, until_calm=False)
        else:
            calm.let_in(self._stream, times[low:high], services[low:high], counts)
        front, endpoint = self._stream.front, self._stream.endpoint
        counts.queue_peak, endpoint.queue_peak = endpoint.queue_peak, 0
        counts.in_flight_peak, front.peak = front.peak, 0
        self._book.add(counts, end - start, self._instances, max(self._target, self._instances))
        return counts

    def _steer(self, per_instance: float, now: float) -> None:
        self._tracker.note_minute(per_instance)
        if self._stream.fleet is None or self._ready_s < math.inf:
            return
        wanted = self._tracker.wanted(self._instances, now)
        if wanted < self._instances:
            self._change(wanted, now)
        elif wanted > self._instances:
            assumed, self._target = self._asked.assumed, wanted
            starts = [
                self._chance.lognormvariate(0, assumed.instance_start_spread)
                for _ in range(wanted - self._instances)
            ]
            self._ready_s = now + assumed.instance_start_s * self._pace * max(starts) + _ROUND_UP

    def _change(self, instances: int, now: float) -> None:
        self._tracker.note_change(grew=instances > self._instances, now_s=now)
        self._stream.endpoint.resize(instances)
        self._instances = self._target = instances
        self._ready_s = math.inf


class _Ledger:
    """Slots and sums."""

    def __init__(self, question: Question) -> None:
        self._asked = question
        minutes = math.ceil(question.length_s / MINUTE_S)
        self._slot_s = MINUTE_S * math.ceil(minutes / _MOST_SLOTS)
        self._slots: list[Slot] = []
        self._parts: list[Counts] = []
        self._slot_start = 0.0
        self._times = Histogram()
        self._all = Counts()
        self._peak = question.settings.min_instances
        self._paid_s = self._worker_s = self._answering_s = 0.0
        self._answered = 0
        self._endpoint_cold = 0

    def add(self, counts: Counts, length_s: float, instances: int, paid: int) -> None:
        """Count a stretch with so many instances that answer, and so many paid."""
        self._parts.append(counts)
        self._paid_s += paid * length_s
        self._answering_s += instances * length_s
        if self._asked.settings.serverless is None:
            self._worker_s += instances * self._asked.settings.workers * length_s
        self._peak = max(self._peak, instances)

    def minute_ends(self, now: float, instances: int, target: int) -> None:
        """Close the slot if it ends here."""
        if now - self._slot_start < self._slot_s - 1e-6 and now < self._asked.length_s:
            return
        total = _summed(self._parts)
        took = np.concatenate([part.latencies() for part in self._parts])
        self._times.add(took)
        p50, p95, p99 = exact_percentiles_ms(took, (50, 95, 99))
        self._slots.append(
            Slot(
                start_s=self._slot_start,
                length_s=now - self._slot_start,
                arrivals=total.arrivals,
                answered=int(took.size),
                refused=total.refused_front + total.refused_endpoint,
                failed=total.timed_out,
                cold_starts=total.cold_starts,
                instances=instances,
                starting=max(0, target - instances),
                queue=total.queue_peak,
                in_flight=total.in_flight_peak,
                p50_ms=p50,
                p95_ms=p95,
                p99_ms=p99,
            )
        )
        self._all = _summed([self._all, total])
        self._answered += int(took.size)
        self._parts, self._slot_start = [], now

    def close(self, rest: Counts, stream: Stream) -> None:
        """Count what was still on its way at the end."""
        took = rest.latencies()
        self._times.add(took)
        self._answered += int(took.size)
        self._all = _summed([self._all, rest])
        self._endpoint_cold = stream.endpoint.cold_starts

    def outcome(self, seed: int) -> Outcome:
        """Everything counted."""
        sums = self._sums()
        return Outcome(seed=seed, slots=tuple(self._slots), sums=sums, usage=self._usage())

    def _sums(self) -> Sums:
        total, length = self._all, self._asked.length_s
        busy = min(1.0, total.busy_s / self._worker_s) if self._worker_s else 0.0
        return Sums(
            length_s=length,
            arrivals=total.arrivals,
            answered=self._answered,
            refused_front=total.refused_front,
            refused_endpoint=total.refused_endpoint,
            failed=total.timed_out,
            cold_starts=total.cold_starts,
            spilled=total.spilled,
            endpoint_cold_starts=self._endpoint_cold,
            waited=total.waited,
            p50_ms=self._times.percentile_ms(50),
            p95_ms=self._times.percentile_ms(95),
            p99_ms=self._times.percentile_ms(99),
            mean_ms=self._times.total_s * 1000 / self._answered if self._answered else None,
            idle_share=1.0 - busy,
            mean_instances=self._answering_s / length,
            peak_instances=self._peak,
            peak_queue=total.queue_peak,
            peak_in_flight=total.in_flight_peak,
        )

    def _usage(self) -> Usage:
        total, length = self._all, self._asked.length_s
        settings, assumed = self._asked.settings, self._asked.assumed
        serverless = settings.serverless
        calls = total.arrivals - total.refused_front
        return Usage(
            length_s=length,
            instance_s=0.0 if serverless else self._paid_s,
            calls=calls,
            warm_billed_ms=total.warm_billed_ms,
            on_demand_billed_ms=total.on_demand_billed_ms,
            provisioned_environment_s=settings.provisioned_concurrency * length,
            serverless_s=total.busy_s if serverless else 0.0,
            serverless_provisioned_s=serverless.provisioned_concurrency * length
            if serverless
            else 0.0,
            photos_bytes=float(total.invocations) * assumed.photo_bytes,
            log_bytes=float(calls) * assumed.log_bytes_per_call,
        )


_SUMMED = (
    "arrivals",
    "refused_front",
    "refused_endpoint",
    "timed_out",
    "cold_starts",
    "spilled",
    "invocations",
    "waited",
    "busy_s",
    "warm_billed_ms",
    "on_demand_billed_ms",
)


def _summed(parts: list[Counts]) -> Counts:
    """The counts of several stretches, without their latencies."""
    total = Counts(**{name: sum(getattr(part, name) for part in parts) for name in _SUMMED})
    total.queue_peak = max((part.queue_peak for part in parts), default=0)
    total.in_flight_peak = max((part.in_flight_peak for part in parts), default=0)
    return total
