"""Target tracking: by its rules, and decision for decision as localaws has it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from localaws.scaling.decision import TrackingPolicy, decide
from simulator import Settings
from simulator.scaling import Tracker, wanted_instances

NOW = 10_000.0
TARGET = 25.0


def wanted(minutes: list[float | None], current: int, **given_: object) -> int:
    facts: dict[str, object] = {"last_out_s": None, "last_in_s": None, "grows_in_cooldown": False}
    facts |= given_
    return wanted_instances(
        Settings(max_instances=6),
        minutes,
        current=current,
        now_s=NOW,
        **facts,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("minutes", "current", "expected"),
    [
        ([26.0] * 3, 1, 2),
        ([26.0, 26.0, 60.0], 1, 3),
        ([26.0, 25.0, 26.0], 1, 1),
        ([26.0] * 2, 1, 1),
        ([10.0] * 14, 3, 3),
        ([10.0] * 15, 3, 2),
        ([22.0] * 15, 2, 2),
        ([None] * 15, 3, 3),
        ([10.0, *[None] * 14], 3, 2),
    ],
)
def test_three_minutes_add_and_fifteen_take_away(
    minutes: list[float | None], current: int, expected: int
) -> None:
    assert wanted(minutes, current) == expected


def test_a_larger_step_is_taken_within_the_cooldown_if_that_is_assumed() -> None:
    high: list[float | None] = [100.0] * 3
    assert wanted(high, 1, last_out_s=NOW - 1) == 1
    assert wanted(high, 1, last_out_s=NOW - 1, grows_in_cooldown=True) == 4
    assert wanted([26.0] * 3, 4, last_out_s=NOW - 1, grows_in_cooldown=True) == 5


def test_what_was_measured_before_a_change_decides_nothing() -> None:
    tracker = Tracker(Settings(), delay_minutes=1, grows_in_cooldown=True)
    for _ in range(4):
        tracker.note_minute(60.0)
    assert tracker.wanted(1, 240.0) == 3
    tracker.note_change(grew=True, now_s=400.0)
    tracker.note_minute(60.0)
    assert tracker.wanted(2, 420.0) == 2
    assert tracker.wanted(2, 480.0) == 3


points = st.none() | st.floats(0, 200) | st.sampled_from([22.5, 25.0, 24.999, 25.001])
times = st.none() | st.floats(NOW - 700, NOW)


@examples(max_examples=400, deadline=None)
@example(
    minutes=[50.0] * 15, current=2, last_out=NOW - 30, last_in=None, bounds=(1, 3), cool=(30, 300)
)
@given(
    minutes=st.lists(points, max_size=20),
    current=st.integers(0, 9),
    last_out=times,
    last_in=times,
    bounds=st.tuples(st.integers(1, 4), st.integers(0, 4)).map(lambda b: (b[0], b[0] + b[1])),
    cool=st.tuples(st.sampled_from([0, 30, 300]), st.sampled_from([0, 30, 300])),
)
def test_it_decides_as_localaws_does(
    minutes: list[float | None],
    current: int,
    last_out: float | None,
    last_in: float | None,
    bounds: tuple[int, int],
    cool: tuple[int, int],
) -> None:
    """Where both take no larger step within a cooldown, and the alarms see each minute at once."""
    theirs = decide(
        TrackingPolicy(
            target_value=TARGET,
            min_capacity=bounds[0],
            max_capacity=bounds[1],
            scale_out_cooldown_s=cool[0],
            scale_in_cooldown_s=cool[1],
        ),
        minutes,
        current=current,
        last_out=last_out,
        last_in=last_in,
        now=NOW,
    )
    settings = Settings(
        min_instances=bounds[0],
        max_instances=bounds[1],
        scale_out_cooldown_s=cool[0],
        scale_in_cooldown_s=cool[1],
        target_per_minute=TARGET,
    )
    ours = wanted_instances(
        settings,
        minutes,
        current=current,
        last_out_s=last_out,
        last_in_s=last_in,
        now_s=NOW,
        grows_in_cooldown=False,
    )
    assert ours == (current if theirs is None else theirs.desired)
