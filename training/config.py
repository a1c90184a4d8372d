"""Every argument of the training program: where it comes from, and how it is sent.

The launcher imports this module to check settings before anything is sent, so it may import
nothing heavy. On a host, `parse` merges, weakest first: the defaults, SageMaker's files under
`/opt/ml/input/config`, the `SM_*` variables, and the arguments.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NoReturn

from training.errors import ConfigError
from training.options import about_field
from training.settings import (
    BACKBONES,
    ENGINES,
    FIELDS,
    ML_DIR,
    TUNABLE,
    TrainConfig,
)

__all__ = [
    "BACKBONES",
    "ENGINES",
    "ML_DIR",
    "TUNABLE",
    "TrainConfig",
    "from_settings",
    "help_text",
    "hyperparameters",
    "parse",
    "to_arguments",
    "unknown_setting",
]
_MAX_FILE_BYTES = 1_000_000
_PLATFORM_KEYS = ("sagemaker_", "_tuning_objective_metric")


def unknown_setting(name: str, known: Sequence[str] = tuple(FIELDS)) -> ConfigError:
    """The error for a setting that does not exist, with the nearest one that does."""
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    return ConfigError(f"unknown setting {name!r}", fix=hint)


def _read(name: str, text: str) -> Any:
    try:
        return FIELDS[name].read(text)
    except ValueError as error:
        fix = f"use {FIELDS[name].bounds()}; it is {FIELDS[name].help}"
        raise ConfigError(f"{name} is {text!r}, which {error}", fix=fix) from None


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def from_settings(settings: Mapping[str, object], **rest: Any) -> TrainConfig:
    """The run for settings as a person wrote them (numbers or text); `rest` are fields as they are.

    Raises ConfigError for an unknown setting or a value out of its range.
    """
    for name in settings:
        if name not in FIELDS:
            raise unknown_setting(name, tuple(TUNABLE))
    return TrainConfig(**{name: _read(name, _text(v)) for name, v in settings.items()}, **rest)


def hyperparameters(config: TrainConfig) -> dict[str, str]:
    """The settings as SageMaker's HyperParameters: text only, without places and hosts."""
    sent = [name for name, about in FIELDS.items() if about.group in ("tunable", "lineage")]
    return {name: _text(getattr(config, name)) for name in sent if getattr(config, name) != ""}


def to_arguments(config: TrainConfig) -> list[str]:
    """The same run as arguments of `python -m training`, for a host that is not SageMaker's."""
    pairs = ((name, _text(getattr(config, name))) for name in FIELDS)
    return [f"--{name.replace('_', '-')}={text}" for name, text in pairs if text]


def _json_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise ValueError(f"over {_MAX_FILE_BYTES} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}", fix="launch the job again") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no JSON object", fix="launch the job again")
    return content


def _plain(text: object) -> str:
    """A hyperparameter's text; older launchers wrap each value in JSON quotes."""
    if isinstance(text, str) and len(text) > 1 and text[0] == text[-1] == '"':
        text = json.loads(text)
    return str(text)


def _from_platform_files(ml_dir: Path) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, value in _json_file(ml_dir / "input/config/hyperparameters.json").items():
        key = name.replace("-", "_")
        if key.startswith(_PLATFORM_KEYS):
            continue
        if key not in FIELDS:
            raise unknown_setting(name)
        given[key] = _plain(value)
    if (ml_dir / "checkpoints").is_dir():  # SageMaker makes it for a job with a CheckpointConfig
        given["checkpoints"] = str(ml_dir / "checkpoints")
    resources = _json_file(ml_dir / "input/config/resourceconfig.json")
    if resources:
        given["hosts"] = ",".join(resources.get("hosts", []))
        given["host"] = str(resources.get("current_host", ""))
        given["network_interface"] = str(resources.get("network_interface_name", ""))
    return given


_VARIABLES: Final = {
    "SM_CHANNEL_TRAINING": "data",
    "SM_CHANNEL_WEIGHTS": "weights",
    "SM_MODEL_DIR": "model_dir",
    "SM_OUTPUT_DATA_DIR": "output_dir",
    "SM_CURRENT_HOST": "host",
    "SM_NETWORK_INTERFACE_NAME": "network_interface",
    "TRAINING_JOB_NAME": "job_name",
}


def _from_variables(env: Mapping[str, str]) -> dict[str, str]:
    given = {name: env[key] for key, name in _VARIABLES.items() if env.get(key)}
    if env.get("SM_HOSTS"):
        try:
            given["hosts"] = ",".join(json.loads(env["SM_HOSTS"]))
        except (ValueError, TypeError):
            raise ConfigError(
                f"SM_HOSTS is {env['SM_HOSTS']!r}", fix='write it as JSON: ["algo-1", "algo-2"]'
            ) from None
    return given


class _Help(Exception):
    """Somebody asked for the help text."""


def _from_arguments(argv: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    words = iter(argv)
    for word in words:
        if word in ("-h", "--help"):
            raise _Help
        flag, equals, value = word.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        if not flag.startswith("--"):
            raise ConfigError(f"{word!r} belongs to no option", fix="write --name value")
        if name not in FIELDS:
            raise unknown_setting(flag, tuple(f"--{n.replace('_', '-')}" for n in FIELDS))
        given[name] = value if equals else _following(words, flag)
    return given


def _following(words: Iterable[str], flag: str) -> str:
    for word in words:
        if not word.startswith("--"):
            return word
        break
    raise ConfigError(f"{flag} has no value", fix=f"write {flag} value or {flag}=value")


def help_text() -> str:
    """What `python -m training --help` prints: every option, its default and its meaning."""
    lines = ["usage: python -m training [--name value]...", ""]
    for item in fields(TrainConfig):
        default = _text(item.default)
        shown = f" (default {default})" if default else ""
        lines.append(f"  --{item.name.replace('_', '-')}{shown}")
        choices = about_field(item).choices
        lines.append(
            f"        {about_field(item).help}" + (f": {', '.join(choices)}" if choices else "")
        )
    return "\n".join(lines)


def _show_help() -> NoReturn:
    print(help_text())  # the one thing this module prints, because it was asked to
    raise SystemExit(0)


def parse(argv: Sequence[str], env: Mapping[str, str], ml_dir: Path = ML_DIR) -> TrainConfig:
    """The run that this host was asked for; `ml_dir` is SageMaker's folder (`/opt/ml`).

    Raises ConfigError, and SystemExit(0) after printing the help for `--help`.
    """
    try:
        arguments = _from_arguments(argv)
    except _Help:
        _show_help()
    given = {**_from_platform_files(ml_dir), **_from_variables(env), **arguments}
    places = {
        item.name: ml_dir / item.default.relative_to(ML_DIR)
        for item in fields(TrainConfig)
        if about_field(item).group == "place" and isinstance(item.default, Path)
    }
    return TrainConfig(**{**places, **{name: _read(name, text) for name, text in given.items()}})
