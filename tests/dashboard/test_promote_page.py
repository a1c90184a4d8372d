"""Promote as a person meets it: what can go live, and the way back, on a real localaws."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.overview.traffic import read_traffic
from deployment.invoke import invoke
from deployment.settings import ServingSettings
from deployment.store import ReleaseStore
from experiments.aws import Boto3Cloud
from experiments.prices import latest_book
from tests.dashboard.builders import seed, three_ways
from tests.dashboard.conftest import OVERVIEW, PROMOTE, OpenApp
from tests.dashboard.live_world import FIRST, cloud_of, draw_photos, make_live
from tests.dashboard.reading import assert_whole, words
from tests.dashboard.test_under_way import ended

pytestmark = pytest.mark.slow
SECOND = "r-20261121-5eed5eed"
SETTINGS = ServingSettings(app="dogs", max_instances=4)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Boto3Cloud]]:
    """A home with three runs and two releases, the second one live."""
    home = tmp_path_factory.mktemp("promote")
    seed(home, three_ways())
    draw_photos(home)
    with cloud_of(home, speed=200) as cloud:
        make_live(cloud, home, ServingSettings(app="dogs"))
        make_live(cloud, home, SETTINGS, SECOND)
        yield home, cloud


def press(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == label).click().run()


def test_a_cloud_that_is_down_is_a_card(open_app: OpenApp, seeded_home: Path) -> None:
    app = open_app(seeded_home, PROMOTE)
    assert not app.exception
    assert "pedigree cloud up" in app.error[0].value


def test_overview_of_a_live_release(open_app: OpenApp, world: tuple[Path, Boto3Cloud]) -> None:
    app = open_app(world[0], OVERVIEW)
    assert_whole(app)
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Endpoint"] == "In service"
    assert {"Requests", "Errors", "Model p50", "At once"} <= shown.keys()
    assert shown["Serving a day"].startswith("$")


def test_traffic_is_what_cloudwatch_counted(
    open_app: OpenApp, world: tuple[Path, Boto3Cloud]
) -> None:
    """Its last hour is the cloud's own, which is ahead of ours here."""
    home, cloud = world
    photo = next((home / ".pedigree" / "demo-data" / "test").glob("*/*.jpg")).read_bytes()
    assert invoke(cloud, SETTINGS, photo, "image/jpeg", book=latest_book()).predictions
    with urllib.request.urlopen(f"{cloud.address.endpoint_url}/_localaws/clock", timeout=5) as told:
        now = datetime.fromtimestamp(json.load(told)["now"], tz=UTC)
    seen = read_traffic(cloud, "dogs-prod", now)
    assert (seen.requests, seen.errors) == (1, 0)
    assert seen.p50_ms is not None
    assert seen.p99_ms is not None
    assert 0 < seen.p50_ms <= seen.p99_ms
    shown = {metric.label: metric.value for metric in open_app(home, OVERVIEW).metric}
    assert (shown["Requests"], shown["At once"]) == ("1", "1")


def test_the_best_is_offered_and_the_others_say_why(
    open_app: OpenApp, world: tuple[Path, Boto3Cloud]
) -> None:
    app = open_app(world[0], PROMOTE)
    assert_whole(app)
    assert app.selectbox(key="run").value == "a1b2c3d4"
    assert "worse: test/top1" in "".join(app.dataframe[0].value["why not"])
    history = app.dataframe[1].value
    assert set(history["release"]) == {SECOND, FIRST}


def test_a_model_that_is_gone_is_a_card(open_app: OpenApp, world: tuple[Path, Boto3Cloud]) -> None:
    app = press(open_app(world[0], PROMOTE), "Examine it and plan")
    assert not app.exception
    assert len(app.error) == 1


def test_the_way_back_asks_for_the_name_and_is_found_by_a_second_tab(
    open_app: OpenApp, world: tuple[Path, Boto3Cloud]
) -> None:
    home, cloud = world
    app = press(open_app(home, PROMOTE), "Plan the way back")
    assert_whole(app)
    go = next(button for button in app.button if button.label == "Go back")
    assert go.disabled
    app.text_input(key="typed Go back").set_value("dogs-prod").run()
    press(app, "Go back")
    assert not app.exception
    second = open_app(home, PROMOTE)
    assert f"rollback {FIRST}" in words(second) + "".join(s.value for s in second.success)
    assert ended(home).exit_code == 0
    assert ReleaseStore(cloud=cloud, name="dogs-prod").live().release_id == FIRST
    audit = (home / ".pedigree" / "audit.jsonl").read_text(encoding="utf-8")
    assert f"rollback {FIRST}" in audit
    done = open_app(home, PROMOTE)
    assert any("Done" in card.value for card in done.success)
