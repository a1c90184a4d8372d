"""The two CloudWatch alarms of a target tracking policy, as Application Auto Scaling makes them."""

from __future__ import annotations

from localaws.metrics.alarm_requests import alarm_of
from localaws.metrics.alarms import AlarmBook
from localaws.sagemaker.words import Doc
from localaws.scaling.decision import IN_DATAPOINTS, IN_FRACTION, OUT_DATAPOINTS
from localaws.settings import Settings


class PolicyAlarms:
    """Shows in CloudWatch what the policies watch. Decisions are made from the same data."""

    def __init__(self, book: AlarmBook, settings: Settings) -> None:
        self._book = book
        self._settings = settings

    def put(self, policy: Doc, now: float) -> None:
        """Make or change the alarms of `policy` at epoch second `now`."""
        target = policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"]
        high, low = (alarm["AlarmName"] for alarm in policy["Alarms"])
        self._put(policy, high, "GreaterThanThreshold", target, OUT_DATAPOINTS, now)
        self._put(policy, low, "LessThanThreshold", IN_FRACTION * target, IN_DATAPOINTS, now)

    def delete(self, policy: Doc) -> None:
        """Delete the alarms of `policy`."""
        for alarm in policy["Alarms"]:
            self._book.delete(alarm["AlarmName"])

    def _put(
        self, policy: Doc, name: str, comparison: str, threshold: float, periods: int, now: float
    ) -> None:
        _, endpoint, _, variant = policy["ResourceId"].split("/")
        params = {
            "AlarmName": name,
            "AlarmDescription": (
                f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy['PolicyARN']}."
            ),
            "AlarmActions": [policy["PolicyARN"]],
            "Namespace": "AWS/SageMaker",
            "MetricName": "InvocationsPerInstance",
            "Dimensions": [
                {"Name": "EndpointName", "Value": endpoint},
                {"Name": "VariantName", "Value": variant},
            ],
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": periods,
            "Threshold": threshold,
            "ComparisonOperator": comparison,
        }
        with self._book.lock:
            old = self._book.get(name)
            self._book.put(alarm_of(params, old, now, self._settings))
