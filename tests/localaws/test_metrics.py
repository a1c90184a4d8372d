"""CloudWatch without a server: distributions, metric math, queries and the alarms' rules."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.clock import ManualClock
from localaws.metrics.alarm_requests import alarm_of
from localaws.metrics.alarms import AlarmBook
from localaws.metrics.data import BUCKETS_KEPT, MetricData, metric
from localaws.metrics.distribution import EXACT_VALUES, Distribution, significant, statistic
from localaws.metrics.evaluation import Rule, State, judge
from localaws.metrics.expressions import BadExpression, evaluate
from localaws.metrics.queries import metric_data, metric_statistics
from localaws.settings import ACCOUNT_ID, REGION, Settings
from localaws.store import Store
from localaws.wire.protocol import AwsError

NOON = 1_800_000_000.0
VALUES = st.lists(st.floats(min_value=-1e9, max_value=1e9), min_size=1, max_size=800)


def noted(values: list[float]) -> Distribution:
    found = Distribution()
    for value in values:
        found.add(value)
    return found


@given(values=VALUES)
def test_plain_statistics_are_exact_and_percentiles_nearly(values: list[float]) -> None:
    found = noted(values)
    assert statistic("SampleCount", found) == len(values)
    assert statistic("Sum", found) == pytest.approx(math.fsum(values), rel=1e-6, abs=1e-3)
    assert (statistic("Minimum", found), statistic("Maximum", found)) == (min(values), max(values))
    for share in (0.0, 50.0, 99.0, 100.0):
        wanted = sorted(values)[max(0, math.ceil(share / 100 * len(values) - 1e-9) - 1)]
        told = statistic(f"p{share}" if share < 100 else "p100", found)
        assert told == pytest.approx(wanted, rel=0.006, abs=1e-12)


def test_percentiles_of_few_values_are_values() -> None:
    found = noted([float(number) for number in range(1, 101)])
    assert [statistic(name, found) for name in ("p1", "p50", "p99", "p99.5", "p100")] == [
        1.0,
        50.0,
        99.0,
        100.0,
        100.0,
    ]


def test_many_values_take_little_room() -> None:
    found = noted([1000 + number / 7 for number in range(20_000)])
    assert found.values is not None
    assert len(found.values) < 2 * EXACT_VALUES
    assert found.count == 20_000


@given(left=VALUES, right=VALUES)
def test_merged_is_noted_together(left: list[float], right: list[float]) -> None:
    merged = noted(left)
    merged.merge(noted(right))
    both = noted(left + right)
    for name in ("SampleCount", "Minimum", "Maximum"):
        assert statistic(name, merged) == statistic(name, both)


def test_a_statistic_set_has_no_percentiles() -> None:
    found = Distribution()
    found.add_summary(count=3, total=6, low=1, high=3)
    assert statistic("Average", found) == 2
    assert statistic("p50", found) is None
    assert significant(0.0012345) == 0.00123


M1, M2 = {0.0: 1.0, 60.0: 2.0, 120.0: 3.0}, {0.0: 10.0, 120.0: 0.0}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("m1 + m2", {0.0: 11.0, 120.0: 3.0}),
        ("m1 / m2 * 100", {0.0: 10.0}),
        ("-(m1 - 2) ^ 2", {0.0: -1.0, 60.0: 0.0, 120.0: -1.0}),
        ("2 + 3 * 4 - 10 / 5", 12.0),
        ("m1 > 1 && m1 < 3", {0.0: 0.0, 60.0: 1.0, 120.0: 0.0}),
        ("SUM([m1, m2])", {0.0: 11.0, 60.0: 2.0, 120.0: 3.0}),
        ("AVG(METRICS())", {0.0: 5.5, 60.0: 2.0, 120.0: 1.5}),
        ("m1 * SUM(m1)", {0.0: 6.0, 60.0: 12.0, 120.0: 18.0}),
        ("MAX(m1)", 3.0),
        ("IF(m1 >= 2, m1, 0)", {0.0: 0.0, 60.0: 2.0, 120.0: 3.0}),
        ("FILL(m2, 0)", {0.0: 10.0, 60.0: 0.0, 120.0: 0.0}),
        ("FILL(m2, REPEAT)", {0.0: 10.0, 60.0: 10.0, 120.0: 0.0}),
        ("RATE(m1) * PERIOD(m1)", {60.0: 1.0, 120.0: 1.0}),
        ("RUNNING_SUM(m1)", {0.0: 1.0, 60.0: 3.0, 120.0: 6.0}),
    ],
)
def test_metric_math(expression: str, expected: Any) -> None:
    assert evaluate(expression, {"m1": M1, "m2": M2}, period_s=60) == expected


@pytest.mark.parametrize(
    "expression",
    ["", "m1 +", "m3", "(m1", "m1 m2", "SUM(", "WHAT(m1)", "IF(m1)", "m1 $ 2", "(" * 80 + "1"],
)
def test_bad_expressions_are_refused(expression: str) -> None:
    with pytest.raises(BadExpression):
        evaluate(expression, {"m1": M1, "m2": M2}, period_s=60)


@given(text=st.text(alphabet="m1 +-*/^()[],<>=&|.0SUMIF", max_size=40))
def test_no_expression_breaks_the_reader(text: str) -> None:
    with contextlib.suppress(BadExpression):
        evaluate(text, {"m1": M1, "m": M2}, period_s=60)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def data(clock: ManualClock) -> MetricData:
    return MetricData(clock)


LATENCY = metric("N", "Latency", {"b": "2", "a": "1"})
NAMED = {
    "Namespace": "N",
    "MetricName": "Latency",
    "Dimensions": [{"Name": "a", "Value": "1"}, {"Name": "b", "Value": "2"}],
}


def test_statistics_by_period(data: MetricData, clock: ManualClock) -> None:
    for value in (1.0, 2.0, 6.0):
        data.note(LATENCY, value, "Seconds")
        clock.advance(60)
    data.note(metric("N", "Latency", {"a": "1"}), 99.0, "Seconds")
    asked = {**NAMED, "StartTime": NOON, "EndTime": NOON + 600, "Period": 120}
    answer = metric_statistics(data, {**asked, "Statistics": ["Sum", "SampleCount"]})
    assert answer == {
        "Label": "Latency",
        "Datapoints": [
            {"Timestamp": NOON, "Unit": "Seconds", "Sum": 3.0, "SampleCount": 2.0},
            {"Timestamp": NOON + 120, "Unit": "Seconds", "Sum": 6.0, "SampleCount": 1.0},
        ],
    }
    (point, _) = metric_statistics(data, {**asked, "ExtendedStatistics": ["p50", "p99"]})[
        "Datapoints"
    ]
    assert point["ExtendedStatistics"] == {"p50": 1.0, "p99": 2.0}
    other = metric_statistics(data, {**asked, "Statistics": ["Sum"], "Unit": "Count"})
    assert other["Datapoints"] == []


@pytest.mark.parametrize(
    "change",
    [
        {"Period": 45},
        {"Statistics": ["Sum"], "ExtendedStatistics": ["p50"]},
        {"Statistics": []},
        {"Statistics": [], "ExtendedStatistics": ["median"]},
        {"EndTime": NOON},
        {"EndTime": NOON + 60 * 1441},
    ],
)
def test_what_get_metric_statistics_refuses(data: MetricData, change: dict[str, Any]) -> None:
    asked = {**NAMED, "StartTime": NOON, "EndTime": NOON + 600, "Period": 60, "Statistics": ["Sum"]}
    with pytest.raises(AwsError, match="Invalid"):
        metric_statistics(data, {**asked, **change})


def query(query_id: str, stat: str = "", expression: str = "", **members: Any) -> dict[str, Any]:
    if expression:
        return {"Id": query_id, "Expression": expression, **members}
    found = {"Metric": NAMED, "Period": 60, "Stat": stat}
    return {"Id": query_id, "MetricStat": found, **members}


def test_metric_data_with_expressions_in_any_order(data: MetricData, clock: ManualClock) -> None:
    for value in (1.0, 3.0):
        data.note(LATENCY, value)
        data.note(LATENCY, value + 1)
        clock.advance(60)
    queries = [
        query("e2", expression="e1 * 2", Label="twice"),
        query("e1", expression="m1 - p1", ReturnData=False),
        query("m1", "Sum"),
        query("p1", "p50", ReturnData=False),
    ]
    asked = {"MetricDataQueries": queries, "StartTime": NOON, "EndTime": NOON + 300}
    found = metric_data(data, asked)["MetricDataResults"]
    assert [one["Id"] for one in found] == ["e2", "m1"]
    assert (found[0]["Label"], found[0]["Values"]) == ("twice", [8.0, 4.0])
    assert found[1]["Timestamps"] == [NOON + 60, NOON]
    ordered = metric_data(data, {**asked, "ScanBy": "TimestampAscending"})["MetricDataResults"]
    assert ordered[1]["Values"] == [3.0, 7.0]


@pytest.mark.parametrize(
    "queries",
    [
        [query("m1", "p50"), query("m1", "Sum")],
        [query("Big", "Sum")],
        [query("e1", expression="e2"), query("e2", expression="e1")],
        [query("e1", expression="m9 + 1")],
        [query("m1", "Sum"), query("e1", expression="[m1, m1]")],
        [query("m1", "median")],
        [{"Id": "m1"}],
    ],
)
def test_what_get_metric_data_refuses(data: MetricData, queries: list[dict[str, Any]]) -> None:
    with pytest.raises(AwsError) as refused:
        metric_data(data, {"MetricDataQueries": queries, "StartTime": 0.0, "EndTime": 60.0})
    assert refused.value.code == "ValidationError"


def test_data_does_not_grow_without_end(data: MetricData) -> None:
    for second in range(BUCKETS_KEPT + 10):
        data.note(LATENCY, 1.0, at=float(second), resolution_s=1)
    newest = BUCKETS_KEPT + 9
    assert data.known() == [(LATENCY, newest)]
    found = data.values(LATENCY, "Sum", start=0, end=newest + 1, period_s=60)
    assert BUCKETS_KEPT / 3 < sum(found.values()) < BUCKETS_KEPT


def test_notes_from_many_threads_all_count(data: MetricData) -> None:
    def note() -> None:
        for _ in range(500):
            data.note(LATENCY, 1.0)

    threads = [threading.Thread(target=note) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = data.values(LATENCY, "Sum", start=NOON, end=NOON + 60, period_s=60)
    assert list(found.values()) == [2000.0]


# -- alarms ------------------------------------------------------------------------------------

THREE_OF_THREE = {"periods": 3, "needed": 3}
TWO_OF_THREE = {"periods": 3, "needed": 2}
KEEP: State = "OK"


def state_of(shown: str, missing: str, **counts: int) -> str:
    """CloudWatch's tables: `0` a point that holds, `X` one that breaches, `-` none."""
    worth = {"0": 0.0, "X": 9.0, "-": None}
    points = [(NOON + 60 * at, worth[one]) for at, one in enumerate(shown)]
    rule = Rule(comparison="GreaterThanThreshold", threshold=5.0, missing=missing, **counts)
    return judge(rule, points, state="INSUFFICIENT_DATA", period_s=60).state


