"""GetMetricStatistics, GetMetricData, ListMetrics and PutMetricData over the data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from localaws.metrics.data import MINUTE_S, Metric, MetricData, metric
from localaws.metrics.distribution import is_percentile, is_statistic, statistic
from localaws.metrics.expressions import BadExpression, Series, evaluate, names_in
from localaws.wire.protocol import AwsError

Doc = dict[str, Any]
Params = Mapping[str, Any]
MAX_POINTS = 1440
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")
_SHORT_PERIODS_S = (1, 5, 10, 20, 30)


def refuse(message: str, code: str = "InvalidParameterValue") -> AwsError:
    """CloudWatch's error for a wrong parameter."""
    return AwsError(code, message)


def check_period(period_s: int) -> None:
    """Raises for a period that CloudWatch does not take."""
    if period_s not in _SHORT_PERIODS_S and (period_s < MINUTE_S or period_s % MINUTE_S):
        raise refuse(
            f"The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60, not {period_s}."
        )


def named_dimensions(params: Params) -> dict[str, str]:
    """Dimensions of a request as a mapping."""
    return {one["Name"]: one["Value"] for one in params.get("Dimensions", [])}


def metric_of(params: Params) -> Metric:
    """The metric that a request (or a MetricStat's Metric) names."""
    return metric(params["Namespace"], params["MetricName"], named_dimensions(params))


def put(data: MetricData, namespace: str, datum: Params) -> None:
    """One MetricDatum of PutMetricData."""
    target = metric(namespace, datum["MetricName"], named_dimensions(datum))
    unit, at = datum.get("Unit", "None"), datum.get("Timestamp")
    resolution_s = 1 if datum.get("StorageResolution") == 1 else MINUTE_S
    given = [key for key in ("Value", "Values", "StatisticValues") if key in datum]
    if len(given) != 1:
        text = "One of the parameters Value, Values and StatisticValues must be specified."
        raise refuse(text, "InvalidParameterCombination" if given else "MissingParameter")
    if "StatisticValues" in datum:
        summary = datum["StatisticValues"]
        data.note_summary(
            target, unit, count=summary["SampleCount"], total=summary["Sum"],
            low=summary["Minimum"], high=summary["Maximum"], at=at, resolution_s=resolution_s,
        )  # fmt: skip
        return
    values = datum["Values"] if "Values" in datum else [datum["Value"]]
    counts = datum.get("Counts") or [1.0] * len(values)
    if len(counts) != len(values):
        raise refuse("The parameters Values and Counts must have the same length.")
    for value, count in zip(values, counts, strict=True):
        data.note(target, value, unit, at=at, weight=count, resolution_s=resolution_s)


def metric_statistics(data: MetricData, params: Params) -> Doc:
    """GetMetricStatistics' answer, oldest first."""
    plain, extended = params.get("Statistics", []), params.get("ExtendedStatistics", [])
    if bool(plain) == bool(extended):
        text = "Must specify either Statistics or ExtendedStatistics"
        raise refuse(text, "InvalidParameterCombination")
    for name in extended:
        if not is_percentile(name):
            raise refuse(f"The value {name} for parameter ExtendedStatistics is not supported.")
    period_s, start, end = params["Period"], params["StartTime"], params["EndTime"]
    check_period(period_s)
    if start >= end:
        text = "The parameter StartTime must be less than the parameter EndTime."
        raise refuse(text)
    if (end - start) / period_s > MAX_POINTS:
        text = (
            f"You have requested up to {int((end - start) / period_s)} datapoints, which exceeds "
            f"the limit of {MAX_POINTS}. You may reduce the datapoints requested by increasing "
            "Period, or decreasing the time range."
        )
        raise refuse(text, "InvalidParameterCombination")
    periods = data.periods(
        metric_of(params), start=start, end=end, period_s=period_s, unit=params.get("Unit")
    )
    points = []
    for at, (noted, unit) in periods.items():
        point: Doc = {"Timestamp": at, "Unit": unit}
        point |= {name: statistic(name, noted) for name in plain}
        if extended:
            shares = {name: statistic(name, noted) for name in extended}
            point["ExtendedStatistics"] = {k: v for k, v in shares.items() if v is not None}
        points.append(point)
    return {"Label": params["MetricName"], "Datapoints": points}


