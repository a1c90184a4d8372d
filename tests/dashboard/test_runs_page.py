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
    app = open_app(seeded_home, status="nonsense", sort="nonsense", run="nonsense")
    assert_whole(app)
    assert len(board(app)) == 12


def test_no_match_can_be_cleared(open_app: OpenApp, seeded_home: Path) -> None:
    app = open_app(seeded_home, status="failed", on="ec2")
    assert "No run matches" in words(app)
    next(button for button in app.button if button.label == "Clear the filters").click().run()
    assert_whole(app)
    assert len(board(app)) == 12


def test_runs_in_the_address_are_ticked_and_lead_to_their_comparison(
    open_app: OpenApp, seeded_home: Path
) -> None:
    app = open_app(seeded_home, run=["d4e5f607", "a1b2c3d4"])
    assert_whole(app)
    rows = app.session_state["board"]["selection"]["rows"]
    assert list(board(app)["id"].iloc[list(rows)]) == ["d4e5f607", "a1b2c3d4"]
    assert "**wide-head** (d4e5f607) and **one-instance** (a1b2c3d4)" in words(app)
    (link,) = [link for link in app.get("page_link") if link.proto.label == "Compare them"]
    assert link.proto.query_string == "run=d4e5f607&run=a1b2c3d4"
    assert app.query_params["run"] == ["d4e5f607", "a1b2c3d4"]


def test_one_ticked_run_asks_for_another(open_app: OpenApp, seeded_home: Path) -> None:
    app = open_app(seeded_home, run="a1b2c3d4")
    assert_whole(app)
    assert "tick another row" in words(app)


def test_the_pair_outlives_a_filter_that_hides_it(open_app: OpenApp, seeded_home: Path) -> None:
    app = open_app(seeded_home, run=["a1b2c3d4", "c3d4e5f6"], status="failed", on="ec2")
    assert "No run matches" in words(app)
    assert "**plain-ec2** (c3d4e5f6)" in words(app)


def test_quality_is_drawn_against_time_too(open_app: OpenApp, seeded_home: Path) -> None:
    app = open_app(seeded_home, against="time")
    assert_whole(app)
    (chart,) = app.get("vega_lite_chart")
    assert "billable seconds" in chart.proto.spec


def test_a_run_that_comes_later_is_seen(open_app: OpenApp, tmp_path: Path) -> None:
    seed(tmp_path, [SeedRun(run_id="a1b2c3d4")])
    assert list(board(open_app(tmp_path))["id"]) == ["a1b2c3d4"]
    seed(tmp_path, [SeedRun(run_id="b2c3d4e5")])
    app = open_app(tmp_path)
    next(button for button in app.button if button.label == "Refresh").click().run()
    assert set(board(app)["id"]) == {"a1b2c3d4", "b2c3d4e5"}


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
