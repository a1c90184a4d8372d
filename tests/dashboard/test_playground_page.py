"""The Playground as a person meets it: a real localaws, a real promotion, a stand-in model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from deployment.settings import ServingSettings
from tests.dashboard.conftest import PLAYGROUND, OpenApp
from tests.dashboard.live_world import CLASSES, cloud_of, draw_photos, make_live
from tests.dashboard.reading import assert_whole, words

pytestmark = pytest.mark.slow
# As in a terminal with this environment activated.
SHELL = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def live_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose cloud serves the release `dogs-prod`, with test photos."""
    home = tmp_path_factory.mktemp("live")
    draw_photos(home)
    with cloud_of(home) as cloud:
        make_live(cloud, home, ServingSettings(app="dogs"))
        yield home


def sent(app: AppTest, label: str) -> AppTest:
    """Press the button of a class in the gallery."""
    return app.button(key=f"use {label}").click().run()


def tile(app: AppTest, label: str) -> tuple[str, str]:
    """Value and detail of a box."""
    found = next(metric for metric in app.metric if metric.label == label)
    return found.value, found.delta


def test_says_what_is_live_and_what_it_costs(open_app: OpenApp, live_home: Path) -> None:
    app = open_app(live_home, PLAYGROUND)
    assert_whole(app)
    assert tile(app, "Release") == ("one-instance", "r-20261120-5eed5eed · test top-1 94.2%")
    assert tile(app, "Endpoint") == ("In service", "1 of 1 to 3 ml.m5.large")
    value, detail = tile(app, "Standing cost an hour")
    # One ml.m5.large at 0.115 USD and three warm environments of 256 MB, from the price book.
    assert value == "$0.1263"
    assert detail.startswith("simulated · $92.")


def test_offers_one_photo_of_each_class(open_app: OpenApp, live_home: Path) -> None:
    app = open_app(live_home, PLAYGROUND)
    keys = [button.key for button in app.button if str(button.key).startswith("use ")]
    assert keys == [f"use {label}" for label in CLASSES]
    assert not app.dataframe


def test_the_photos_last_trained_on_are_the_ones_offered(
    open_app: OpenApp, live_home: Path, tmp_path: Path
) -> None:
    photo = next(live_home.glob(".pedigree/demo-data/test/fen_setter/*.jpg"))
    folder = tmp_path / "mine" / "test" / "my_own_dog"
    folder.mkdir(parents=True)
    (folder / "one.jpg").write_bytes(photo.read_bytes())
    last = live_home / ".pedigree" / "last-data"
    last.write_text(str(tmp_path / "mine"), encoding="utf-8")
    try:
        app = open_app(live_home, PLAYGROUND)
        keys = [button.key for button in app.button if str(button.key).startswith("use ")]
        assert keys == ["use my_own_dog"]
    finally:
        last.unlink()


def test_a_test_photo_gets_its_breed(open_app: OpenApp, live_home: Path) -> None:
    app = sent(open_app(live_home, PLAYGROUND), "dune_hound")
    assert_whole(app)
    assert app.header[0].value == "Dune hound"
    assert "87.1% probable" in words(app)
    assert "right" in words(app)
    latency, start = tile(app, "Latency")
    assert latency.endswith("ms")
    assert start == "warm function"
    cost, basis = tile(app, "Cost of the call")
    assert cost.startswith("$0.000")
    assert basis.startswith("simulated")
    assert len(app.get("vega_lite_chart")) == 2
    assert tile(app, "Model") == ("1 ms", "queue 0 ms")
    assert "What these look like" in [header.value for header in app.subheader]


def test_shows_the_call_and_its_bill(open_app: OpenApp, live_home: Path) -> None:
    app = sent(open_app(live_home, PLAYGROUND), "basset")
    response, request, curl, cli, python = (block.value for block in app.code)
    assert json.loads(response)["body"]["predictions"][0]["label"] == "basset"
    assert json.loads(request)["Qualifier"] == "live"
    assert "client.invoke(" in python
    assert "aws lambda invoke" in cli
    assert "--aws-sigv4" in curl
    assert app.dataframe[0].value["item"].iloc[0] == "1 request"


def test_a_photo_is_sent_once(open_app: OpenApp, live_home: Path) -> None:
    """A rerun, as any touch of the page makes one, shows the answer that is there."""
    app = sent(open_app(live_home, PLAYGROUND), "basset")
    first = json.loads(app.code[0].value)["body"]["request_id"]
    app.run()
    assert json.loads(app.code[0].value)["body"]["request_id"] == first
    next(button for button in app.button if button.label == "Send it again").click().run()
    assert json.loads(app.code[0].value)["body"]["request_id"] != first


def test_other_photos_follow(open_app: OpenApp, live_home: Path) -> None:
    app = open_app(live_home, PLAYGROUND)
    next(button for button in app.button if button.label == "Other photos").click().run()
    sent(app, "basset")
    assert "basset_1.jpg" in words(app)