@pytest.mark.parametrize(
    ("shown", "counts", "missing", "ignore", "breaching", "not_breaching"),
    [
        # From "How alarm state is evaluated when data is missing" of the CloudWatch user guide;
        # `ignore` keeps the state, which is INSUFFICIENT_DATA here.
        ("0-X-X", THREE_OF_THREE, "OK", "OK", "OK", "OK"),
        ("0----", THREE_OF_THREE, "OK", "OK", "OK", "OK"),
        ("-----", THREE_OF_THREE, "INSUFFICIENT_DATA", "INSUFFICIENT_DATA", "ALARM", "OK"),
        ("0XX-X", THREE_OF_THREE, "ALARM", "ALARM", "ALARM", "ALARM"),
        ("--X--", THREE_OF_THREE, "ALARM", "INSUFFICIENT_DATA", "ALARM", "OK"),
        ("0-X-X", TWO_OF_THREE, "ALARM", "ALARM", "ALARM", "ALARM"),
        ("00X0X", TWO_OF_THREE, "ALARM", "ALARM", "ALARM", "ALARM"),
        ("0-X--", TWO_OF_THREE, "OK", "OK", "ALARM", "OK"),
        ("----0", TWO_OF_THREE, "OK", "OK", "ALARM", "OK"),
        ("---X-", TWO_OF_THREE, "ALARM", "INSUFFICIENT_DATA", "ALARM", "OK"),
        ("----X", TWO_OF_THREE, "INSUFFICIENT_DATA", "INSUFFICIENT_DATA", "ALARM", "OK"),
        ("--X", {"periods": 1, "needed": 1}, "ALARM", "ALARM", "ALARM", "ALARM"),
    ],
)
def test_missing_data(
    shown: str,
    counts: dict[str, int],
    missing: str,
    ignore: str,
    breaching: str,
    not_breaching: str,
) -> None:
    expected = {
        "missing": missing,
        "ignore": ignore,
        "breaching": breaching,
        "notBreaching": not_breaching,
    }
    assert {name: state_of(shown, name, **counts) for name in expected} == expected


