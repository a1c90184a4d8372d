"""Counts of invocations: by the minute for autoscaling, in batches for CloudWatch."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from localaws.clock import Timer

NAMESPACE = "AWS/SageMaker"
FLUSH_S = 3.0
MINUTES_KEPT = 60
SAMPLES = 20
_CLIENT_ERROR, _SERVER_ERROR = 400, 500
_log = logging.getLogger(__name__)


class MetricSink(Protocol):
    """Where batches go: `localaws.account.records.Records`."""

    def put_metric(
        self,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        value: float,
        unit: str,
        at: float | None = None,
    ) -> None:
        """One data point at epoch second `at`."""


@dataclass(kw_only=True)
class _Batch:
    minute: int
    invocations: int = 0
    per_instance: float = 0.0
    client_errors: int = 0
    server_errors: int = 0
    model_us: list[float] = field(default_factory=list)
    overhead_us: list[float] = field(default_factory=list)


class EndpointMetrics:
    """`record` is cheap; a thread writes to CloudWatch every few seconds while there is traffic."""

    def __init__(self, sink: MetricSink, clock: Timer) -> None:
        self._sink = sink
        self._clock = clock
        self._lock = threading.Lock()
        self._batches: dict[tuple[str, str, int], _Batch] = {}
        self._minutes: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
        self._some = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="endpoint-metrics", daemon=True)
        self._thread.start()

    def record(
        self,
        endpoint: str,
        variant: str,
        *,
        instances: int,
        status: int,
        model_us: float,
        overhead_us: float,
    ) -> None:
        """One invocation answered with `status` by one of `instances`; times in microseconds."""
        minute = int(self._clock.now() // 60)
        part = 1.0 / max(1, instances)
        with self._lock:
            batch = self._batches.setdefault((endpoint, variant, minute), _Batch(minute=minute))
            batch.invocations += 1
            batch.per_instance += part
            batch.client_errors += _CLIENT_ERROR <= status < _SERVER_ERROR
            batch.server_errors += status >= _SERVER_ERROR
            batch.model_us.append(model_us)
            batch.overhead_us.append(overhead_us)
            minutes = self._minutes[endpoint, variant]
            minutes[minute] = minutes.get(minute, 0.0) + part
            if len(minutes) > MINUTES_KEPT:
                del minutes[min(minutes)]
        self._some.set()

    def per_instance_minutes(
        self, endpoint: str, variant: str, *, before: int, count: int
    ) -> list[float | None]:
        """Invocations per instance in the `count` minutes before minute `before`, oldest first.

        None for a minute without invocations: SageMaker publishes no zero.
        """
        with self._lock:
            minutes = dict(self._minutes.get((endpoint, variant), {}))
        return [minutes.get(minute) for minute in range(before - count, before)]

    def forget(self, endpoint: str) -> None:
        """The endpoint is gone; one of the same name starts without a past."""
        with self._lock:
            for key in [key for key in self._minutes if key[0] == endpoint]:
                del self._minutes[key]

    def flush(self) -> None:
        """Write what was recorded before this call."""
        with self._lock:
            batches, self._batches = self._batches, {}
            self._some.clear()
        for (endpoint, variant, _), batch in batches.items():
            try:
                self._write({"EndpointName": endpoint, "VariantName": variant}, batch)
            except Exception:
                _log.exception("metrics of endpoint %s were not recorded", endpoint)

    def close(self) -> None:
        """Write the rest and end the thread."""
        self._closed.set()
        self._some.set()
        self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._some.wait()
            self._closed.wait(FLUSH_S)
            self.flush()

    def _write(self, dimensions: Mapping[str, str], batch: _Batch) -> None:
        counts = {
            "Invocations": batch.invocations,
            "InvocationsPerInstance": batch.per_instance,
            "Invocation4XXErrors": batch.client_errors,
            "Invocation5XXErrors": batch.server_errors,
        }
        at = batch.minute * 60.0
        for name, value in counts.items():
            unit = "None" if name == "InvocationsPerInstance" else "Count"
            self._sink.put_metric(NAMESPACE, name, dimensions, value, unit, at)
        latencies = {"ModelLatency": batch.model_us, "OverheadLatency": batch.overhead_us}
        for name, values in latencies.items():
            for value in thinned(values, SAMPLES):
                self._sink.put_metric(NAMESPACE, name, dimensions, value, "Microseconds", at)


def thinned(values: list[float], count: int) -> list[float]:
    """At most `count` of the values that stand for all: evenly spaced ranks, both ends kept."""
    ordered = sorted(values)
    if len(ordered) <= count:
        return ordered
    last = len(ordered) - 1
    return [ordered[round(rank * last / (count - 1))] for rank in range(count)]