def series_of(
    data: MetricData, queries: Sequence[Params], *, start: float, end: float
) -> dict[str, Series]:
    """The series of every query by its id; expressions over the others. Raises `AwsError`."""
    _check_queries(queries)
    found: dict[str, Any] = {}
    expressions: dict[str, Params] = {}
    for query in queries:
        if "MetricStat" in query:
            stat = query["MetricStat"]
            found[query["Id"]] = data.values(
                metric_of(stat["Metric"]), stat["Stat"], start=start, end=end,
                period_s=stat["Period"], unit=stat.get("Unit"),
            )  # fmt: skip
        else:
            expressions[query["Id"]] = query
    metrics = dict(found)
    while expressions:
        ready = [one for one, query in expressions.items() if _needs(query) <= set(found)]
        if not ready:
            raise refuse(f"Circular or unknown reference in {', '.join(sorted(expressions))}.",
                         "ValidationError")  # fmt: skip
        for query_id in ready:
            query = expressions.pop(query_id)
            names = found if "METRICS(" not in query["Expression"] else metrics
            found[query_id] = _evaluated(query, names, period_of(queries))
    return found


def period_of(queries: Sequence[Params]) -> int:
    """The longest period among the metrics of a request."""
    return max(
        (query["MetricStat"]["Period"] for query in queries if "MetricStat" in query),
        default=MINUTE_S,
    )


def metric_data(data: MetricData, params: Params) -> Doc:
    """GetMetricData's answer."""
    queries = params["MetricDataQueries"]
    series = series_of(data, queries, start=params["StartTime"], end=params["EndTime"])
    newest_first = params.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    results = []
    for query in queries:
        if not query.get("ReturnData", True):
            continue
        points = sorted(series[query["Id"]].items(), reverse=newest_first)
        results.append(
            {
                "Id": query["Id"],
                "Label": query.get("Label") or _label(query),
                "Timestamps": [at for at, _ in points],
                "Values": [value for _, value in points],
                "StatusCode": "Complete",
            }
        )
    return {"MetricDataResults": results, "Messages": []}


def listed(data: MetricData, params: Params) -> list[Doc]:
    """The metrics that ListMetrics' filters let through, by name."""
    wanted = [(one["Name"], one.get("Value")) for one in params.get("Dimensions", [])]
    found = []
    for target, _ in sorted(data.known()):
        has = dict(target.dimensions)
        if params.get("Namespace") not in (None, target.namespace):
            continue
        if params.get("MetricName") not in (None, target.name):
            continue
        if all(name in has and value in (None, has[name]) for name, value in wanted):
            dimensions = [{"Name": name, "Value": value} for name, value in target.dimensions]
            found.append(
                {"Namespace": target.namespace, "MetricName": target.name, "Dimensions": dimensions}
            )
    return found


def _check_queries(queries: Sequence[Params]) -> None:
    ids = [query["Id"] for query in queries]
    if len(set(ids)) < len(ids):
        raise refuse("The values for parameter Id in MetricDataQueries are not unique.",
                     "ValidationError")  # fmt: skip
    for query in queries:
        if not _ID.fullmatch(query["Id"]):
            raise refuse(f"The value {query['Id']} for parameter Id is not matching the expected "
                         "pattern ^[a-z][a-zA-Z0-9_]*$.", "ValidationError")  # fmt: skip
        if ("MetricStat" in query) == ("Expression" in query):
            raise refuse("Exactly one of MetricStat and Expression is required for "
                         f"{query['Id']}.", "ValidationError")  # fmt: skip
        stat = query.get("MetricStat")
        if stat is not None:
            check_period(stat["Period"])
            if not is_statistic(stat["Stat"]):
                raise refuse(f"The value {stat['Stat']} for parameter Stat is not supported.",
                             "ValidationError")  # fmt: skip


def _needs(query: Params) -> set[str]:
    return names_in(query["Expression"]) - {query["Id"]}


def _evaluated(query: Params, names: Mapping[str, Any], period_s: int) -> Series:
    try:
        value = evaluate(query["Expression"], names, period_s=period_s)
    except BadExpression as error:
        text = f"Error in expression '{query['Id']}': {error}."
        raise refuse(text, "ValidationError") from error
    if isinstance(value, float | int):
        times = sorted({at for series in names.values() for at in series})
        return dict.fromkeys(times, float(value))
    if not isinstance(value, dict):
        text = f"Error in expression '{query['Id']}': it does not return a single time series."
        raise refuse(text, "ValidationError")
    return value


def _label(query: Params) -> str:
    stat = query.get("MetricStat")
    return str(stat["Metric"]["MetricName"]) if stat else str(query["Id"])
