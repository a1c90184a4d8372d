"""What SageMaker publishes of invocations, and what autoscaling reads of it."""

from __future__ import annotations

from localaws.metrics.data import MINUTE_S, MetricData, metric

NAMESPACE = "AWS/SageMaker"
_SUCCESS = range(200, 300)
_CLIENT_ERRORS = range(400, 500)
_SERVER_ERROR = 500


class EndpointMetrics:
    """Each invocation is a point in the minute of its end.

    The error metrics get a 0 from every other invocation, so that their average is a rate. Every
    metric is there by endpoint and variant, and by these with the endpoint configuration, which
    tells an update's old fleet from its new one.
    """

    def __init__(self, data: MetricData) -> None:
        self._data = data

    def record(
        self,
        endpoint: str,
        variant: str,
        config: str,
        *,
        instances: int,
        status: int,
        model_us: float,
        overhead_us: float,
    ) -> None:
        """One invocation that the model answered with `status` (0: it did not answer in time).

        `instances`: how many share the variant's load; times in microseconds.
        """
        failed = status not in _SUCCESS
        values = (
            ("Invocations", 1.0, "None"),
            ("InvocationsPerInstance", 1.0 / max(1, instances), "None"),
            ("Invocation4XXErrors", float(status in _CLIENT_ERRORS), "None"),
            ("Invocation5XXErrors", float(failed and status not in _CLIENT_ERRORS), "None"),
            ("InvocationModelErrors", float(failed), "None"),
            ("ModelLatency", model_us, "Microseconds"),
            ("OverheadLatency", overhead_us, "Microseconds"),
        )
        self._write(endpoint, variant, config, values)

    def record_refusal(self, endpoint: str, variant: str, config: str, status: int) -> None:
        """One invocation that `status` (429, 503) answered without asking the model."""
        client_side = status in _CLIENT_ERRORS
        values = (
            ("Invocations", 1.0, "None"),
            ("Invocation4XXErrors", float(client_side), "None"),
            ("Invocation5XXErrors", float(status >= _SERVER_ERROR), "None"),
        )
        self._write(endpoint, variant, config, values)

    def record_start(self, endpoint: str, variant: str, config: str, setup_us: float) -> None:
        """A serverless variant started an instance for a request."""
        self._write(endpoint, variant, config, (("ModelSetupTime", setup_us, "Microseconds"),))

    def per_instance_minutes(
        self, endpoint: str, variant: str, *, before: int, count: int
    ) -> list[float | None]:
        """Invocations per instance in the `count` minutes before minute `before`, oldest first.

        None for a minute without invocations: SageMaker publishes no zero.
        """
        target = metric(NAMESPACE, "InvocationsPerInstance", _by_variant(endpoint, variant))
        minutes = range(before - count, before)
        start, end = minutes.start * MINUTE_S, minutes.stop * MINUTE_S
        found = self._data.values(target, "Sum", start=start, end=end, period_s=MINUTE_S)
        return [found.get(minute * MINUTE_S) for minute in minutes]

    def forget(self, endpoint: str) -> None:
        """The endpoint is gone; one of the same name starts without a past."""
        self._data.forget(NAMESPACE, [("EndpointName", endpoint)])

    def _write(
        self, endpoint: str, variant: str, config: str, values: tuple[tuple[str, float, str], ...]
    ) -> None:
        by_variant = _by_variant(endpoint, variant)
        for dimensions in (by_variant, {**by_variant, "EndpointConfigName": config}):
            for name, value, unit in values:
                self._data.note(metric(NAMESPACE, name, dimensions), value, unit)


def _by_variant(endpoint: str, variant: str) -> dict[str, str]:
    return {"EndpointName": endpoint, "VariantName": variant}
