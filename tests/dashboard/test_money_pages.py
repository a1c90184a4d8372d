"""Overview, Costs and Simulate as a person meets them, in each of their states."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from experiments.budgets import write_month_budget
from experiments.ledger.periods import spend_by
from experiments.tracking import Tracker
from experiments.tracking.sql import board
from tests.dashboard.conftest import COSTS, OVERVIEW, SIMULATE, OpenApp
from tests.dashboard.reading import assert_whole, words

pytestmark = pytest.mark.slow


def test_overview_without_anything_names_the_ways_in(open_app: OpenApp, tmp_path: Path) -> None:
    app = open_app(tmp_path, OVERVIEW)
    assert not app.exception
    assert "not running" in app.error[0].value
    assert "No runs yet" in words(app)
    assert not (tmp_path / "mlflow.db").exists()


def test_overview_shows_runs_though_the_cloud_is_down(open_app: OpenApp, seeded_home: Path) -> None:
    app = open_app(seeded_home, OVERVIEW)
    assert not app.exception
    assert len(app.error) == 1
    assert list(app.dataframe[0].value["run"])[:2] == ["again", "big-gpu"]


def test_costs_of_nothing(open_app: OpenApp, tmp_path: Path) -> None:
    app = open_app(tmp_path, COSTS)
    assert_whole(app)
    assert "Nothing was spent yet" in words(app)


@pytest.mark.parametrize("by", ["day", "experiment", "run", "kind"])
def test_costs_are_the_ledgers_sums(open_app: OpenApp, seeded_home: Path, by: str) -> None:
    app = open_app(seeded_home, COSTS, by=by)
    assert_whole(app)
    records = board(Tracker(f"sqlite:///{seeded_home / 'mlflow.db'}", seeded_home))
    sums = spend_by(records, by)  # type: ignore[arg-type]
    shown = app.dataframe[0].value
    assert list(shown[by]) == [s.heading for s in sums]
    assert list(shown["usd"]) == [float(s.usd) for s in sums]
    assert set(shown["basis"]) == {"simulated"}
    assert len(app.get("download_button")) == 1


def test_costs_name_the_limit_and_that_no_bill_was_read(
    open_app: OpenApp, seeded_home: Path
) -> None:
    setting = seeded_home / ".pedigree" / "budget.json"
    write_month_budget(setting, Decimal(50))
    try:
        app = open_app(seeded_home, COSTS)
    finally:
        write_month_budget(setting, None)
    assert "$50" in next(metric.value for metric in app.metric if "Limit" in metric.label)
    assert "No bill of this month" in words(app)


def test_nothing_is_simulated_before_it_is_asked(open_app: OpenApp, tmp_path: Path) -> None:
    app = open_app(tmp_path, SIMULATE)
    assert_whole(app)
    assert "press Simulate" in words(app)
    assert not app.dataframe


def test_settings_are_simulated_and_priced(open_app: OpenApp, tmp_path: Path) -> None:
    app = open_app(tmp_path, SIMULATE)
    next(b for b in app.button if b.label == "Simulate").click().run()
    assert_whole(app)
    assert "p99 of the answered" in list(app.dataframe[0].value["figure"])
    assert app.dataframe[1].value["component"].iloc[-1] == "in sum"
    assert len(app.get("vega_lite_chart")) == 4


def test_settings_that_cannot_be_are_a_card(open_app: OpenApp, tmp_path: Path) -> None:
    app = open_app(tmp_path, SIMULATE)
    app.text_input[0].set_value("torrents")
    next(b for b in app.button if b.label == "Simulate").click().run()
    assert not app.exception
    assert len(app.error) == 1
