from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from experiments.events import (
    MetricPoint,
    environment,
    failure_message,
    metric_points,
    parse_line,
    read_events,
    warnings_in,
)
from tests.experiments.build import event, metric, told

HEAD = {"v": 1, "event": "metric", "t": 1.0, "host": "algo-1", "seq": 1}


def line(**changes: Any) -> str:
    return json.dumps({**HEAD, "name": "a", "value": 1.0, **changes})


def test_a_line_is_read() -> None:
    found = parse_line(metric("test/top1", 0.9, 6, step=2))
    assert found is not None
    assert (found.kind, found.host, found.seq) == ("metric", "algo-1", 6)
    assert metric_points([found]) == [
        MetricPoint(name="test/top1", value=0.9, step=2, t_ms=1_793_000_006_000)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Epoch 1: loss 0.3",
        '{"event": "metric"',
        line(v=2),
        line(event="something"),
        line(event=["metric"]),
        line(t="soon"),
        line(t=math.inf),
        line(t=math.nan),
        line(t=-1),
        line(t=10**400),
        line(seq=None),
        '["event"]',
        '{"v":1,"event":"metric","t":1,"host":"a","seq":1e999}',
        '{"event":' + "[" * 100_000,
        line(name="x" * 300_000),
    ],
    ids=lambda text: text[:40],
)
def test_anything_else_is_just_text(text: str) -> None:
    assert parse_line(text) is None


ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    ATOMS, lambda s: st.lists(s, max_size=3) | st.dictionaries(st.text(), s, max_size=3)
)
KEYS = st.sampled_from(["v", "event", "t", "host", "seq", "name", "value", "step", "state"])
NEAR_EVENTS = st.dictionaries(KEYS, JSON | st.sampled_from([1, "metric", "phase"])).map(
    lambda changes: json.dumps({**HEAD, **changes})
)


@given(st.text() | NEAR_EVENTS | NEAR_EVENTS.map(lambda text: text[:-3]))
@example('{"v":1,"event":"metric","t":1,"host":"a","seq":1,"name":"a","value":1e999,"step":1e999}')
def test_no_line_breaks_the_reader(text: str) -> None:
    parse_line(text)
    events = read_events([text])
    metric_points(events)
    failure_message(events)
    warnings_in(events)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "a/../b"},
        {"name": "a\n"},
        {"name": "x" * 251},
        {"value": math.nan},
        {"value": math.inf},
        {"value": None},
        {"step": 2**63},
        {"step": "first"},
    ],
)
def test_what_a_tracker_cannot_hold_is_no_point(changes: dict[str, Any]) -> None:
    assert metric_points(read_events([line(**changes)])) == []


POINTS = st.tuples(
    st.sampled_from(["valid/top1", "train/loss"]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(0, 50),
)


@given(st.lists(POINTS, max_size=30), st.integers(0, 30), st.randoms(use_true_random=False))
def test_a_replay_gives_the_same_points(
    values: list[tuple[str, float, int]], cut: int, chance: Any
) -> None:
    lines = [metric(name, value, at, step=step) for at, (name, value, step) in enumerate(values)]
    whole = metric_points(read_events(lines))
    assert len(whole) == len(values)
    assert metric_points(read_events(lines + lines[:cut])) == whole
    parts = metric_points(read_events(lines[:cut])) + metric_points(read_events(lines[cut:]))
    assert parts == whole
    shuffled = list(lines)
    chance.shuffle(shuffled)
    assert metric_points(read_events(shuffled)) == whole


def test_hosts_are_told_apart() -> None:
    lines = [line(seq=1), line(seq=1, host="algo-2"), line(seq=1)]
    assert [found.host for found in read_events(lines)] == ["algo-1", "algo-2"]


def test_the_program_s_own_words() -> None:
    events = read_events(told(status="failed", message="no photo of class 'pug'"))
    assert failure_message(events) == "no photo of class 'pug'"
    assert failure_message(read_events(told())) == ""
    ends = [("stopped", "a"), ("failed", "b"), ("failed", "c")]
    went_on = [
        line(event="result", seq=at, t=at, status=status, message=text)
        for at, (status, text) in enumerate(ends, 1)
    ]
    assert failure_message(read_events(went_on)) == "b"
    assert failure_message(read_events(went_on[:1])) == "a"


def test_warnings_are_told_once_each_on_one_line_and_never_more_than_a_tag_holds() -> None:
    texts = ["mind the gap", "mind\nthe gap", "", "x" * 3980, "y" * 3000, "short"]
    events = read_events(event("warning", at, message=text) for at, text in enumerate(texts, 1))
    assert warnings_in(events) == ("mind the gap", "x" * 3980, "short")
    assert warnings_in(events[:1], ["told before"]) == ("told before", "mind the gap")
    many = read_events(event("warning", at, message=f"warning {at}") for at in range(1, 40))
    assert len(warnings_in(many)) == 20


def test_the_environment_is_what_the_leading_host_named() -> None:
    values = {"python": "3.11.7", "torch": "2.14.1", "epochs": "30", "train_photos": 480}
    events = read_events([event("params", 1, values=values), event("params", 2, values="odd")])
    assert environment(events) == {
        "env/python": "3.11.7",
        "env/torch": "2.14.1",
        "env/train_photos": "480",
    }
