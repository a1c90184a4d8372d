"""The Runs page as a person meets it, on real stores."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from experiments.leaderboard import leaderboard
from experiments.records import RunStatus
from experiments.tracking import Tracker
from tests.dashboard.builders import SeedRun, seed
from tests.dashboard.conftest import OpenApp
from tests.dashboard.reading import assert_whole, words

pytestmark = pytest.mark.slow


def board(app: AppTest) -> pd.DataFrame:
    return app.dataframe[0].value


def test_no_runs_yet_names_the_demo_and_makes_no_store(open_app: OpenApp, tmp_path: Path) -> None:
    app = open_app(tmp_path)
    assert_whole(app)
    assert "No runs yet" in words(app)
    assert [block.value for block in app.code] == ["make demo"]
    assert not (tmp_path / "mlflow.db").exists()


def test_shows_the_leaderboard_of_pedigree_runs(open_app: OpenApp, seeded_home: Path) -> None:
    app = open_app(seeded_home)
    assert_whole(app)
    rows = leaderboard(Tracker(f"sqlite:///{seeded_home / 'mlflow.db'}", seeded_home).runs())
    shown = board(app)
    assert list(shown["id"]) == [row.run_id for row in rows]
    assert list(shown["rank"]) == [row.rank for row in rows]
    assert [bool(star) for star in shown["star"]] == [row.best_value for row in rows]
    for row, cost in zip(rows, shown["cost"], strict=True):
        assert (row.cost_usd is None) == bool(pd.isna(cost))
        assert row.cost_usd is None or float(row.cost_usd) == cost


def test_every_cost_says_its_basis(open_app: OpenApp, seeded_home: Path) -> None:
    app = open_app(seeded_home)
    shown = board(app)
    assert set(shown.loc[shown["cost"].notna(), "basis"]) == {"simulated"}
    money = [metric for metric in app.metric if metric.value.startswith("$")]
    assert money
    assert all("simulated" in metric.delta for metric in money)


def test_a_run_without_a_result_tells_why(open_app: OpenApp, seeded_home: Path) -> None:
    reasons = dict(zip(*(board(open_app(seeded_home))[c] for c in ("run", "reason")), strict=True))
    assert "not a number" in reasons["too-fast"]
    assert "ResourceLimitExceeded" in reasons["big-gpu"]


def test_filters_come_from_the_address(open_app: OpenApp, seeded_home: Path) -> None:
    app = open_app(seeded_home, status="succeeded", on="ec2", experiment="dogs-tuning")
    assert_whole(app)
    assert set(board(app)["run"]) == {"compute-ec2", "small-ec2", "short"}
    assert list(board(app)["rank"]) == [1, 2, 3]


def test_the_order_can_be_chosen(open_app: OpenApp, seeded_home: Path) -> None:
    app = open_app(seeded_home)
    app.selectbox(key="sort").set_value("cost").run()
    assert_whole(app)
    costs = [cost for cost in board(app)["cost"] if cost > 0]
    assert len(costs) == 10
    assert costs == sorted(costs)


def test_an_unknown_choice_in_the_address_is_passed_over(
    open_app: OpenApp, seeded_home: Path
) -> None:
    app = open_app(seeded_home, status="nonsense", sort="nonsense", compare="nonsense")
    assert_whole(app)
    assert len(board(app)) == 12


def test_no_match_can_be_cleared(open_app: OpenApp, seeded_home: Path) -> None:
    app = open_app(seeded_home, status="failed", on="ec2")
    assert "No run matches" in words(app)
    next(button for button in app.button if button.label == "Clear the filters").click().run()
    assert_whole(app)
    assert len(board(app)) == 12


def test_two_runs_side_by_side_from_the_address(open_app: OpenApp, seeded_home: Path) -> None:
    app = open_app(seeded_home, compare=["a1b2c3d4", "c3d4e5f6"])
    assert_whole(app)
    outcome, settings = app.dataframe[1].value, app.dataframe[2].value
    assert list(outcome.columns) == ["figure", "one-instance", "plain-ec2", "change"]
    assert list(outcome["figure"][:3]) == ["test/top1", "cost", "time/billable_s"]
    assert list(settings["setting"]) == ["launcher", "instance type"]
    # The scatter, a chart for each curve, phases, cost lines, and a confusion matrix of each run.
    assert len(app.get("vega_lite_chart")) == 1 + 3 + 2 + 2
    assert "Top-1 differs by" in words(app)
    assert sum(app.dataframe[3].value["photos"]) == 120
    assert set(app.dataframe[4].value["right is"]) == {"one-instance", "plain-ec2"}
    assert len(app.get("download_button")) == 2
    assert "http://127.0.0.1:5050/#/runs/" in words(app)
    assert app.query_params["compare"] == ["a1b2c3d4", "c3d4e5f6"]


def test_one_run_is_not_enough_to_compare(open_app: OpenApp, seeded_home: Path) -> None:
    app = open_app(seeded_home, compare="a1b2c3d4")
    assert_whole(app)
    assert "Choose two runs" in words(app)


def test_choosing_runs_ticks_their_rows(open_app: OpenApp, seeded_home: Path) -> None:
    app = open_app(seeded_home)
    app.multiselect(key="compare").set_value(["d4e5f607", "a1b2c3d4"]).run()
    assert_whole(app)
    rows = app.session_state["board"]["selection"]["rows"]
    assert list(board(app)["id"].iloc[list(rows)]) == ["d4e5f607", "a1b2c3d4"]


def test_the_pair_outlives_a_filter_that_hides_it(open_app: OpenApp, seeded_home: Path) -> None:
    app = open_app(seeded_home, compare=["a1b2c3d4", "c3d4e5f6"], status="failed", on="ec2")
    assert "No run matches" in words(app)
    assert "What came out differently" in words(app)


def test_a_run_under_way_alone_is_shown(open_app: OpenApp, tmp_path: Path) -> None:
    seed(tmp_path, [SeedRun(run_id="52637485", status=RunStatus.RUNNING, quality=None)])
    app = open_app(tmp_path)
    assert_whole(app)
    assert "No run shown here has both" in words(app)
    assert not app.metric


def test_a_damaged_store_is_a_message_with_a_fix(open_app: OpenApp, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"this is not a database, whatever its name says" * 100)
    app = open_app(tmp_path)
    assert not app.exception
    assert "mlflow.db cannot be read" in app.error[0].value
    assert "aside" in app.error[0].value


def test_columns_are_chosen_in_the_address(open_app: OpenApp, seeded_home: Path) -> None:
    app = open_app(seeded_home, columns=["run", "quality"])
    assert_whole(app)
    assert app.multiselect(key="columns").value == ["run", "quality"]
