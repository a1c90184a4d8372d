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
from dashboard.playground.calls import as_aws_cli, as_curl, as_python, request_shown
from dashboard.playground.drawn import split_bars
from dashboard.playground.view import (
    call_tiles,
    fault,
    latency_split,
    live_tiles,
    rival_predictions,
    samples,
    trouble,
    verdict,
)
from dashboard.records import LiveRelease, Photo
from deployment.gates.trial import Reply
from deployment.invoke import Answer, Prediction, Way
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
    body={"timing_ms": {"model": 11.2, "queue": 0.5, "decode": 1.3}},
)
STRAIGHT = replace(ANSWER, way=Way.ENDPOINT, latency_ms=20.0, billed_ms=0, function_version="")


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
    latency, model, _ = call_tiles(ANSWER)
    assert (latency.value, latency.detail) == ("31 ms", "cold start")
    assert (model.value, model.detail) == ("11 ms", "queue 0 ms")
    latency, _, cost = call_tiles(STRAIGHT)
    assert latency.detail == "straight to the endpoint"
    assert cost.detail == "simulated · no function in between"


def test_timings_that_are_not_there_are_not_made_up() -> None:
    bare = replace(ANSWER, endpoint_ms=None, body={"timing_ms": "soon"})
    assert (call_tiles(bare)[1].value, call_tiles(bare)[1].detail) == ("–", "queue –")
    assert latency_split(bare) == []


@pytest.mark.parametrize("answer", [ANSWER, STRAIGHT])
def test_the_parts_of_the_latency_add_up_to_it(answer: Answer) -> None:
    parts = latency_split(answer)
    assert sum(part.ms for part in parts) == pytest.approx(answer.latency_ms)
    assert [part.name for part in parts][-2:] == ["queue", "model"]
    assert len(parts) == (3 if answer.way is Way.ENDPOINT else 4)
    [bars] = split_bars(parts).to_dict()["datasets"].values()
    assert [bar["part"] for bar in bars] == [part.name for part in parts]
    assert [bar["begin"] for bar in bars[1:]] == [bar["end"] for bar in bars[:-1]]


def test_a_clock_that_is_a_little_off_gives_no_part_below_nothing() -> None:
    assert min(part.ms for part in latency_split(replace(ANSWER, endpoint_ms=12.0))) == 0.0


def test_verdict() -> None:
    assert verdict(PHOTO, ANSWER.predictions) == (True, "right")
    other = replace(PHOTO, label="fen_setter")
    assert verdict(other, ANSWER.predictions) == (False, "wrong, it is filed under Fen setter")
    assert verdict(replace(PHOTO, label=""), ANSWER.predictions) is None


def test_samples_are_of_the_class_and_never_the_photo_itself() -> None:
    there = {"basset": (Path("basset/a.jpg"), Path("basset/b.jpg"), Path("basset/c.jpg"))}
    sent = replace(PHOTO, name="b.jpg", label="basset")
    found = samples(there, "basset", sent=sent, most=2)
    assert found == [Path("basset/a.jpg"), Path("basset/c.jpg")]
    other = replace(sent, label="whippet")  # whose photos may have the same names
    assert samples(there, "basset", sent=other, most=2) == [
        Path("basset/a.jpg"),
        Path("basset/b.jpg"),
    ]
    assert samples(there, "whippet", sent=sent, most=2) == []


def test_a_refusal_of_the_other_release_holds_no_predictions() -> None:
    body = {"predictions": [{"label": "basset", "probability": 0.9}]}
    assert rival_predictions(Reply(status=200, body=body, ms=1.0))[0].label == "basset"
    assert rival_predictions(Reply(status=500, body=body, ms=1.0)) == ()


def test_a_serverless_endpoint_has_no_instances_to_count() -> None:
    settings = ServingSettings(app="dogs", serverless_memory_mb=2048)
    found = live_tiles(replace(LIVE, release=replace(LIVE.release, settings=settings)))
    assert found[1].detail == "serverless, 2048 MB, 5 at once"


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
    shown = json.loads(request_shown(LIVE, PHOTO, Way.LAMBDA))
    assert shown["FunctionName"] == "dogs-prod"
    assert shown["Payload"]["body"] == "<3 bytes of it's a dog.jpg in base64>"
    shown = json.loads(request_shown(LIVE, PHOTO, Way.ENDPOINT))
    assert shown["EndpointName"] == "dogs-prod"
    assert shown["Body"] == "<3 bytes of it's a dog.jpg>"


@pytest.mark.parametrize("way", list(Way))
@pytest.mark.parametrize("name", ["dog.jpg", "it's a dog.jpg", '"; import os #.jpg', "a\nb.jpg"])
def test_the_python_shown_is_python_whatever_the_file_is_called(name: str, way: Way) -> None:
    tree = ast.parse(as_python(LIVE, replace(PHOTO, name=name), way))
    assert name in [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]


@pytest.mark.parametrize("way", list(Way))
@pytest.mark.parametrize("url", ["", "https://x.lambda-url.us-east-1.on.aws/"])
def test_real_aws_gets_no_local_address_and_no_keys(way: Way, url: str) -> None:
    aws = replace(LIVE, cloud_url=None, function_url=url)
    for write in (as_python, as_aws_cli, as_curl):
        text = write(aws, PHOTO, way)
        assert "127.0.0.1" not in text
        assert "localaws" not in text
    curl = as_curl(aws, PHOTO, way)
    host = "runtime.sagemaker" if way is Way.ENDPOINT else "lambda"
    assert url in curl if url and way is Way.LAMBDA else f"{host}.us-east-1.amazonaws.com" in curl


@pytest.mark.parametrize("name", ["dog.jpg", "it's a dog.jpg", "$(touch made).jpg", "-n.jpg"])
def test_the_shell_shown_writes_the_event(tmp_path: Path, name: str) -> None:
    photo = replace(PHOTO, name=name)
    (tmp_path / name).write_bytes(photo.data)
    before_aws = as_aws_cli(LIVE, photo, Way.LAMBDA).partition("aws lambda")[0]
    subprocess.run(["bash", "-ec", before_aws], cwd=tmp_path, check=True, timeout=30)
    event = json.loads((tmp_path / "event.json").read_text(encoding="utf-8"))
    assert event == {
        "body": "MTIz",
        "isBase64Encoded": True,
        "headers": {"content-type": "image/jpeg"},
    }
    assert not (tmp_path / "made").exists()
