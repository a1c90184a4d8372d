"""Lambda's CloudWatch metrics, written behind the caller's back."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from localaws.functions.records import Target

NAMESPACE = "AWS/Lambda"
_log = logging.getLogger(__name__)


class MetricSink(Protocol):
    """Where data points go: `localaws.account.records.Records`."""

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


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One invocation, or one that was throttled and so never ran."""

    target: Target
    duration_ms: float = 0.0
    failed: bool = False
    throttled: bool = False


def values_of(sample: Sample) -> list[tuple[str, float, str]]:
    """Metric names with value and unit, as Lambda publishes them."""
    if sample.throttled:
        return [("Throttles", 1, "Count")]
    return [
        ("Invocations", 1, "Count"),
        ("Errors", int(sample.failed), "Count"),
        ("Throttles", 0, "Count"),
        ("Duration", sample.duration_ms, "Milliseconds"),
    ]


def dimensions_of(target: Target) -> list[dict[str, str]]:
    """By function, and by the alias or version that was called."""
    name = target.config["FunctionName"]
    qualifier = target.invoked_arn.removeprefix(target.function_arn).removeprefix(":")
    found = [{"FunctionName": name}]
    if qualifier:
        found.append({"FunctionName": name, "Resource": f"{name}:{qualifier}"})
    return found


class MetricWriter:
    """Takes samples without waiting and writes them from a thread of its own."""

    def __init__(self, sink: MetricSink, now: Callable[[], float]) -> None:
        self._sink = sink
        self._now = now
        self._samples: queue.SimpleQueue[tuple[Sample, float] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="lambda-metrics", daemon=True)
        self._thread.start()

    def note(self, sample: Sample) -> None:
        """Record one sample at the present time."""
        self._samples.put((sample, self._now()))

    def close(self) -> None:
        """Write what is left and end the thread."""
        self._samples.put(None)
        self._thread.join()

    def _write(self) -> None:
        while (entry := self._samples.get()) is not None:
            sample, at = entry
            for dimensions in dimensions_of(sample.target):
                for name, value, unit in values_of(sample):
                    try:
                        self._sink.put_metric(NAMESPACE, name, dimensions, value, unit, at)
                    except Exception:
                        _log.exception("the metric %s was not recorded", name)