def test_reasons_are_in_cloudwatchs_words() -> None:
    rule = Rule(comparison="GreaterThanThreshold", threshold=1.0, periods=1, needed=1)
    over = judge(rule, [(NOON, 5.0)], state="OK", period_s=60)
    assert over.reason == (
        "Threshold Crossed: 1 out of the last 1 datapoints [5.0 (15/01/27 08:00:00)] was greater "
        "than the threshold (1.0) (minimum 1 datapoint for OK -> ALARM transition)."
    )
    under = judge(rule, [(NOON, 0.5)], state="ALARM", period_s=60)
    assert "was not greater than the threshold (1.0)" in under.reason
    nothing = judge(rule, [(NOON, None)], state="OK", period_s=60)
    assert nothing.reason == "Insufficient Data: 1 datapoint was unknown."


@given(
    values=st.lists(st.none() | st.floats(min_value=0, max_value=10), min_size=5, max_size=5),
    needed=st.integers(1, 3),
    missing=st.sampled_from(["missing", "ignore", "breaching", "notBreaching"]),
    state=st.sampled_from(["OK", "ALARM", "INSUFFICIENT_DATA"]),
)
def test_an_alarm_never_contradicts_whole_data(
    values: list[float | None], needed: int, missing: str, state: State
) -> None:
    rule = Rule(
        comparison="GreaterThanThreshold", threshold=5.0, periods=3, needed=needed, missing=missing
    )
    points = [(NOON + 60 * at, value) for at, value in enumerate(values)]
    verdict = judge(rule, points, state=state, period_s=60)
    real = [value for value in values if value is not None][-3:]
    if len(real) == 3:
        over = sum(value > 5.0 for value in real)
        assert verdict.state == ("ALARM" if over >= needed else "OK")
    assert len(verdict.reason) <= 1023


