"""Whole runs as real processes: alone, on two hosts, stopped, abandoned; and the model served."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from tests.serving.processes import serving
from tests.training.builders import ROOT, clean_env, free_port, lite0_weights, write_photos
from tests.training.features.test_survey import share_out

pytestmark = pytest.mark.slow

SMALL = ["--resize=72", "--crop=64", "--epochs=6", "--batch-size=10", "--run-id=run-1"]
SECONDS = 150


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    counts = {"train": 9, "valid": 4, "test": 4}
    return write_photos(tmp_path_factory.mktemp("data") / "photos", counts=counts, size=(110, 84))


@contextmanager
def launched(*argv: str, **env: str) -> Iterator["subprocess.Popen[str]"]:
    """The program by its entry script; whatever still runs at the end is killed with its group."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        ["bash", str(ROOT / "training/start.sh"), *argv],
        env=clean_env(PATH=path, PYTHONWARNINGS="error", **env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def finished(process: "subprocess.Popen[str]") -> tuple[int, list[dict[str, Any]], str]:
    out, err = process.communicate(timeout=SECONDS)
    return process.returncode, [json.loads(line) for line in out.splitlines()], err


def places(folder: Path) -> list[str]:
    return [f"--model-dir={folder / 'model'}", f"--output-dir={folder / 'output'}"]


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def train(photos: Path, folder: Path, weights: Path, backbone: str) -> list[dict[str, Any]]:
    argv = [
        f"--data={photos}",
        *places(folder),
        f"--weights={weights}",
        f"--backbone={backbone}",
        *SMALL,
    ]
    with launched(*argv) as process:
        code, events, err = finished(process)
    assert (code, err) == (0, ""), err
    return events


@pytest.fixture(scope="module")
def lite0_run(
    photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("lite0")
    return folder, train(photos, folder, lite0_weights(), "efficientnet_lite0")


def check_served_equals_tracked(photos: Path, folder: Path) -> None:
    """Each test photo through the real server: the tracked prediction, probability within 1e-4."""
    tracked = rows(folder / "output/predictions.jsonl")
    with serving(folder / "model") as server:
        for row in tracked:
            status, answer = server.post((photos / row["path"]).read_bytes())
            best: Any = answer["predictions"]
            assert status == 200 and answer["model_version"].startswith("run-1@")
            assert best[0]["label"] == row["predicted"]
            assert best[0]["probability"] == pytest.approx(row["probability"], abs=1e-4)
    assert len(tracked) == 12


def settings(events: list[dict[str, Any]]) -> dict[str, Any]:
    told = [event["values"] for event in events if event["event"] == "params"]
    return {name: value for values in told for name, value in values.items()}


def test_a_run_tells_all_of_itself(lite0_run: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, events = lite0_run
    assert rows(folder / "output/events.jsonl") == events
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    metrics = {event["name"]: event["value"] for event in events if event["event"] == "metric"}
    expected = {"train/loss", "valid/loss", "valid/calibrated_loss", "valid/top1", "memory/peak_mb"}
    expected |= {f"test/{name}" for name in ("loss", "top1", "top5", "macro_f1", "ece")}
    expected |= {"test/ece_uncalibrated", "calibration/temperature"}
    phases = ("setup", "scan", "decode", "features", "head", "export", "evaluate", "total")
    expected |= {f"time/{name}_s" for name in phases} | {"throughput/features_images_per_s"}
    assert metrics.keys() >= expected
    assert [e["step"] for e in events if e.get("name") == "valid/top1"] == [1, 2, 3, 4, 5, 6]
    assert events[-1]["event"] == "result" and events[-1]["status"] == "succeeded"
    assert events[-1]["metrics"] == metrics
    params = settings(events)
    assert params["hosts"] == 1 and params["train_photos"] == 27 and params["classes"] == 3
    assert {e["name"] for e in events if e["event"] == "artifact"} == {
        *("predictions.jsonl", "confusion.json", "classes.jsonl"),
        *("learning_curves.png", "confusion.png", "reliability.png"),
    }


def test_the_model_folder_is_as_agreed(lite0_run: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, events = lite0_run
    content = json.loads((folder / "model/pedigree.json").read_text())
    assert content["classes"] == ["blue", "green", "red"]
    assert (content["schema"], content["run_id"]) == (1, "run-1")
    assert content["engine"] in {"openvino-f32", "openvino-bf16", "openvino-int8"}
    assert content["temperature"] == events[-1]["metrics"]["calibration/temperature"]
    assert content["metrics"]["test/top1"] == events[-1]["metrics"]["test/top1"] > 0.6
    assert content["files"].keys() == {"model.xml", "model.bin", "model.safetensors"}
    assert {path.name for path in (folder / "model").iterdir()} == {
        *content["files"],
        "pedigree.json",
    }
    tensors = load_file(folder / "model/model.safetensors")
    assert tensors["head.weight"].shape == (3, 1280) and "backbone.conv_stem.weight" in tensors


def test_what_is_served_is_what_was_tracked(
    photos: Path, lite0_run: tuple[Path, list[dict[str, Any]]]
) -> None:
    check_served_equals_tracked(photos, lite0_run[0])


def test_resnet50_from_a_checkpoint_file_to_a_served_model(photos: Path, tmp_path: Path) -> None:
    from torchvision.models import resnet50

    torch.manual_seed(0)
    torch.save(resnet50(weights=None).state_dict(), tmp_path / "resnet50.pth")
    events = train(photos, tmp_path, tmp_path / "resnet50.pth", "resnet50")
    assert events[-1]["status"] == "succeeded"
    check_served_equals_tracked(photos, tmp_path)


def ml_folder(root: Path, photos: Path, host: str) -> Path:
    """SageMaker's folder of one of two hosts, with the settings of SMALL."""
    (root / "input/config").mkdir(parents=True)
    (root / "input/data/weights").mkdir(parents=True)
    (root / "output").mkdir()
    (root / "input/data/training").symlink_to(photos)
    (root / "input/data/weights/lite0.pth").symlink_to(lite0_weights())
    hyper = dict(
        word.removeprefix("--").split("=") for word in [*SMALL, "--backbone=efficientnet_lite0"]
    )
    resources = {
        "current_host": host,
        "hosts": ["algo-1", "algo-2"],
        "network_interface_name": "eth0",
    }
    (root / "input/config/hyperparameters.json").write_text(json.dumps(hyper))
    (root / "input/config/resourceconfig.json").write_text(json.dumps(resources))
    return root


@contextmanager
def two_hosts(
    photos: Path, folder: Path, *, shared_out: bool = False
) -> Iterator[tuple["subprocess.Popen[str]", "subprocess.Popen[str]"]]:
    """`shared_out` gives each host half of the files (ShardedByS3Key), otherwise all to both."""
    held = share_out(photos, folder / "shares", 2) if shared_out else [photos, photos]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    one, two = (
        ml_folder(folder / name, share, name)
        for name, share in zip(("algo-1", "algo-2"), held, strict=True)
    )
    with (
        launched(SAGEMAKER_BASE_DIR=str(one), **meeting) as first,
        launched(SAGEMAKER_BASE_DIR=str(two), **meeting) as second,
    ):
        yield first, second


def test_two_hosts_with_half_of_the_photos_each_give_the_model_of_one(
    photos: Path, tmp_path: Path, lite0_run: tuple[Path, list[dict[str, Any]]]
) -> None:
    """Tolerance: 1e-3 of the largest weight of the head, 1e-3 in each probability."""
    with two_hosts(photos, tmp_path, shared_out=True) as (first, second):
        code, events, err = finished(first)
        other_code, other_events, other_err = finished(second)
    assert (code, err, other_code, other_err) == (0, "", 0, "")
    alone = load_file(lite0_run[0] / "model/model.safetensors")["head.weight"]
    together = load_file(tmp_path / "algo-1/model/model.safetensors")["head.weight"]
    np.testing.assert_allclose(together, alone, atol=1e-3 * np.abs(alone).max())
    tracked = rows(lite0_run[0] / "output/predictions.jsonl")
    found = rows(tmp_path / "algo-1/output/data/predictions.jsonl")
    assert [row["predicted"] for row in found] == [row["predicted"] for row in tracked]
    np.testing.assert_allclose(
        [row["probability"] for row in found], [row["probability"] for row in tracked], atol=1e-3
    )
    assert settings(events)["hosts"] == 2
    assert {event["event"] for event in other_events} == {"phase", "result"}
    assert {event["host"] for event in other_events} == {"algo-2"}
    assert not (tmp_path / "algo-2/model").exists()
    assert (tmp_path / "algo-2/output/data/events-algo-2.jsonl").exists()


def read_until(process: "subprocess.Popen[str]", phase: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if (event["event"], event.get("name"), event.get("state")) == ("phase", phase, "start"):
            return
    raise AssertionError(f"the run ended before phase {phase}")


@pytest.mark.parametrize(
    ("number", "phase"), [(signal.SIGTERM, "features"), (signal.SIGINT, "setup")]
)
def test_a_stopped_run_says_so_and_leaves_no_model(
    photos: Path, tmp_path: Path, number: signal.Signals, phase: str
) -> None:
    with launched(
        f"--data={photos}",
        *places(tmp_path),
        f"--weights={lite0_weights()}",
        "--backbone=efficientnet_lite0",
        *SMALL,
    ) as process:
        read_until(process, phase)
        process.send_signal(number)
        code, events, err = finished(process)
    assert (code, err) == (128 + number, "")
    assert events[-1]["status"] == "failed" and number.name in events[-1]["message"]
    assert rows(tmp_path / "output/events.jsonl")[-1] == events[-1]
    assert not (tmp_path / "model/pedigree.json").exists()


def digests(folder: Path) -> dict[str, str]:
    files: dict[str, str] = json.loads((folder / "model/pedigree.json").read_text())["files"]
    return files


def read_until_trained(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line).get("name") == "valid/top1":
            return
    raise AssertionError("the run ended before an epoch")


def test_a_run_that_was_stopped_goes_on_to_the_very_model_of_one_that_was_not(
    photos: Path, tmp_path: Path
) -> None:
    """Stopped while the head trains: the features come from the cache, the steps from a checkpoint."""
    kept = tmp_path / "checkpoints"
    argv = [
        *(f"--data={photos}", f"--weights={lite0_weights()}", "--backbone=efficientnet_lite0"),
        *(f"--checkpoints={kept}", "--checkpoint-seconds=0", "--engine=f32"),
        *("--resize=72", "--crop=64", "--batch-size=10", "--epochs=100", "--run-id=run-1"),
    ]
    with launched(*argv, *places(tmp_path / "a")) as process:
        read_until_trained(process)
        process.send_signal(signal.SIGTERM)
        code, events, err = finished(process)
    assert (code, err, events[-1]["status"]) == (143, "", "stopped")
    assert "start the run again with the same settings" in events[-1]["message"]
    assert events[-2]["event"] == "checkpoint"
    assert not (tmp_path / "a/model/pedigree.json").exists()
    with launched(*argv, *places(tmp_path / "b")) as process:
        code, events, err = finished(process)
    assert (code, err) == (0, "")
    assert events[-1]["metrics"]["cache/computed_images"] == 0
    assert [e["step"] for e in events if e.get("name") == "valid/top1"] == list(range(1, 101))
    for folder in kept.glob("head-*"):
        for path in folder.iterdir():
            path.unlink()
    with launched(*argv, *places(tmp_path / "c")) as process:
        assert finished(process)[0] == 0
    assert digests(tmp_path / "b") == digests(tmp_path / "c")


def test_a_host_that_loses_the_other_ends_and_says_whom_it_lost(
    photos: Path, tmp_path: Path
) -> None:
    with two_hosts(photos, tmp_path) as (first, second):
        read_until(second, "features")
        os.killpg(second.pid, signal.SIGKILL)
        code, events, _ = finished(first)
    assert code == 1
    assert "agent of rank 1 on host algo-2 ended without a word" in events[-1]["message"]
    assert "algo-2" in (tmp_path / "algo-1/output/failure").read_text()
    assert not (tmp_path / "algo-1/model/pedigree.json").exists()
