"""What the server counts, as Prometheus reads it from /metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """One server's figures, in a registry of its own."""

    CONTENT_TYPE = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = self._counter(
            "pedigree_requests", "Requests answered, by path and status.", "path", "code"
        )
        self._shed = self._counter(
            "pedigree_shed", "Requests refused without work, by reason.", "reason"
        )
        self._unread = 0
        self._shed_busy = self._shed.labels("busy")
        self._answered_busy = self._requests.labels("/invocations", "429")
        self._seconds = self._histogram(
            "pedigree_request_seconds", "From a request's head to the prediction it was given."
        )
        self._queue = self._histogram(
            "pedigree_queue_seconds", "How long a photograph waited for a worker and the network."
        )
        self._decode = self._histogram(
            "pedigree_decode_seconds", "How long a photograph took to decode."
        )
        self._model = self._histogram(
            "pedigree_model_seconds", "How long a photograph's batch took in the network."
        )
        self._batch = self._histogram(
            "pedigree_batch_photos",
            "Photographs that went through the network together, seen by each.",
            (1, 2, 4, 8),
        )
        self._inside = self._gauge("pedigree_in_flight", "Photographs inside.")
        self._draining = self._gauge("pedigree_draining", "1 while the server finishes to stop.")
        self._info = self._gauge("pedigree_model_info", "The model served.", "version")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float] = _SECONDS) -> Histogram:
        return Histogram(name, text, buckets=buckets, registry=self._registry)

    def serves(self, version: str, inside: Callable[[], float]) -> None:
        """The model is ready; `inside` tells how many photographs are worked on or wait."""
        self._info.labels(version).set(1)
        self._inside.set_function(inside)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """A request has its answer; `path` is a known one or "other"."""
        self._requests.labels(path, str(status)).inc()
        if path == "/invocations" and status == 200:
            self._seconds.observe(seconds)

    def shed(self, reason: str) -> None:
        """A request was refused before any work: busy, would_be_late, deadline_passed."""
        self._shed.labels(reason).inc()

    def shed_unread(self) -> None:
        """A request was refused before it came to the app."""
        self._unread += 1  # told to the counters when they are read: this must cost nothing

    def photo(self, *, queue_s: float, decode_s: float, model_s: float, batch: int) -> None:
        """A photograph went through."""
        self._queue.observe(queue_s)
        self._decode.observe(decode_s)
        self._model.observe(model_s)
        self._batch.observe(batch)

    def draining(self) -> None:
        """The server has begun to stop."""
        self._draining.set(1)

    def text(self) -> bytes:
        """The exposition."""
        unread, self._unread = self._unread, 0
        self._shed_busy.inc(unread)
        self._answered_busy.inc(unread)
        return generate_latest(self._registry)