class Watched:
    """An alarm book over data, on a clock moved by hand."""

    def __init__(self, folder: Path, clock: ManualClock, data: MetricData) -> None:
        self.settings = Settings(
            state_dir=folder, port=0, url="", serve_command=(), account_id=ACCOUNT_ID,
            region=REGION, speed=1.0,
        )  # fmt: skip
        self.store = Store(folder / "state.sqlite3")
        self.clock = clock
        self.data = data
        self.book = AlarmBook(self.store, data, clock)

    def alarm(self, name: str, **params: Any) -> None:
        asked = {
            "AlarmName": name,
            "EvaluationPeriods": 1,
            "Threshold": 5.0,
            "ComparisonOperator": "GreaterThanThreshold",
            **params,
        }
        self.book.put(alarm_of(asked, self.book.get(name), self.clock.now(), self.settings))

    def after(self, seconds: float, *values: float) -> dict[str, str]:
        """The states after this time, in the first moment of which the values were noted."""
        for value in values:
            self.data.note(LATENCY, value)
        self.clock.advance(seconds)
        self.book.tick()
        return {doc["AlarmName"]: doc["StateValue"] for doc in self.book.everything()}


@pytest.fixture
def watched(tmp_path: Path, clock: ManualClock, data: MetricData) -> Iterator[Watched]:
    made = Watched(tmp_path, clock, data)
    yield made
    made.store.close()


