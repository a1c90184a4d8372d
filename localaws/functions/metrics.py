"""Lambda's CloudWatch metrics."""

from __future__ import annotations

from dataclasses import dataclass

from localaws.functions.records import Target
from localaws.metrics.data import MetricData, metric

NAMESPACE = "AWS/Lambda"


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
