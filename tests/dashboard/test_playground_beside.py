"""Two releases on one photo, and a load test: both start processes of their own and end them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cli.load import load
from cli.main import invoke
from dashboard import under_way
from dashboard.playground.load_view import read_course
from dashboard.under_way import Kind
from deployment.settings import ServingSettings
from tests.dashboard.conftest import PLAYGROUND, OpenApp
from tests.dashboard.live_world import FIRST, cloud_of, draw_photos, make_live
from tests.dashboard.reading import assert_whole, words
from tests.dashboard.test_under_way import ended

pytestmark = pytest.mark.slow
SECOND = "r-20261121-5eed5eed"
_LONGEST_S = 60.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with test photos and two releases, the second one live."""
    folder = tmp_path_factory.mktemp("beside")
    draw_photos(folder)
    with cloud_of(folder, speed=200) as cloud:
        make_live(cloud, folder, ServingSettings(app="dogs"))
        make_live(cloud, folder, ServingSettings(app="dogs", max_instances=4), SECOND)
        yield folder


def press(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == label).click().run()


def test_the_release_before_answers_beside_the_live_one(open_app: OpenApp, home: Path) -> None:
    app = open_app(home, PLAYGROUND)
    app = app.button(key="use dune_hound").click().run()
    assert app.selectbox(key="rival").value == FIRST
    assert "Latency here" not in {metric.label for metric in app.metric}
    app = press(app, "Ask it too")
    assert_whole(app)
    assert "Latency here" in {metric.label for metric in app.metric}
    assert words(app).count("Dune hound") >= 2
    assert f"{FIRST} · superseded, served on this machine" in words(app)
    held = app.session_state["rival_answers"]
    assert len(held) == 1
    press(app, "Ask it too")
    assert app.session_state["rival_answers"] == held, "it is asked once for each photo"


def test_a_load_test_is_drawn_and_found_by_a_second_tab(open_app: OpenApp, home: Path) -> None:
    app = open_app(home, PLAYGROUND)
    assert "100 questions through Lambda. The calls cost about" in words(app)
    app.slider(key="load_seconds").set_value(5).run()
    app = press(app, "Start the load test")
    assert not app.exception
    second = open_app(home, PLAYGROUND)
    assert any(
        "dogs-prod, 5 a second for 5 s" in card.value for card in (*second.info, *second.success)
    )
    work = ended(home, Kind.LOAD)
    assert work.exit_code == 0, work.log
    course = read_course(work.lines)
    assert course.summary is not None
    assert (course.summary["sent"], course.summary["failed"]) == (25, 0)
    assert course.summary["answered"] + course.summary["refused"] == 25
    assert [row["second"] for row in course.rows][:5] == [1, 2, 3, 4, 5]
    assert course.rows[-1]["instances"] == 1
    done = open_app(home, PLAYGROUND)
    assert_whole(done)
    assert any("Done: dogs-prod" in card.value for card in done.success)
    assert len(done.get("vega_lite_chart")) == 3
    audit = (home / ".pedigree" / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(audit[-1])["action"].startswith("load ")


def test_one_that_is_stopped_ends_with_its_sum(open_app: OpenApp, home: Path) -> None:
    app = open_app(home, PLAYGROUND)
    app.slider(key="load_seconds").set_value(120).run()
    app = press(app, "Start the load test")
    first_second(home)
    refused = open_app(home, PLAYGROUND)
    assert "Start the load test" not in {button.label for button in refused.button}
    press(refused, "Stop it")
    work = ended(home, Kind.LOAD)
    assert work.exit_code == 130, work.log
    course = read_course(work.lines)
    assert course.summary is not None
    assert not course.summary["ended"]
    assert 0 < course.summary["sent"] < 300
    assert any("Stopped" in card.value for card in open_app(home, PLAYGROUND).warning)
    audit = (home / ".pedigree" / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    told = json.loads(audit[-1])
    assert (told["action"], told["who"]) == ("stop load", "local")


def first_second(home: Path) -> None:
    """Wait until the test that was started has told its first second."""
    deadline = time.monotonic() + _LONGEST_S
    while time.monotonic() < deadline:
        work = under_way.newest(home, Kind.LOAD)
        if work is not None and read_course(work.lines).rows:
            return
        time.sleep(0.1)
    pytest.fail("the load test did not begin")


def test_on_the_command_line_straight_to_the_endpoint(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PEDIGREE_HOME", str(home))
    photos = str(home / ".pedigree" / "demo-data" / "test")
    asked = [photos, "--rate", "10", "--seconds", "1", "--way", "endpoint", "--json"]
    assert invoke(load, asked, name="pedigree load") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["summary"]["answered"] == 10
    assert told["plan"]["name"] == "dogs-prod"
    assert told["summary"]["usd"] != "0"


def test_the_plan_alone_sends_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PEDIGREE_HOME", str(home))
    photo = str(next((home / ".pedigree" / "demo-data" / "test").glob("*/*.jpg")))
    assert invoke(load, [photo, "--rate", "50", "--dry-run"], name="pedigree load") == 0
    told = capsys.readouterr().out
    assert "1,500 questions about 1 photo through the function" in told
    assert "answered" not in told
    assert invoke(load, [photo, "--rate", "51"], name="pedigree load") == 2
    assert "--rate 51" in capsys.readouterr().err