def test_alarms_follow_the_data(watched: Watched) -> None:
    watched.alarm("mean", **NAMED, Statistic="Average", Period=60)
    watched.alarm("tail", **NAMED, ExtendedStatistic="p99", Period=60)
    watched.alarm(
        "rate", Metrics=[query("m1", "Sum", ReturnData=False), query("e1", expression="m1 / 4")]
    )
    assert set(watched.after(0).values()) == {"INSUFFICIENT_DATA"}
    assert watched.after(60, *[1.0] * 9, 8.0) == {"mean": "OK", "rate": "OK", "tail": "ALARM"}
    assert watched.after(60, 6.0, 16.0) == {"mean": "ALARM", "rate": "ALARM", "tail": "ALARM"}
    assert watched.after(60, 1.0) == {"mean": "OK", "rate": "OK", "tail": "OK"}
    tail = watched.book.get("tail")
    assert tail is not None
    assert tail["StateReason"].startswith("Threshold Crossed: 1 out of the last 1 datapoints")
    told = [one["HistorySummary"] for one in watched.book.history("tail")]
    assert told == [
        'Alarm "tail" created',
        "Alarm updated from INSUFFICIENT_DATA to ALARM",
        "Alarm updated from ALARM to OK",
    ]


def test_a_minute_counts_when_it_is_over(watched: Watched) -> None:
    watched.alarm("now", **NAMED, Statistic="Sum", Period=60)
    assert watched.after(50, 9.0) == {"now": "INSUFFICIENT_DATA"}
    assert watched.after(10) == {"now": "ALARM"}


def test_an_alarm_that_went_off_in_between_is_told(watched: Watched) -> None:
    watched.alarm("now", **NAMED, Statistic="Sum", Period=60)
    began = watched.clock.now()
    watched.after(60, 9.0)
    watched.after(60, 1.0)
    assert watched.book.tripped(["now", "none"], began) == ["now"]
    assert watched.book.tripped(["now"], watched.clock.now()) == []


def test_alarms_outlive_the_process(watched: Watched) -> None:
    watched.alarm("now", **NAMED, Statistic="Sum", Period=60)
    watched.after(60, 9.0)
    again = AlarmBook(watched.store, watched.data, watched.clock)
    (doc,) = again.everything()
    assert (doc["AlarmName"], doc["StateValue"]) == ("now", "ALARM")
    again.delete("now")
    assert AlarmBook(watched.store, watched.data, watched.clock).everything() == []


@pytest.mark.parametrize(
    "params",
    [
        {**NAMED, "Statistic": "Sum", "Period": 61},
        {**NAMED, "Period": 60},
        {**NAMED, "ExtendedStatistic": "tm99", "Period": 60},
        {**NAMED, "Statistic": "Sum", "Period": 60, "DatapointsToAlarm": 2},
        {**NAMED, "Statistic": "Sum", "Period": 60, "TreatMissingData": "never"},
        {**NAMED, "Statistic": "Sum", "Period": 300, "EvaluationPeriods": 300},
        {**NAMED, "Statistic": "Sum", "Period": 60, "ThresholdMetricId": "m1"},
        {"Metrics": [query("m1", "Sum"), query("m2", "Sum")]},
        {"Metrics": [query("e1", expression="m1 +")]},
        {**NAMED, "Metrics": [query("m1", "Sum")]},
    ],
)
def test_what_put_metric_alarm_refuses(watched: Watched, params: dict[str, Any]) -> None:
    with pytest.raises(AwsError):
        watched.alarm("bad", **params)
    assert watched.book.everything() == []
