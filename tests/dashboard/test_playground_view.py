"""A call and its answer as data, and the same call written elsewhere."""

from __future__ import annotations

import ast
import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from dashboard import charts
from dashboard.playground_view import (
    as_aws_cli,
    as_python,
    call_tiles,
    fault,
    live_tiles,
    request_shown,
    trouble,
    verdict,
)
from dashboard.records import LiveRelease, Photo
from deployment.invoke import Answer, Prediction
from deployment.release import Release, StoredFile
from deployment.settings import ServingSettings
from experiments.records import Basis, Cost

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
FILE = StoredFile(key="k", digest="sha256:00", size_bytes=1)
LIVE = LiveRelease(
    release=Release(
        release_id="r-20261120-00000000",
        settings=ServingSettings(app="dogs"),
        run_id="a1b2c3d4",
        tracker_run_id="t",
        run_name="one-instance",
        source_uri="",
        model_digest="",
        model=FILE,
        function=FILE,
        image="",
        created_at=NOW,
        metrics={"test/top1": 0.9417},
    ),
    since=NOW,
    endpoint_status="InService",
    instances=2,
    standing_usd_per_h=Decimal("0.125"),
    basis=Basis.SIMULATED,
    region="us-east-1",
    cloud_url="http://127.0.0.1:4599",
)
PHOTO = Photo(name="it's a dog.jpg", data=b"123", content_type="image/jpeg", label="basset")
ANSWER = Answer(
    status=200,
    predictions=(
        Prediction(label="basset", probability=0.9),
        Prediction(label="fen_setter", probability=0.1),
    ),
    model_version="1",
    function_version="3",
    latency_ms=31.4,
    endpoint_ms=20.0,
    billed_ms=24,
    request_id="q",
    cold_start=True,
    provisioned=False,
    cost=Cost(basis=Basis.SIMULATED),
    standing_usd_per_h=None,
    body={"timing_ms": {"model": 11.2}},
)


def test_live_tiles_say_what_it_costs_and_on_what_basis() -> None:
    found = {tile.label: (tile.value, tile.detail) for tile in live_tiles(LIVE)}
    assert found["Endpoint"] == ("In service", "2 of 1 to 3 ml.m5.large")
    assert found["Function"] == ("dogs-prod", "3 warm, 5 at most")
    assert found["Standing cost an hour"] == ("$0.1250", "simulated · $91.25 a month")


def test_an_unknown_price_is_not_guessed() -> None:
    found = live_tiles(replace(LIVE, standing_usd_per_h=None))[-1]
    assert (found.value, found.detail) == ("–", "no price in the book")
    assert call_tiles(ANSWER)[-1].value == "not known"


@pytest.mark.parametrize(
    ("status", "words"),
    [("InService", ""), ("Missing", "promote-model"), ("Failed", "SageMaker says")],
)
def test_trouble(status: str, words: str) -> None:
    said = trouble(replace(LIVE, endpoint_status=status))
    assert words in said
    assert bool(said) == bool(words)


def test_call_tiles_say_where_the_time_went() -> None:
    latency, endpoint, _ = call_tiles(ANSWER)
    assert (latency.value, latency.detail) == ("31 ms", "cold start")
    assert (endpoint.value, endpoint.detail) == ("20 ms", "model 11 ms")


def test_timings_that_are_not_there_are_not_made_up() -> None:
    bare = replace(ANSWER, endpoint_ms=None, body={"timing_ms": "soon"})
    assert (call_tiles(bare)[1].value, call_tiles(bare)[1].detail) == ("–", "model –")


def test_verdict() -> None:
    assert verdict(PHOTO, ANSWER) == (True, "right")
    other = replace(PHOTO, label="fen_setter")
    assert verdict(other, ANSWER) == (False, "wrong, it is filed under Fen setter")
    assert verdict(replace(PHOTO, label=""), ANSWER) is None


def test_fault_takes_the_servers_words() -> None:
    body = {"error": {"code": "x", "message": "too dark", "fix": "light a lamp"}}
    said = fault(replace(ANSWER, status=422, predictions=(), body=body, error="e"))
    assert (said.message, said.fix) == ("too dark", "light a lamp")


@pytest.mark.parametrize("body", [{}, {"error": "no"}, {"error": None}])
def test_fault_without_words_still_says_something(body: dict[str, object]) -> None:
    said = fault(replace(ANSWER, status=500, predictions=(), body=body))
    assert "500" in said.message
    assert said.fix


def test_bars_are_in_the_order_of_the_answer() -> None:
    drawn = charts.probabilities(ANSWER.predictions).to_dict()
    assert drawn["layer"][0]["encoding"]["y"]["sort"] == ["Basset", "Fen setter"]


def test_the_request_is_shown_without_the_photo() -> None:
    shown = json.loads(request_shown(LIVE, PHOTO))
    assert shown["FunctionName"] == "dogs-prod"
    assert shown["Payload"]["body"] == "<3 bytes of it's a dog.jpg in base64>"


@pytest.mark.parametrize("name", ["dog.jpg", "it's a dog.jpg", '"; import os #.jpg', "a\nb.jpg"])
def test_the_python_shown_is_python_whatever_the_file_is_called(name: str) -> None:
    tree = ast.parse(as_python(LIVE, replace(PHOTO, name=name)))
    assert name in [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]


def test_real_aws_gets_no_local_address_and_no_keys() -> None:
    aws = replace(LIVE, cloud_url=None)
    for text in (as_python(aws, PHOTO), as_aws_cli(aws, PHOTO)):
        assert "127.0.0.1" not in text
        assert "localaws" not in text


@pytest.mark.parametrize("name", ["dog.jpg", "it's a dog.jpg", "$(touch made).jpg", "-n.jpg"])
def test_the_shell_shown_writes_the_event(tmp_path: Path, name: str) -> None:
    photo = replace(PHOTO, name=name)
    (tmp_path / name).write_bytes(photo.data)
    before_aws = as_aws_cli(LIVE, photo).partition("aws lambda")[0]
    subprocess.run(["bash", "-ec", before_aws], cwd=tmp_path, check=True, timeout=30)
    event = json.loads((tmp_path / "event.json").read_text(encoding="utf-8"))
    assert event == {
        "body": "MTIz",
        "isBase64Encoded": True,
        "headers": {"content-type": "image/jpeg"},
    }
    assert not (tmp_path / "made").exists()
