"""Lambda's CloudWatch metrics."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

from localaws.functions.records import Target
from localaws.metrics.data import MetricData, metric

NAMESPACE = "AWS/Lambda"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One invocation, or one that was throttled and so never ran.

    `at_once`: invocations of the function, and of the account, that ran when it began, itself included.
    """

    target: Target
    duration_ms: float = 0.0
    failed: bool = False
    throttled: bool = False
    at_once: tuple[int, int] = (0, 0)


class UnderWay:
    """Counts the invocations that run, by function and in all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()

    def begin(self, function_arn: str) -> tuple[int, int]:
        """One more; what Sample calls `at_once`."""
        with self._lock:
            self._running[function_arn] += 1
            return self._running[function_arn], self._running.total()

    def end(self, function_arn: str) -> None:
        """One less."""
        with self._lock:
            self._running[function_arn] -= 1
            if not self._running[function_arn]:
                del self._running[function_arn]


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
    """All functions, the function, and the alias or version that was called."""
    name = target.config["FunctionName"]
    qualifier = target.invoked_arn.removeprefix(target.function_arn).removeprefix(":")
    found = [{}, {"FunctionName": name}]
    if qualifier:
        found.append({"FunctionName": name, "Resource": f"{name}:{qualifier}"})
    return found


class FunctionMetrics:
    """Writes what the invoker notes."""

    def __init__(self, data: MetricData) -> None:
        self._data = data

    def note(self, sample: Sample) -> None:
        """Record one sample at the clock's present."""
        for dimensions in dimensions_of(sample.target):
            for name, value, unit in values_of(sample):
                self._data.note(metric(NAMESPACE, name, dimensions), value, unit)
        if not sample.throttled:
            of_function, of_all = sample.at_once
            name = "ConcurrentExecutions"
            function = {"FunctionName": sample.target.config["FunctionName"]}
            self._data.note(metric(NAMESPACE, name, function), of_function, "Count")
            self._data.note(metric(NAMESPACE, name, {}), of_all, "Count")
