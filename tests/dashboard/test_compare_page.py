"""The Compare page as a person meets it, in each of its states."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from experiments.records import RunStatus
from tests.dashboard.builders import SeedRun, seed
from tests.dashboard.conftest import COMPARE, OpenApp
from tests.dashboard.reading import assert_whole, words

pytestmark = pytest.mark.slow


def test_two_runs_side_by_side_from_the_address(open_app: OpenApp, seeded_home: Path) -> None:
    app = open_app(seeded_home, COMPARE, run=["a1b2c3d4", "c3d4e5f6"])
    assert_whole(app)
    outcome, settings, classes, photos = (table.value for table in app.dataframe)
    assert list(outcome.columns) == ["figure", "one-instance", "plain-ec2", "change"]
    assert list(outcome["figure"][:3]) == ["test/top1", "cost", "time/billable_s"]
    assert list(settings["setting"]) == ["launcher", "instance type"]
    # A chart for each curve, phases, cost lines, a confusion matrix and a reliability diagram of each.
    assert len(app.get("vega_lite_chart")) == 3 + 2 + 2 + 2
    assert "Top-1 differs by" in words(app)
    assert sum(classes["photos"]) == 120
    assert set(photos["right is"]) == {"one-instance", "plain-ec2"}
    # Outcome, settings, curves, phases, cost lines, classes, reliability, photos.
    assert len(app.get("download_button")) == 8
    assert "http://127.0.0.1:5050/#/runs/" in words(app)
    assert not app.get("image")  # the photos themselves are not on this machine
    assert app.query_params["run"] == ["a1b2c3d4", "c3d4e5f6"]
    assert [metric.label for metric in app.metric] == ["Quality", "Cost", "Billable time"]


def test_a_link_to_one_run_or_none_asks_for_two(open_app: OpenApp, seeded_home: Path) -> None:
    for named in (["a1b2c3d4"], ["nonsense"], []):
        app = open_app(seeded_home, COMPARE, run=named)
        assert_whole(app)
        assert "Choose two runs" in app.info[0].value


def test_runs_are_chosen_by_name_and_stay_in_the_address(
    open_app: OpenApp, seeded_home: Path
) -> None:
    app = open_app(seeded_home, COMPARE)
    app.multiselect(key="compare").set_value(["d4e5f607", "a1b2c3d4"]).run()
    assert_whole(app)
    assert app.query_params["run"] == ["d4e5f607", "a1b2c3d4"]
    assert "What differs" in words(app)


def test_the_pair_goes_along_to_runs_and_back(open_app: OpenApp, seeded_home: Path) -> None:
    app = open_app(seeded_home, COMPARE, run=["a1b2c3d4", "c3d4e5f6"])
    app.switch_page("runs/page.py").run()
    assert "**plain-ec2** (c3d4e5f6)" in words(app)
    app.switch_page(COMPARE).run()
    assert "What differs" in words(app)


def test_runs_without_a_result_are_compared_by_what_they_have(
    open_app: OpenApp, seeded_home: Path
) -> None:
    app = open_app(seeded_home, COMPARE, run=["30415263", "41526374"])
    assert_whole(app)
    assert "Neither run reported values" in words(app)
    assert "no common test photos" in words(app).lower()


def test_one_run_is_not_enough(open_app: OpenApp, tmp_path: Path) -> None:
    seed(tmp_path, [SeedRun(run_id="52637485", status=RunStatus.RUNNING, quality=None)])
    app = open_app(tmp_path, COMPARE)
    assert_whole(app)
    assert "Two runs are needed" in words(app)


def test_photos_are_shown_where_they_still_are(open_app: OpenApp, tmp_path: Path) -> None:
    seed(tmp_path, [SeedRun(run_id=run_id, quality=0.6) for run_id in ("a1b2c3d4", "c3d4e5f6")])
    folder = tmp_path / ".pedigree" / "demo-data" / "test"
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), "brown").save(picture, "JPEG")
    for number in range(120):
        (folder / f"breed_{number % 6}").mkdir(parents=True, exist_ok=True)
        # Every other one is damaged and passed over.
        data = b"no photo" if number % 12 < 6 else picture.getvalue()
        (folder / f"breed_{number % 6}" / f"{number}.jpg").write_bytes(data)
    app = open_app(tmp_path, COMPARE, run=["a1b2c3d4", "c3d4e5f6"])
    assert_whole(app)
    assert 1 < len(app.get("image")) < 12
