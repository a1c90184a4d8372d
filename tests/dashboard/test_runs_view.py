"""Rows, tiles, table and chart data from records."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.charts import dressed
from dashboard.compare.chosen import next_pair
from dashboard.runs import charts
from dashboard.runs.view import (
    AGAINST,
    Filters,
    answer,
    board,
    choices,
    drawn_of,
    table,
    tiles,
    written,
)
from experiments.leaderboard import leaderboard, pareto_front
from experiments.records import Basis, RunRecord, RunStatus
from tests.dashboard.builders import NOW


def record(number: int, quality: float | None, usd: str | None, **other: object) -> RunRecord:
    """A settled run with these figures."""
    base = RunRecord(
        run_id=f"run{number}",
        tracker_run_id=f"t{number}",
        name=f"name{number}",
        experiment="dogs",
        status=RunStatus.SUCCEEDED if quality is not None else RunStatus.FAILED,
        launcher="sagemaker",
        instance_type="ml.m5.large",
        hosts=1,
        metrics={} if quality is None else {"test/top1": quality},
        billable_s=10.0 * number,
        cost_usd=None if usd is None else Decimal(usd),
        cost_basis=None if usd is None else Basis.SIMULATED,
        started_at=NOW + timedelta(minutes=number),
    )
    return replace(base, **other)  # type: ignore[arg-type]


RUNS = [
    record(1, 0.90, "0.20"),
    record(2, 0.95, "0.50"),
    record(3, 0.85, "0.30", launcher="ec2", experiment="cats"),
    record(4, None, "0.01"),
    record(5, 0.97, "2.00", cost_basis=Basis.BILLED),
    record(6, None, None, status=RunStatus.RUNNING, billable_s=None),
]


def test_no_filter_shows_all_in_the_order_of_the_leaderboard() -> None:
    assert list(board(RUNS, Filters()).rows) == leaderboard(RUNS)


@given(st.randoms(use_true_random=False), st.sampled_from(["quality", "cost", "time", "newest"]))
def test_an_order_loses_no_run(chance: random.Random, order: str) -> None:
    shuffled = chance.sample(RUNS, len(RUNS))
    shown = board(shuffled, Filters(), order)
    assert sorted(shown.ids) == sorted(record.run_id for record in RUNS)
    assert [r.run_id for r in shown.records] == shown.ids


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ("cost", ["run4", "run1", "run3", "run2", "run5", "run6"]),
        ("time", ["run1", "run2", "run3", "run4", "run5", "run6"]),
        ("newest", ["run6", "run5", "run4", "run3", "run2", "run1"]),
    ],
)
def test_orders(order: str, ids: list[str]) -> None:
    assert board(RUNS, Filters(), order).ids == ids


def test_a_run_that_cost_nothing_is_not_the_cheapest() -> None:
    refused = record(7, None, "0", status=RunStatus.REFUSED, billable_s=0.0)
    assert board([refused, *RUNS], Filters(), "cost").ids[-2:] == ["run7", "run6"]


def test_filters_narrow_and_rank_anew() -> None:
    shown = board(RUNS, Filters(launchers=("ec2",), statuses=("succeeded",)))
    assert [(row.rank, row.run_id) for row in shown.rows] == [(1, "run3")]
    assert not board(RUNS, Filters(experiments=("cats",), statuses=("failed",))).rows


def test_choices_are_what_there_is() -> None:
    there = choices(RUNS)
    assert there.experiments == ("cats", "dogs")
    assert there.statuses == ("running", "succeeded", "failed")
    assert there.launchers == ("ec2", "sagemaker")


def test_costs_of_different_basis_are_never_added() -> None:
    together = [t for t in tiles(board(RUNS, Filters())) if t.label == "All together"]
    assert [(t.value, t.detail) for t in together] == [
        ("$2.00", "billed · 1 run"),
        ("$1.01", "simulated · 4 runs"),
    ]


def test_tiles_name_the_run_behind_each_figure() -> None:
    found = {(t.label, t.value): t.detail for t in tiles(board(RUNS[:4], Filters()))}
    assert found["Best quality", "95.0%"] == "name2"
    assert found["Cheapest with a ★", "$0.2000"] == "simulated · name1, 90.0%"
    assert found["Shortest", "10.0 s"] == "name1, 90.0%"


def test_nothing_is_told_without_figures() -> None:
    assert tiles(board([RUNS[5]], Filters())) == []
    assert answer(board([RUNS[5]], Filters())) == ""


def test_the_answer_names_the_best_and_the_cheapest_of_the_front() -> None:
    assert answer(board(RUNS[:4], Filters())) == (
        "**name2** is the best, 95.0% for \\$0.5000 simulated; **name1** the cheapest that no other"
        " beats, 90.0% for \\$0.2000 simulated."
    )
    assert answer(board([RUNS[1]], Filters())).startswith("**name2** is the best, 95.0% for ")


def test_the_table_keeps_numbers_and_writes_them_for_people() -> None:
    frame = table(board(RUNS, Filters()))
    assert frame["cost"].max() == 2.0
    page = written(frame).to_html()
    for text in ("$0.5000", "$2.00", "95.0%", "20.0 s", "–"):
        assert text in page


def test_a_column_of_reasons_only_where_there_are_some() -> None:
    assert "reason" not in table(board(RUNS, Filters()))
    broken = record(8, None, "0.1", reason="out of memory")
    assert list(table(board([*RUNS, broken], Filters()))["reason"]).count("out of memory") == 1


@given(st.lists(st.sampled_from("abcd"), unique=True, max_size=2), st.sets(st.sampled_from("abcd")))
def test_next_pair_keeps_what_is_ticked(chosen: list[str], ticked: set[str]) -> None:
    pair = next_pair(chosen, sorted(ticked))
    assert len(pair) == min(2, len(ticked))
    assert set(pair) <= ticked
    new = [name for name in sorted(ticked) if name not in chosen]
    assert not new or new[-1] in pair


def test_points_hold_one_basis_and_only_runs_with_all_figures() -> None:
    rows = board(RUNS, Filters()).rows
    front = pareto_front(RUNS)
    assert list(charts.points(rows, "billed", front)["id"]) == ["run5"]
    simulated = charts.points(rows, "simulated", front)
    assert list(simulated["id"]) == ["run2", "run1", "run3"]
    assert list(simulated["front"]) == [True, True, False]


def test_the_front_in_time_is_another_than_in_cost() -> None:
    dear = record(8, 0.96, "9.00", billable_s=5.0)
    assert "run8" in pareto_front([*RUNS, dear])
    assert pareto_front([*RUNS[:3], dear]) == {"run1", "run2", "run8"}
    assert pareto_front([*RUNS[:3], dear], in_time=True) == {"run8"}


def test_of_very_many_runs_the_whole_front_is_drawn() -> None:
    many = [record(n, 0.5 + n / 10_000, f"{n}.00", name="many") for n in range(1, 2501)]
    odd = record(9999, 0.9999, "0.50")
    shown = board([*many, odd], Filters())
    data = charts.points(shown.rows, "simulated", pareto_front(shown.records))
    assert len(data) <= 1000
    assert set(data.loc[data["front"], "id"]) == {"run9999"}
    assert "2,501 runs" in drawn_of(shown)
    assert drawn_of(board(RUNS, Filters())) == ""


def test_no_points_no_chart() -> None:
    for against in AGAINST:
        shown = board([RUNS[3]], Filters())
        assert charts.quality_against(shown, "simulated", against) is None


@pytest.mark.parametrize(("against", "size"), [("cost", "time"), ("time", "cost")])
def test_the_chart_draws_every_point_and_the_front_as_steps(against: str, size: str) -> None:
    drawn = charts.quality_against(board(RUNS, Filters()), "simulated", against).to_dict()
    line, dots, names = drawn["layer"]
    assert line["mark"]["interpolate"] == "step-after"
    assert line["transform"] == names["transform"] == [{"filter": "datum.front"}]
    assert dots["encoding"]["shape"]["field"] == dots["encoding"]["color"]["field"] == "launcher"
    assert (dots["encoding"]["x"]["field"], dots["encoding"]["size"]["field"]) == (against, size)
    (data,) = drawn["datasets"].values()
    assert len(data) == 3


def test_axis_text_can_be_read_on_both_themes() -> None:
    chart = charts.quality_against(board(RUNS, Filters()), "simulated", "cost")
    inks = {t: dressed(chart, t).to_dict()["config"]["axis"]["labelColor"] for t in PAPER}
    for theme, ink in inks.items():
        assert contrast(ink, PAPER[theme]) >= 4.5


PAPER = {"light": "#fcfbf8", "dark": "#15191d"}


def contrast(one: str, two: str) -> float:
    """The contrast ratio of WCAG 2.2 (w3.org/TR/WCAG22/#dfn-contrast-ratio)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)
