"""Every argument: where it comes from, which source wins, and what a wrong one says."""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.builders import ROOT
from training.config import (
    TUNABLE,
    TrainConfig,
    from_settings,
    help_text,
    hyperparameters,
    parse,
    to_arguments,
)
from training.errors import ConfigError


def platform(ml_dir: Path, hyper: Any = None, resources: Any = None) -> Path:
    folder = ml_dir / "input/config"
    folder.mkdir(parents=True)
    if hyper is not None:
        (folder / "hyperparameters.json").write_text(json.dumps(hyper))
    if resources is not None:
        (folder / "resourceconfig.json").write_text(json.dumps(resources))
    return ml_dir


configs = st.builds(
    TrainConfig,
    backbone=st.sampled_from(["resnet50", "efficientnet_lite0"]),
    epochs=st.integers(1, 1000),
    batch_size=st.integers(1, 4096),
    learning_rate=st.floats(1e-9, 10),
    weight_decay=st.floats(0, 1),
    label_smoothing=st.floats(0, 0.9),
    seed=st.integers(0, 2**32 - 1),
    resize=st.integers(224, 512),
    max_unreadable_fraction=st.floats(0, 1),
    run_id=st.text("abc-123", max_size=9),
    code_digest=st.sampled_from(["", "sha256:" + "a" * 64]),
    data=st.sampled_from([Path("/opt/ml/input/data/training"), Path("/data/with space")]),
)


@given(configs)
def test_arguments_bring_the_same_run_to_a_plain_host(config: TrainConfig) -> None:
    assert parse(to_arguments(config), {}) == config


@given(configs)
def test_hyperparameters_are_text_that_sagemaker_takes(config: TrainConfig) -> None:
    sent = hyperparameters(config)
    assert all(isinstance(v, str) and 0 < len(v) <= 2500 for v in sent.values())
    assert "data" not in sent and "hosts" not in sent


def test_hyperparameters_come_back_through_sagemakers_file(tmp_path: Path) -> None:
    config = TrainConfig(
        epochs=3, learning_rate=0.25, run_id="r1", weights_digest="sha256:" + "0" * 64
    )
    found = parse([], {}, platform(tmp_path, hyperparameters(config)))
    assert (found.epochs, found.learning_rate, found.run_id) == (3, 0.25, "r1")
    assert found.data == tmp_path / "input/data/training"
    assert found.model_dir == tmp_path / "model"
    assert found.output_dir == tmp_path / "output/data"
    assert found.weights == tmp_path / "input/data/weights"


def test_later_sources_win(tmp_path: Path) -> None:
    resources = {
        "current_host": "algo-2",
        "hosts": ["algo-1", "algo-2"],
        "network_interface_name": "eth0",
    }
    ml_dir = platform(tmp_path, {"epochs": "3", "learning-rate": "0.5"}, resources)
    env = {"SM_MODEL_DIR": "/models", "SM_CHANNEL_TRAINING": "/photos", "TRAINING_JOB_NAME": "job"}
    found = parse(["--epochs", "7", "--data=/mine"], env, ml_dir)
    assert (found.epochs, found.learning_rate) == (7, 0.5)
    assert (found.data, found.model_dir) == (Path("/mine"), Path("/models"))
    assert (found.host, found.hosts) == ("algo-2", ("algo-1", "algo-2"))
    assert (found.job_name, found.network_interface) == ("job", "eth0")


def test_script_modes_variables_name_the_hosts() -> None:
    found = parse([], {"SM_HOSTS": '["a", "b"]', "SM_CURRENT_HOST": "b"})
    assert (found.hosts, found.host) == (("a", "b"), "b")


def test_quoted_and_foreign_hyperparameters_of_older_launchers(tmp_path: Path) -> None:
    hyper = {"backbone": '"resnet50"', "sagemaker_program": '"train.py"', "epochs": 4}
    assert parse([], {}, platform(tmp_path, hyper)).epochs == 4


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--learning-rte", "1"], "did you mean '--learning-rate'"),
        (["--epochs", "many"], "not a whole number"),
        (["--epochs", "0"], "use a number 1 or more"),
        (["--learning-rate", "0"], "above 0"),
        (["--learning-rate", "nan"], "not a finite number"),
        (["--label-smoothing", "1"], "at most 0.99"),
        (["--backbone", "resnet5"], "did you mean 'resnet50'"),
        (["--crop", "300"], "set resize to 300 or more"),
        (["--epochs"], "has no value"),
        (["--epochs", "--seed"], "has no value"),
        (["train"], "belongs to no option"),
        (["--weights-digest", "abc"], "sha256: and 64 hex digits"),
        (["--hosts", "a,b"], "give --host"),
        (["--hosts", "a,b", "--host", "c"], "not among the hosts"),
    ],
)
def test_a_wrong_argument_names_itself_and_the_fix(argv: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(argv, {})
    assert words in str(caught.value)


def test_an_unknown_hyperparameter_suggests_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        parse([], {}, platform(tmp_path, {"epoch": "3"}))


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_damaged_platform_file_is_named(tmp_path: Path, text: str) -> None:
    platform(tmp_path)
    (tmp_path / "input/config/hyperparameters.json").write_text(text)
    with pytest.raises(ConfigError, match=r"hyperparameters\.json"):
        parse([], {}, tmp_path)


def test_hosts_that_are_no_json_are_named() -> None:
    with pytest.raises(ConfigError, match="SM_HOSTS"):
        parse([], {"SM_HOSTS": "algo-1"})


def test_settings_of_a_person_may_be_numbers_or_text() -> None:
    one = from_settings({"epochs": 3, "learning_rate": "0.5"}, run_id="r")
    assert (one.epochs, one.learning_rate, one.run_id) == (3, 0.5, "r")
    with pytest.raises(ConfigError, match="did you mean 'batch_size'"):
        from_settings({"batchsize": 3})
    with pytest.raises(ConfigError, match="not a whole number"):
        from_settings({"epochs": True})


def test_a_person_may_set_what_shapes_learning_but_not_places() -> None:
    assert "learning_rate" in TUNABLE and all(TUNABLE.values())
    assert not {"data", "model_dir", "run_id", "hosts"} & TUNABLE.keys()


def test_the_help_names_every_option() -> None:
    text = help_text()
    for item in fields(TrainConfig):
        assert f"--{item.name.replace('_', '-')}" in text


def test_help_prints_and_leaves(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parse(["--help"], {})
    assert left.value.code == 0 and "--learning-rate" in capsys.readouterr().out


def test_the_launcher_can_import_it_without_anything_heavy() -> None:
    script = (
        "import sys, training.config;"
        "print(sorted({'torch', 'numpy', 'PIL', 'openvino', 'argparse'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
