"""The program's edges: wrong arguments, wrong data, and a host without PyTorch."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.training.builders import ROOT, clean_env, write_photos


def run(*argv: str, **env: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, events and error stream of `python -m training`."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "training", *argv],
        cwd=ROOT,
        env=clean_env(**env),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.fixture
def ml_dir(tmp_path: Path) -> Path:
    """SageMaker's folder, empty but for where failures go."""
    (tmp_path / "ml/output").mkdir(parents=True)
    (tmp_path / "ml/input/config").mkdir(parents=True)
    return tmp_path / "ml"


def test_a_wrong_hyperparameter_fails_with_the_fix_in_event_and_file(ml_dir: Path) -> None:
    (ml_dir / "input/config/hyperparameters.json").write_text('{"epoch": "3"}')
    code, events, errors = run(SAGEMAKER_BASE_DIR=str(ml_dir))
    assert code == 2 and errors == ""
    (result,) = events
    assert (result["event"], result["status"]) == ("result", "failed")
    assert "did you mean 'epochs'" in result["message"]
    assert (ml_dir / "output/failure").read_text() == result["message"]
    assert json.loads((ml_dir / "output/data/events.jsonl").read_text()) == result


def test_missing_photos_fail_at_once_and_are_named(ml_dir: Path) -> None:
    code, events, errors = run(SAGEMAKER_BASE_DIR=str(ml_dir))
    assert code == 2 and errors == ""
    assert "there is no data folder" in events[-1]["message"]
    assert (ml_dir / "output/data/events.jsonl").read_text().count("\n") == len(events)
    assert not (ml_dir / "model").exists()


def test_missing_weights_fail_at_once_and_say_where_to_put_them(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    places = [f"--{name}={tmp_path / name}" for name in ("model-dir", "output-dir", "weights")]
    code, events, _ = run(f"--data={photos}", *places)
    assert code == 2
    assert "give --weights one checkpoint" in events[-1]["message"]


def test_a_class_only_in_valid_fails_at_once(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    (photos / "valid/red").rename(photos / "valid/poodle")
    code, events, _ = run(f"--data={photos}", f"--output-dir={tmp_path / 'out'}")
    assert code == 2
    assert "'poodle' is in valid/ but not in train/" in events[-1]["message"]


def test_an_output_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, events, _ = run(f"--output-dir={tmp_path / 'file' / 'out'}")
    assert code == 1
    assert "the output folder cannot be written" in events[-1]["message"]


def test_start_names_a_python_without_torch(tmp_path: Path, ml_dir: Path) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    (bare / "python3").write_text(f'#!/bin/bash\nexec {sys.base_prefix}/bin/python3 -I -S "$@"\n')
    (bare / "python3").chmod(0o755)
    done = subprocess.run(
        ["bash", str(ROOT / "training/start.sh")],
        env=clean_env(PATH=f"{bare}{os.pathsep}/usr/bin:/bin", SAGEMAKER_BASE_DIR=str(ml_dir)),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 1
    assert "has no PyTorch; fix:" in done.stderr
    assert "has no PyTorch" in (ml_dir / "output/failure").read_text()


def test_what_the_host_installs_is_of_the_lock() -> None:
    lock = (ROOT / "requirements.lock").read_text().splitlines()
    wanted = (ROOT / "training/requirements-instance.txt").read_text().splitlines()
    lines = [line.removesuffix("\\").strip() for line in wanted if not line.startswith("#")]
    known = {line.removesuffix("\\").strip() for line in lock}
    assert [line for line in lines if line not in known] == []
    assert [line.partition("==")[0] for line in lines if "==" in line] == [
        "openvino",
        "safetensors",
        "timm",
        "optuna",
        "colorlog",
        "tqdm",
        *("nncf", "tabulate", "rich", "markdown-it-py", "mdurl", "pygments"),
    ]
