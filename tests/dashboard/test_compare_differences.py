"""Two runs beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dashboard.compare import charts
from dashboard.compare.differences import compare, figures, labels
from experiments.leaderboard import differences
from experiments.records import Basis
from tests.dashboard.test_runs_view import record

ONE = record(1, 0.90, "0.20", params={"train/epochs": "10", "data/digest": "sha256:" + "a" * 64})
TWO = record(2, 0.95, "0.50", params={"train/epochs": "20", "data/digest": "sha256:" + "b" * 64})


def cells() -> dict[str, list[str]]:
    found = compare(ONE, TWO)
    frames = (found.outcome, found.settings)
    return {row[0]: list(row[1:]) for frame in frames for row in frame.itertuples(index=False)}


def test_figures_are_written_for_people_with_their_change() -> None:
    found = cells()
    assert found["test/top1"] == ["90.0%", "95.0%", "+5.0 points"]
    assert found["cost"] == ["$0.2000 simulated", "$0.5000 simulated", "+$0.3000"]


def test_quality_and_cost_come_first() -> None:
    assert list(compare(ONE, TWO).outcome["figure"][:2]) == ["test/top1", "cost"]


def test_settings_are_apart_and_digests_short() -> None:
    found = cells()
    assert found["train/epochs"] == ["10", "20"]
    assert found["data/digest"] == ["sha256:aaaaaaaaaaaa…", "sha256:bbbbbbbbbbbb…"]


def test_costs_of_different_basis_have_no_change() -> None:
    billed = replace(TWO, cost_basis=Basis.BILLED)
    outcome = compare(ONE, billed).outcome
    assert list(outcome.loc[outcome["figure"] == "cost", "change"]) == ["–"]


def test_the_three_figures_stand_first_each_with_its_change() -> None:
    told = {tile.label: (tile.value, tile.detail) for tile in figures(ONE, TWO)}
    assert told["Quality"] == ("90.0% · 95.0%", "name2: +5.0 points")
    assert told["Cost"] == ("$0.2000 · $0.5000", "simulated · name2: +$0.3000")
    billed = figures(ONE, replace(TWO, cost_basis=Basis.BILLED))
    assert billed[1].value == "$0.2000 simulated · $0.5000 billed"
    assert billed[1].detail == "no difference can be told"


def test_the_same_run_differs_in_nothing() -> None:
    found = compare(ONE, ONE)
    assert found.outcome.empty
    assert found.settings.empty
    assert found.same == differences(ONE, ONE)[1]


def test_runs_of_one_name_are_told_apart_by_id() -> None:
    twin = replace(TWO, name=ONE.name)
    assert labels([ONE, twin]) == ["name1 run1", "name1 run2"]
    assert list(compare(ONE, twin).outcome.columns) == [
        "figure",
        "name1 run1",
        "name1 run2",
        "change",
    ]


def test_curves_are_told_apart_by_more_than_colour() -> None:
    curves: dict[str, dict[str, Sequence[tuple[int, float]]]] = {
        "run1": {"valid/top1": ((1, 0.5), (2, 0.9))},
        "run2": {"valid/top1": ((1, 0.6),)},
    }
    data = charts.curve_points([ONE, TWO], ["name1", "name2"], curves)
    assert list(data["epoch"]) == [1, 2, 1]
    encoding = charts.learning_curve(data, "valid/top1", ["name1", "name2"]).to_dict()["encoding"]
    dashes = encoding["strokeDash"]["scale"]["range"]
    assert dashes[0] != dashes[1]
    assert encoding["color"]["field"] == encoding["strokeDash"]["field"] == "run"
