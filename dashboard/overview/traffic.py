"""What CloudWatch counted of a live release in the last hour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from deployment.settings import VARIANT
from experiments.aws import Cloud

WINDOW = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Sums and percentiles over WINDOW; None where CloudWatch has no figure.

    `requests`, `errors` (4xx and 5xx) and the model's times are the endpoint's, `throttled` and
    `concurrency` (the most at once) the function's.
    """

    requests: int | None
    errors: int | None
    p50_ms: float | None
    p99_ms: float | None
    throttled: int | None
    concurrency: int | None


def read_traffic(cloud: Cloud, name: str, now: datetime) -> Traffic:
    """The figures of endpoint and function `name`. Raises CloudError."""
    endpoint = {"EndpointName": name, "VariantName": VARIANT}
    function = {"FunctionName": name}
    host, front = "AWS/SageMaker", "AWS/Lambda"
    requests = _total(cloud, host, "Invocations", endpoint, now)
    faults = [
        _total(cloud, host, f"Invocation{kind}Errors", endpoint, now) for kind in ("4XX", "5XX")
    ]
    p50, p99 = _latency(cloud, endpoint, now)
    most = [
        point["Maximum"]
        for point in _points(cloud, front, "ConcurrentExecutions", function, now, "Maximum")
    ]
    return Traffic(
        requests=requests,
        errors=None if requests is None else sum(fault or 0 for fault in faults),
        p50_ms=p50,
        p99_ms=p99,
        throttled=_total(cloud, front, "Throttles", function, now),
        concurrency=int(max(most)) if most else None,
    )


def _total(cloud: Cloud, space: str, metric: str, of: dict[str, str], now: datetime) -> int | None:
    found = _points(cloud, space, metric, of, now, "Sum")
    return int(sum(point["Sum"] for point in found)) if found else None


def _latency(
    cloud: Cloud, endpoint: dict[str, str], now: datetime
) -> tuple[float | None, float | None]:
    """ModelLatency is in microseconds. Of an hour that falls into two periods the worse counts."""
    found = _points(cloud, "AWS/SageMaker", "ModelLatency", endpoint, now, "p50", "p99")
    seen = [point["ExtendedStatistics"] for point in found]
    if not seen:
        return None, None
    return max(s["p50"] for s in seen) / 1000, max(s["p99"] for s in seen) / 1000


def _points(
    cloud: Cloud, space: str, metric: str, of: dict[str, str], now: datetime, *wanted: str
) -> list[dict[str, Any]]:
    kind = "ExtendedStatistics" if wanted[0].startswith("p") else "Statistics"
    answer = cloud.ask(
        "cloudwatch",
        "get_metric_statistics",
        Namespace=space,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in of.items()],
        StartTime=now - WINDOW,
        EndTime=now + timedelta(minutes=1),  # the minute that has begun counts
        Period=int(WINDOW.total_seconds()),
        **{kind: list(wanted)},
    )
    return list(answer.get("Datapoints", []))
