"""One journey through the whole house: `make demo`'s command, then the house as a person finds it."""

from __future__ import annotations

import json
import os
import re
import signal
import time
import urllib.error
import urllib.request
from decimal import Decimal
from typing import Any

import pytest

from tests.journey.house import House, free_port

pytestmark = pytest.mark.slow


def test_the_demo_trains_three_ways_promotes_and_answers(house: House) -> None:
    output = house.type("pedigree", "demo", timeout_s=600)
    assert house.none_left() == []
    for name in ("one-instance", "two-instances", "plain-ec2"):
        assert f"{name}: succeeded" in output
    assert re.search(r"live: r-\S+", output)
    assert re.search(r"answer: \w+ +\d+\.\d%", output), output

    rows = house.type_json("pedigree", "runs")
    assert {row["where"] for row in rows} == {
        "sagemaker ml.m5.xlarge",
        "sagemaker 2 x ml.m5.large",
        "ec2 c5.xlarge",
    }
    for row in rows:
        assert row["status"] == "succeeded"
        assert row["quality"] > 0.8
        assert Decimal(row["cost_usd"]) > 0
        assert row["cost_basis"] == "simulated"
        assert row["billable_s"] > 0
    qualities = [row["quality"] for row in rows]
    assert qualities == sorted(qualities, reverse=True)
    assert max(qualities) - min(qualities) < 0.05, "the same training three ways"

    _mlflow_shows_the_same(house, rows)
    _a_plain_mlflow_ui_shows_them(house, rows)
    _what_was_live_is_live_again(house)


def _mlflow_shows_the_same(house: House, rows: list[dict[str, object]]) -> None:
    from experiments.tracking import Tracker

    store = f"sqlite:///{house.root / 'mlflow.db'}"
    tracked = Tracker(store, house.root).runs()
    assert {r.run_id: r.metrics["test/top1"] for r in tracked} == {
        str(row["run_id"]): row["quality"] for row in rows
    }
    for record in tracked:
        assert record.params["data/digest"].startswith("sha256:")
        assert record.params["code/digest"].startswith("sha256:")
        assert record.params["env/torch"] == "2.14.1"
        assert record.git_commit
        assert record.model_uri is not None


def _a_plain_mlflow_ui_shows_them(house: House, rows: list[dict[str, object]]) -> None:
    """The server that `mlflow ui` starts in this folder, asked as its own pages ask it."""
    port = free_port()
    server = house.start("mlflow", "ui", "--port", str(port))
    try:
        found = _search_runs(port)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.communicate(timeout=30)
    metrics = [{m["key"]: m["value"] for m in run["data"]["metrics"]} for run in found]
    shown = sorted((m["test/top1"], m["cost/usd"], m["time/billable_s"]) for m in metrics)
    assert shown == sorted(
        (row["quality"], float(str(row["cost_usd"])), row["billable_s"]) for row in rows
    )


def _search_runs(port: int) -> list[dict[str, Any]]:
    body = json.dumps({"experiment_ids": ["1"]}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/2.0/mlflow/runs/search",
        data=body,
        headers={"content-type": "application/json"},
    )
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                runs: list[dict[str, Any]] = json.load(answer)["runs"]
                return runs
        except urllib.error.URLError:
            assert time.monotonic() < deadline, "mlflow ui did not answer"
            time.sleep(0.2)


def _what_was_live_is_live_again(house: House) -> None:
    photo = next((house.root / ".pedigree" / "demo-data" / "test").glob("*/*.jpg"))
    house.type("pedigree", "cloud", "up")
    try:
        answer = house.type_json("pedigree", "invoke", str(photo))
        assert answer["status"] == 200
        assert 0 < answer["predictions"][0]["probability"] <= 1
        assert Decimal(answer["cost"]["total_usd"]) > 0
        for group in ("/aws/lambda/dogs-prod", "/aws/sagemaker/Endpoints/dogs-prod"):
            assert _is_logged(house, group, answer["request_id"])
        bad = house.root / "not-a-photo.jpg"
        bad.write_text("hello")
        house.type("pedigree", "invoke", str(bad), expect=2)
        again = house.type("pedigree", "promote", "--yes", "--experiment", "dogs-three-ways")
        assert "nothing to do" in again
        _and_goes_off_the_air(house)
    finally:
        house.type("pedigree", "cloud", "down")
    assert house.none_left() == []


def _is_logged(house: House, group: str, request_id: str) -> bool:
    """Whether a log of AWS's tells of the request: one id goes from the function to the container."""
    logs = house.client("logs")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        events = logs.filter_log_events(logGroupName=group)["events"]
        if any(f'"request_id":"{request_id}"' in e["message"].replace(" ", "") for e in events):
            return True
        time.sleep(0.2)
    return False


def _and_goes_off_the_air(house: House) -> None:
    """Everything that is tagged is needed; after a teardown nothing is left to be swept."""
    found = house.type_json("pedigree", "sweep")
    assert found["orphans"] == []
    house.type("pedigree", "teardown", "--yes")
    assert [r["status"] for r in house.type_json("pedigree", "releases")["releases"]] == [
        "torn-down"
    ]
    assert "nothing stands of dogs-prod" in house.type("pedigree", "teardown")
    assert house.type_json("pedigree", "sweep")["orphans"] == []
