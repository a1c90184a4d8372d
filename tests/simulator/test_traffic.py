"""Arrivals: how many, when, and what was recorded."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.errors import DataError, SpecError
from simulator.profile_text import parse_duration, parse_rate, parse_traffic
from simulator.recorded import parse_recorded
from simulator.traffic import DAY_S, Trace, bursts, constant, daily, little

RNG = np.random.default_rng


@settings(max_examples=60, deadline=None)
@given(
    start=st.floats(0, 3 * DAY_S),
    length=st.floats(1, DAY_S),
    traffic=st.sampled_from(
        [
            constant(0.5),
            daily(0.2, 0.4),
            bursts(0.1, 2.0, length_s=60, every_s=7000),
            little(),
            Trace(text="t", times_s=(0.0, 5.5, 59.9), period_s=60.0),
        ]
    ),
    seed=st.integers(0, 99),
)
def test_arrivals_lie_in_order_within_the_time_asked_about(
    start: float, length: float, traffic: Trace, seed: int
) -> None:
    times = traffic.arrivals(start, start + length, RNG(seed))
    assert (np.diff(times) >= 0).all()
    assert times.size == 0 or (start <= times[0] and times[-1] < start + length)
    expected = traffic.expected(start, start + length)
    assert abs(times.size - expected) <= 6 * np.sqrt(expected) + 6


def test_hours_one_by_one_have_as_many_as_the_whole_day() -> None:
    traffic = daily(1.0, 2.0)
    hours = sum(traffic.expected(3600 * h, 3600 * (h + 1)) for h in range(24))
    assert hours == pytest.approx(traffic.expected(0, DAY_S)) == pytest.approx(DAY_S, rel=1e-6)
    assert traffic.expected(14 * 3600, 14 * 3600 + 60) == pytest.approx(120, rel=0.01)


def test_a_trace_is_repeated_as_it_was() -> None:
    trace = Trace(text="t", times_s=(1.0, 30.0), period_s=60.0)
    assert trace.arrivals(0, 180, RNG(0)).tolist() == [1, 30, 61, 90, 121, 150]
    assert trace.arrivals(30, 62, RNG(0)).tolist() == [30, 61]


@pytest.mark.parametrize(
    ("text", "per_day"),
    [
        ("little", 480 + 540),
        ("constant:10/s", 864_000),
        ("constant:1/day + constant:2/h", 49),
        ("daily:mean=20/h,peak=40/h,at=9h", 480),
        ("bursts:base=1/min,burst=1/s,for=2min,every=6h", 1440 - 8 + 480),
    ],
)
def test_a_profile_in_words(text: str, per_day: float) -> None:
    traffic = parse_traffic(text)
    assert traffic.expected(0, DAY_S) == pytest.approx(per_day, rel=1e-6)
    assert traffic.text


@pytest.mark.parametrize(
    "text",
    ["", "heavy", "constant", "constant:ten", "constant:10", "daily:mean=1/s", "constant:-1/s",
     "daily:mean=1/s,peak=3/s", "bursts:burst=1/s,for=2h,every=1h", "constant:1/s,x=2/s",
     "bursts:burst", "constant:1000000/s"],
)  # fmt: skip
def test_what_is_no_profile_is_refused_with_a_form(text: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse_traffic(text)
    assert refused.value.fix


def test_rates_and_durations() -> None:
    assert parse_rate("90/min") == 1.5
    assert parse_duration("1.5h") == 5400


CAPTURED = [
    json.dumps({"captureData": {}, "eventMetadata": {"eventId": "a", "inferenceTime": moment}})
    for moment in ("2026-11-01T10:00:00Z", "2026-11-01T10:00:30Z", "2026-11-01T10:02:10Z")
]
DATAPOINTS = {
    "Label": "Invocations",
    "Datapoints": [
        {"Timestamp": "2026-11-01T10:02:00+00:00", "Sum": 30.0, "Unit": "None"},
        {"Timestamp": "2026-11-01T10:00:00+00:00", "Sum": 60.0, "Unit": "None"},
    ],
}
RESULTS = {
    "MetricDataResults": [
        {
            "Id": "m",
            "Timestamps": ["2026-11-01T10:01:00Z", "2026-11-01T10:00:00Z"],
            "Values": [5.0, 7.0],
        }
    ]
}


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("time\n1700000000\n1700000001.5\n1700000099\n", [2, 1]),
        ("1700000000000\n1700000001500\n", [2]),
        ("2026-11-01T10:00:00Z\n2026-11-01T10:05:00+00:00\n", [1, 0, 0, 0, 0, 1]),
        ("timestamp,count\n2026-11-01T10:00:00,6\n2026-11-01T10:01:00,9\n", [6, 9]),
        ("\n".join(CAPTURED), [2, 0, 1]),
        (json.dumps(DATAPOINTS), [60, 30]),
        (json.dumps(RESULTS), [7, 5]),
    ],
)
def test_recorded_traffic(text: str, minutes: list[float]) -> None:
    traffic = parse_recorded(text, name="recorded")
    if json.dumps(DATAPOINTS) == text:  # its bins are two minutes apart
        minutes = [30, 30, 15, 15]
    found = [traffic.expected(60 * m, 60 * (m + 1)) for m in range(len(minutes))]
    assert found == pytest.approx(minutes)


@pytest.mark.parametrize(
    "text",
    ["", "time\n", "time\nyesterday\n", "1,2\n3\n", "1,x\n", "1,-4\n", "{", '{"Datapoints": [{}]}',
     '{"MetricDataResults": []}', '{"eventMetadata": {}}', '{"eventMetadata": 3}', "1\nnan\n",
     "1,2\n2,3\n3.5,1\n"],
)  # fmt: skip
def test_what_was_not_recorded_is_refused_with_a_form(text: str) -> None:
    with pytest.raises(DataError) as refused:
        parse_recorded(text, name="recorded")
    assert refused.value.fix


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_recorded(text, name="any")
    except (DataError, SpecError) as error:
        assert error.fix
