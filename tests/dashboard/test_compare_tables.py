"""The tables behind the detail of two compared runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dashboard.compare import charts
from dashboard.compare.tables import (
    bill_lines,
    by_class,
    confusions,
    disagreements,
    phases,
    reliability_bins,
)
from experiments.comparison import BillLine, Side
from experiments.intervals import Answer
from experiments.records import RunRecord, RunStatus

TITLES = ("one", "two")


def side(said: dict[str, tuple[str, str]], **metrics: float) -> Side:
    record = RunRecord(
        run_id="a1", tracker_run_id="t1", name="one", experiment="dogs",
        status=RunStatus.SUCCEEDED, launcher="ec2", instance_type="c5.large", hosts=1,
        metrics={f"time/{name}": value for name, value in metrics.items()},
    )  # fmt: skip
    answers = {path: Answer(label=label, predicted=p) for path, (label, p) in said.items()}
    line = BillLine(item="host", quantity="1", unit="h", price_usd="1", price_date="", usd="0.5",
                    basis="simulated")  # fmt: skip
    return Side(record=record, answers=answers, bill=(line,))


FIRST = side({"a/1": ("a", "a"), "a/2": ("a", "b"), "b/1": ("b", "b"), "only": ("b", "a")})
SECOND = side({"a/1": ("a", "a"), "a/2": ("a", "a"), "b/1": ("b", "a")})


def test_photos_that_only_one_gets_right() -> None:
    rows = disagreements(FIRST, SECOND, TITLES).to_numpy().tolist()
    assert rows == [["a/2", "a", "b", "a", "two"], ["b/1", "b", "b", "a", "one"]]


def test_a_photo_that_one_run_has_not_seen_counts_for_neither() -> None:
    frame = by_class(FIRST, SECOND, TITLES)
    assert dict(zip(frame["class"], frame["photos"], strict=True)) == {"a": 2, "b": 1}
    assert list(frame["class"]) == ["b", "a"]  # the larger difference first
    assert list(frame["difference"]) == [-1.0, 0.5]


def test_confusions_keep_what_is_mixed_up() -> None:
    frame = confusions(FIRST.answers, 12)
    counts = {(row["is"], row["said"]): row["photos"] for _, row in frame.iterrows()}
    assert counts == {("a", "a"): 1, ("a", "b"): 1, ("b", "a"): 1, ("b", "b"): 1}
    assert confusions({"x": Answer(label="a", predicted="a")}, 12).empty


def test_phases_follow_each_other_and_the_whole_is_no_phase() -> None:
    timed = side({}, head_s=2.5, scan_s=1.0, total_s=4.0, decode_s=0.3, billable_s=10.0)
    frame = phases([timed, SECOND], TITLES)
    assert frame[["phase", "start", "end"]].to_numpy().tolist() == [
        ["start-up", 0.0, 6.0],
        ["scan", 6.0, 7.0],
        ["head", 7.0, 9.5],
        ["other", 9.5, 10.0],
    ]
    drawn = charts.waterfall(frame, TITLES).to_dict()["encoding"]
    assert drawn["x2"]["field"] == "end"
    assert drawn["y"]["sort"] == ["start-up", "scan", "head", "other"]


def test_probabilities_are_held_against_what_was_right() -> None:
    sure = {
        "a/1": Answer(label="a", predicted="a", probability=0.9),
        "a/2": Answer(label="a", predicted="b", probability=0.91),
    }
    frame = reliability_bins([replace(FIRST, answers=sure), SECOND], TITLES)
    assert list(frame["run"]) == ["one"]  # the second has no probabilities
    assert frame[["probability", "right", "photos"]].to_numpy().tolist() == [
        [pytest.approx(0.905), 0.5, 2]
    ]
    layers = charts.reliability(frame, "one").to_dict()["layer"]
    assert [layer["mark"]["type"] for layer in layers] == ["line", "rule", "circle"]


def test_every_cost_line_says_whose_it_is() -> None:
    frame = bill_lines([FIRST, SECOND], TITLES)
    assert list(frame["run"]) == ["one", "two"]
    assert frame["usd"].sum() == pytest.approx(1.0)
