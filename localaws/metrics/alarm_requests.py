"""From PutMetricAlarm's parameters to the document that is kept, and to what is shown of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localaws.metrics.alarms import watched_query
from localaws.metrics.data import MINUTE_S, MetricData
from localaws.metrics.distribution import is_percentile
from localaws.metrics.evaluation import OPERATORS
from localaws.metrics.queries import check_period, refuse, series_of
from localaws.settings import Settings

Doc = dict[str, Any]
Params = Mapping[str, Any]
LONGEST_S = 86_400
_MISSING = ("breaching", "notBreaching", "ignore", "missing")
_OWN = ("Tags", "LastAlarm")
_SINGLE = ("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Period", "Dimensions")
_UNSUPPORTED = (
    "ThresholdMetricId",
    "EvaluationWindow",
    "WarmUpConfiguration",
    "EvaluationCriteria",
    "EvaluationInterval",
)


def alarm_of(params: Params, old: Doc | None, now: float, settings: Settings) -> Doc:
    """The alarm's document at epoch second `now`; an `old` one keeps its state and its tags."""
    _check(params)
    name = params["AlarmName"]
    doc: Doc = {
        "ActionsEnabled": True,
        "OKActions": [],
        "AlarmActions": [],
        "InsufficientDataActions": [],
        "TreatMissingData": "missing",
        **{key: value for key, value in params.items() if key != "Tags"},
        "AlarmArn": f"arn:aws:cloudwatch:{settings.region}:{settings.account_id}:alarm:{name}",
        "AlarmConfigurationUpdatedTimestamp": now,
    }
    if "Metrics" not in doc:
        doc.setdefault("Dimensions", [])
    kept = ("StateValue", "StateReason", "StateReasonData", "StateUpdatedTimestamp",
            "StateTransitionedTimestamp", "LastAlarm", "Tags")  # fmt: skip
    fresh = {
        "StateValue": "INSUFFICIENT_DATA",
        "StateReason": "Unchecked: Initial alarm creation",
        "StateUpdatedTimestamp": now,
        "StateTransitionedTimestamp": now,
        "Tags": {tag["Key"]: tag["Value"] for tag in params.get("Tags", [])},
    }
    return doc | ({key: old[key] for key in kept if key in old} if old else fresh)


def shown(doc: Doc) -> Doc:
    """The alarm as DescribeAlarms shows it."""
    return {key: value for key, value in doc.items() if key not in _OWN}


def _check(params: Params) -> None:
    for member in _UNSUPPORTED:
        if member in params:
            raise refuse(f"localaws does not support {member}; see localaws/DIFFERENCES.md.")
    for member in ("EvaluationPeriods", "ComparisonOperator", "Threshold"):
        if member not in params:
            raise refuse(f"The parameter {member} is required.", "MissingParameter")
    if params["ComparisonOperator"] not in OPERATORS:
        raise refuse("Anomaly detection alarms are not supported by localaws.")
    if params.get("DatapointsToAlarm", 1) > params["EvaluationPeriods"]:
        raise refuse(
            "The parameter DatapointsToAlarm must be less than or equal to EvaluationPeriods.",
            "ValidationError",
        )
    if params.get("TreatMissingData", "missing") not in _MISSING:
        text = f"The value {params['TreatMissingData']} for parameter TreatMissingData is not valid"
        raise refuse(f"{text}: use one of {', '.join(_MISSING)}.", "ValidationError")
    period_s = _check_queries(params) if "Metrics" in params else _check_single(params)
    if period_s * params["EvaluationPeriods"] > (7 if period_s >= 3600 else 1) * LONGEST_S:
        raise refuse(
            "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must "
            "be <= 86400).",
            "ValidationError",
        )


def _check_single(params: Params) -> int:
    for member in ("MetricName", "Namespace", "Period"):
        if member not in params:
            raise refuse(f"The parameter {member} is required.", "MissingParameter")
    if ("Statistic" in params) == ("ExtendedStatistic" in params):
        text = "Exactly one of Statistic and ExtendedStatistic must be specified."
        raise refuse(text, "InvalidParameterCombination")
    extended = params.get("ExtendedStatistic")
    if extended is not None and not is_percentile(extended):
        raise refuse(f"The value {extended} for parameter ExtendedStatistic is not supported.")
    check_period(params["Period"])
    return int(params["Period"])


def _check_queries(params: Params) -> int:
    queries = params["Metrics"]
    both = [member for member in _SINGLE if member in params]
    if both:
        text = f"Metrics cannot be given together with {', '.join(both)}."
        raise refuse(text, "InvalidParameterCombination")
    if sum(query.get("ReturnData", True) for query in queries) != 1:
        raise refuse(
            "Exactly one element of the metrics list should return data.", "ValidationError"
        )
    watched_query(queries)
    # An expression that cannot be read is refused now, and not at its first evaluation.
    series_of(MetricData(_Standstill()), queries, start=0, end=MINUTE_S)
    periods = {query["MetricStat"]["Period"] for query in queries if "MetricStat" in query}
    if not periods:
        raise refuse("At least one metric is required.", "ValidationError")
    return int(max(periods))


class _Standstill:
    """A clock for the empty data against which expressions are tried."""

    def now(self) -> float:
        """Epoch second 0."""
        return 0.0

    def sleep(self, seconds: float, stop: Any) -> bool:
        """Nobody waits for it."""
        del seconds, stop
        return True
