"""Recorded traffic: CSV files, CloudWatch's answers, and captured requests of an endpoint."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from experiments.errors import DataError
from simulator.traffic import Steps, Trace, counted

MAX_ARRIVALS = 20_000_000
_MINUTE_S = 60.0
_MS_FROM = 1e11
_FORMATS = (
    "give a CSV whose first column is a time (ISO 8601 or epoch seconds) and whose second, if any,"
    " is a count; CloudWatch's JSON of Invocations; or captured JSON lines with inferenceTime"
)


def parse_recorded(text: str, *, name: str) -> Steps | Trace:
    """Read a file by what it looks like. Raises DataError for anything else."""
    head = text.lstrip()[:4096]
    if head.startswith("{"):
        if "eventMetadata" in head.partition("\n")[0] or '"captureData"' in head:
            return parse_captured(text.splitlines(), name=name)
        return parse_cloudwatch(text, name=name)
    return parse_csv(text.splitlines(), name=name)


def parse_csv(lines: Iterable[str], *, name: str) -> Steps | Trace:
    """Arrivals, one a row, or counts of equal bins where there is a second column.

    A first row without a time in it is a heading. Raises DataError.
    """
    times: list[float] = []
    counts: list[float] = []
    for number, row in enumerate(csv.reader(lines), start=1):
        if not row or not row[0].strip():
            continue
        if number == 1 and not _looks_like_time(row[0]):
            continue
        times.append(_seconds(row[0], f"{name}, line {number}"))
        if len(row) > 1 and row[1].strip():
            counts.append(_count(row[1], f"{name}, line {number}"))
        _limit(times, name)
    if counts and len(counts) != len(times):
        raise DataError(f"{name}: some rows have a count and some have none", fix=_FORMATS)
    return _counts(dict(zip(times, counts, strict=True)), name) if counts else _trace(times, name)


def parse_cloudwatch(text: str, *, name: str) -> Steps:
    """The sums of Invocations, as `aws cloudwatch get-metric-data` or `get-metric-statistics` print.

    Raises DataError. Missing minutes count as none, as SageMaker publishes no zeros.
    """
    try:
        answer = json.loads(text)
        pairs = _points(answer)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{name} is no answer of CloudWatch: {error}", fix=_FORMATS) from error
    counts = {_seconds(str(when), name): _count(str(value), name) for when, value in pairs}
    return _counts(counts, name)


def _points(answer: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    if "MetricDataResults" in answer:
        result = answer["MetricDataResults"][0]
        return list(zip(result["Timestamps"], result["Values"], strict=True))
    return [(point["Timestamp"], point["Sum"]) for point in answer["Datapoints"]]


def parse_captured(lines: Iterable[str], *, name: str) -> Trace:
    """SageMaker's data capture: one JSON object a line, its time in eventMetadata.inferenceTime.

    https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html. The file
    has the requests that were sampled: with a sampling under 100% traffic is thinner than it was.
    Raises DataError.
    """
    times: list[float] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        try:
            moment = json.loads(line)["eventMetadata"]["inferenceTime"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{where} is no captured request: {error}", fix=_FORMATS) from error
        times.append(_seconds(str(moment), where))
        _limit(times, name)
    return _trace(times, name)


def _trace(times: list[float], name: str) -> Trace:
    if not times:
        raise DataError(f"{name} holds no arrivals", fix=_FORMATS)
    start = min(times) // _MINUTE_S * _MINUTE_S
    period = ((max(times) - start) // _MINUTE_S + 1) * _MINUTE_S
    text = f"{len(times)} recorded arrivals of {period / 3600:.2f} h from {name}"
    return Trace(text=text, times_s=tuple(sorted(t - start for t in times)), period_s=period)


def _counts(counts: Mapping[float, float], name: str) -> Steps:
    if not counts:
        raise DataError(f"{name} holds no counts", fix=_FORMATS)
    ordered = sorted(counts)
    gaps = [later - earlier for earlier, later in itertools.pairwise(ordered)]
    width = min(gaps, default=_MINUTE_S)
    bins = [0.0] * (round((ordered[-1] - ordered[0]) / width) + 1)
    if len(bins) > MAX_ARRIVALS or any(
        abs(gap / width - round(gap / width)) > 0.01 for gap in gaps
    ):
        raise DataError(f"{name}: the counts are not of equal bins", fix="give one row a minute")
    for when, value in counts.items():
        bins[round((when - ordered[0]) / width)] += value
    return counted(bins, source=name, bin_s=width)


def _limit(times: list[float], name: str) -> None:
    if len(times) > MAX_ARRIVALS:
        raise DataError(f"{name} has over {MAX_ARRIVALS} arrivals", fix="give fewer, or counts")


def _count(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise DataError(f"{where}: {text[:40]!r} is no count", fix=_FORMATS) from error
    if not 0 <= value < 1e9:
        raise DataError(f"{where}: a count of {text[:40]} cannot be", fix=_FORMATS)
    return value


def _looks_like_time(text: str) -> bool:
    try:
        _seconds(text, "")
    except DataError:
        return False
    return True


def _seconds(text: str, where: str) -> float:
    """Epoch seconds of a time: a number of seconds or milliseconds, or ISO 8601 (UTC if unsaid)."""
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise DataError(f"{where}: {text[:40]!r} is no time", fix=_FORMATS) from error
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not abs(number) < 1e16:
        raise DataError(f"{where}: {text[:40]!r} is no time", fix=_FORMATS)
    return number / 1000 if number > _MS_FROM else number
