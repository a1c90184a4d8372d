"""The experiment file: what a person writes, checked before anything else is done."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from experiments.errors import SpecError
from training.config import TUNABLE

Launcher = Literal["sagemaker", "ec2"]
_NAME = re.compile(r"[a-z0-9](-?[a-z0-9])*")
_INSTANCE_TYPE = re.compile(r"(ml\.)?[a-z0-9-]+\.[a-z0-9-]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_SPEC_BYTES = 256 * 1024


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _check_name(value: str) -> str:
    if not _NAME.fullmatch(value) or len(value) > 24:
        raise ValueError("use at most 24 lower-case letters, digits and single hyphens")
    return value


class RunSpec(_Part):
    """One run: where it trains and what differs from the experiment's settings."""

    name: str
    on: Launcher
    instance_type: str
    instance_count: int = Field(default=1, ge=1, le=20)
    max_runtime_s: int = Field(default=3600, ge=60, le=432_000)
    volume_gb: int = Field(default=30, ge=8, le=16_384)
    budget_usd: Decimal | None = Field(default=None, gt=0, le=1_000_000, strict=False)
    spot: bool = False
    max_wait_s: int | None = Field(default=None, ge=60, le=864_000)
    checkpoints: bool = True
    warm_pool_s: int = Field(default=0, ge=0, le=3600)
    shell: bool = False
    train: dict[str, int | float | str | bool] = Field(default_factory=dict)

    _name = field_validator("name")(_check_name)

    @model_validator(mode="after")
    def _type_fits_launcher(self) -> RunSpec:
        if not _INSTANCE_TYPE.fullmatch(self.instance_type):
            raise ValueError(f"instance_type {self.instance_type!r} is not of the form c5.xlarge")
        if (self.on == "sagemaker") != self.instance_type.startswith("ml."):
            other = self.instance_type.removeprefix("ml.")
            good = f"ml.{other}" if self.on == "sagemaker" else other
            raise ValueError(f"instance_type on {self.on} is written {good!r}")
        if self.on == "ec2" and self.instance_count != 1:
            raise ValueError("instance_count on ec2 is 1; use `on: sagemaker` for several hosts")
        return self

    @model_validator(mode="after")
    def _spot_can_be_interrupted(self) -> RunSpec:
        if self.spot and not self.checkpoints:
            raise ValueError("spot without checkpoints loses all work when AWS takes the host back")
        if self.max_wait_s is not None and not self.spot:
            raise ValueError(
                "max_wait_s is the time that spot capacity is waited for; add spot: true"
            )
        if self.max_wait_s is not None and self.max_wait_s < self.max_runtime_s:
            raise ValueError("max_wait_s counts waiting and running: it is at least max_runtime_s")
        if self.warm_pool_s and (self.spot or self.on == "ec2"):
            raise ValueError(
                "warm_pool_s keeps on-demand SageMaker hosts; neither spot nor ec2 has it"
            )
        return self

    @property
    def longest_s(self) -> int:
        """Seconds from the launch after which the run is over at the latest, spot's waits included."""
        if not self.spot:
            return self.max_runtime_s
        return self.max_wait_s if self.max_wait_s is not None else 2 * self.max_runtime_s


class ExperimentSpec(_Part):
    """One experiment: the data, the training settings, and the runs to compare."""

    experiment: str
    app: str
    region: str = "us-east-1"
    data: str = "demo"
    weights: str
    weights_sha256: str | None = None
    dependencies: Literal["wheels", "image"] | None = None
    budget_usd: Decimal | None = Field(default=None, gt=0, le=1_000_000, strict=False)
    train: dict[str, int | float | str | bool] = Field(default_factory=dict)
    runs: tuple[RunSpec, ...] = Field(min_length=1, max_length=50, strict=False)

    _names = field_validator("experiment", "app")(_check_name)

    @field_validator("weights_sha256")
    @classmethod
    def _whole_digest(cls, value: str | None) -> str | None:
        if value is not None and not _SHA256.fullmatch(value):
            raise ValueError("a SHA-256 is 64 hex digits in lower case")
        return value

    @model_validator(mode="after")
    def _runs_differ(self) -> ExperimentSpec:
        names = [run.name for run in self.runs]
        if len(set(names)) != len(names):
            raise ValueError("two runs have the same name; give each its own")
        for where, settings in [("train", self.train), *((r.name, r.train) for r in self.runs)]:
            for key in settings:
                if key not in TUNABLE:
                    raise ValueError(f"{where}: {_unknown(key, TUNABLE)}")
        return self

    def with_settings(self, settings: Mapping[str, int | float | str | bool]) -> ExperimentSpec:
        """The same experiment with these training settings for every run."""
        runs = [run.model_copy(update={"train": {**run.train, **settings}}) for run in self.runs]
        return self.model_copy(update={"runs": tuple(runs)})

    def settings_for(self, run: RunSpec) -> dict[str, int | float | str | bool]:
        """The training settings of one run: the experiment's, with the run's own on top."""
        return {**self.train, **run.train}


def _unknown(key: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    near = difflib.get_close_matches(key, list(known), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
    return f"unknown key {key!r}; {hint}"


def _explain(error: ValidationError) -> tuple[str, str]:
    # A misspelt key is told before the key that is missing because of it.
    first = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        part = RunSpec if "runs" in first["loc"] else ExperimentSpec
        return f"{where}: {_unknown(key, tuple(part.model_fields))}", "correct or remove the key"
    if first["type"] == "missing":
        return f"{where} is missing", f"add `{first['loc'][-1]}:` to the file"
    message = first["msg"].removeprefix("Value error, ")
    given = first.get("input")
    shown = f" (given: {given!r})" if isinstance(given, str | int | float | bool) else ""
    if where.endswith("instance_count"):
        return (
            f"{where} is {given!r}",
            "use 1, or 2 and more for distributed training (at most 20)",
        )
    if where.endswith(".on"):
        return f"{where}{shown}: {message}", f"use one of {', '.join(get_args(Launcher))}"
    return f"{where}{shown}: {message}", "correct this line of the experiment file"


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans, so that `on` is a word and not true; a key that stands twice is refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        words = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for word in words:
            if words.count(word) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {word!r} stands twice", node.start_mark
                )
        return super().construct_mapping(node, deep=deep)


_NOT_GUESSED = {"tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp"}
_Loader.yaml_implicit_resolvers = {
    letter: [pair for pair in pairs if pair[0] not in _NOT_GUESSED]
    for letter, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def parse_spec(text: str, *, source: str = "the experiment file") -> ExperimentSpec:
    """Read an experiment from YAML text. Raises SpecError naming the place and the fix."""
    try:
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SpecError(f"{source} is not YAML: {error}", fix="mend the YAML") from error
    if not isinstance(content, dict):
        raise SpecError(
            f"{source} holds no settings", fix="start from specs/demo.yaml; keys at the left margin"
        )
    try:
        return ExperimentSpec.model_validate(content)
    except ValidationError as error:
        message, fix = _explain(error)
        raise SpecError(f"{source}: {message}", fix=fix) from error


def load_spec(path: Path) -> ExperimentSpec:
    """Read an experiment file (at most 256 KiB)."""
    if not path.is_file():
        raise SpecError(f"there is no experiment file {path}", fix="see specs/ for examples")
    if path.stat().st_size > _MAX_SPEC_BYTES:
        raise SpecError(f"{path} is over 256 KiB", fix="an experiment file is a page of YAML")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SpecError(f"{path} is not UTF-8 text: {error}", fix="save it as UTF-8") from error
    return parse_spec(text, source=str(path))