def test_an_uploaded_photo_is_sent(open_app: OpenApp, live_home: Path) -> None:
    photo = next(live_home.glob(".pedigree/demo-data/test/fen_setter/*.jpg"))
    app = open_app(live_home, PLAYGROUND)
    app.file_uploader(key="upload").set_value(("mine.jpg", photo.read_bytes(), "image/jpeg")).run()
    assert_whole(app)
    assert app.header[0].value == "Fen setter"
    assert "mine.jpg" in words(app)


def test_a_refused_photo_shows_the_servers_words(open_app: OpenApp, live_home: Path) -> None:
    app = open_app(live_home, PLAYGROUND)
    app.file_uploader(key="upload").set_value(("notes.jpg", b"not a photo", "image/jpeg")).run()
    assert not app.exception
    assert "not a photo that can be read" in app.error[0].value
    assert "Send a JPEG, PNG or WebP file" in app.error[0].value
    assert tile(app, "Cost of the call")[0].startswith("$0.000")


def test_a_photo_that_is_gone_is_a_message(
    open_app: OpenApp, live_home: Path, tmp_path: Path
) -> None:
    draw_photos(tmp_path, CLASSES[:1])
    state = tmp_path / ".pedigree" / "cloud"
    state.mkdir()
    address = (live_home / ".pedigree" / "cloud" / "address.json").read_bytes()
    (state / "address.json").write_bytes(address)
    app = open_app(tmp_path, PLAYGROUND)
    next(tmp_path.glob(".pedigree/demo-data/test/*/*_0.jpg")).unlink()
    sent(app, CLASSES[0])
    assert "make demo" in app.error[0].value


def test_an_empty_file_is_refused_with_a_fix(open_app: OpenApp, live_home: Path) -> None:
    app = open_app(live_home, PLAYGROUND)
    app.file_uploader(key="upload").set_value(("empty.jpg", b"", "image/jpeg")).run()
    assert not app.exception
    assert "0 bytes" in app.error[0].value


def straight(app: AppTest) -> AppTest:
    return app.segmented_control(key="way").set_value("Straight to the endpoint").run()


def test_straight_to_the_endpoint_there_is_no_function(open_app: OpenApp, live_home: Path) -> None:
    app = sent(straight(open_app(live_home, PLAYGROUND)), "dune_hound")
    assert_whole(app)
    assert app.header[0].value == "Dune hound"
    assert tile(app, "Latency")[1] == "straight to the endpoint"
    assert json.loads(app.code[1].value)["EndpointName"] == "dogs-prod"
    assert "endpoint and back" in app.dataframe[0].value["item"].iloc[0]


def test_straight_a_refusal_has_the_models_words(open_app: OpenApp, live_home: Path) -> None:
    app = straight(open_app(live_home, PLAYGROUND))
    app.file_uploader(key="upload").set_value(("notes.jpg", b"not a photo", "image/jpeg")).run()
    assert not app.exception
    assert "not a photo that can be read" in app.error[0].value


@pytest.mark.parametrize("way", ["lambda", "endpoint"])
def test_what_is_shown_runs(open_app: OpenApp, live_home: Path, tmp_path: Path, way: str) -> None:
    """curl, the AWS command line and Python, each typed as shown, give the answer of the page."""
    app = open_app(live_home, PLAYGROUND)
    app = sent(straight(app) if way == "endpoint" else app, "ember_terrier")
    photo = next(live_home.glob(".pedigree/demo-data/test/ember_terrier/*.jpg"))
    (tmp_path / photo.name).write_bytes(photo.read_bytes())
    _, _, curl, cli, python = (block.value for block in app.code)
    (tmp_path / "call.py").write_text(python, encoding="utf-8")
    for command in (["bash", "-ec", curl], ["bash", "-ec", cli], [sys.executable, "call.py"]):
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=SHELL,
            check=False,
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == 0, done.stderr
        assert "ember_terrier" in done.stdout, f"{command}: {done.stdout}"


def test_a_pasted_photo_and_one_of_the_camera_are_sent(open_app: OpenApp, live_home: Path) -> None:
    photo = next(live_home.glob(".pedigree/demo-data/test/fen_setter/*.jpg")).read_bytes()
    app = open_app(live_home, PLAYGROUND)
    assert [tab.label for tab in app.tabs][:4] == ["Test photos", "Upload", "Paste", "Camera"]
    assert not app.camera_input, "it would ask for the camera of everybody who looks"
    assert len(app.chat_input) == 1
    app.chat_input(key="paste").upload("image.png", photo, "image/jpeg").run()
    assert app.header[0].value == "Fen setter"


def test_without_test_photos_there_is_the_upload(
    open_app: OpenApp, live_home: Path, tmp_path: Path
) -> None:
    state = tmp_path / ".pedigree" / "cloud"
    state.mkdir(parents=True)
    address = (live_home / ".pedigree" / "cloud" / "address.json").read_bytes()
    (state / "address.json").write_bytes(address)
    app = open_app(tmp_path, PLAYGROUND)
    assert_whole(app)
    assert [tab.label for tab in app.tabs] == ["Upload", "Paste", "Camera"]
    assert "make demo" in app.info[0].value, "a load test has nothing to send"
    assert app.file_uploader(key="upload").label.startswith("A photo")
