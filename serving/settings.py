"""What the environment asks of the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from serving.errors import SettingError
from serving.inputs.bucket import BucketSettings
from serving.inputs.web import SETTING as URL_HOSTS
from serving.inputs.web import is_host

ENGINES: Final = ("openvino", "torch")
_LONGEST_TIMEOUT_S = 3600


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every variable is described in docs/serving.md. `threads` 0: one for each core."""

    model_dir: Path
    engine: str
    bind: str
    port: int
    url_hosts: frozenset[str]
    buckets: BucketSettings
    threads: int
    streams: int
    max_batch: int
    queue: int
    answer_timeout_s: float
    drain_s: int
    ends_with_input: bool

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Settings:
        """Raises SettingError."""
        return cls(
            model_dir=Path(env.get("SM_MODEL_DIR") or "/opt/ml/model"),
            engine=_engine(env),
            bind=env.get("PEDIGREE_BIND") or "0.0.0.0",  # noqa: S104  (in the image; see Dockerfile)
            port=_number(env, "SAGEMAKER_BIND_TO_PORT", 8080, 1, 65_535),
            url_hosts=_hosts(env),
            buckets=BucketSettings.of(env),
            threads=_number(env, "PEDIGREE_THREADS", 0, 0, 1024),
            streams=_number(env, "PEDIGREE_STREAMS", 1, 1, 1024),
            max_batch=_number(env, "PEDIGREE_MAX_BATCH", 0, 0, 64),
            queue=_number(env, "PEDIGREE_QUEUE", 32, 1, 10_000),
            answer_timeout_s=_number(
                env, "SAGEMAKER_MODEL_SERVER_TIMEOUT", 55, 1, _LONGEST_TIMEOUT_S
            ),
            drain_s=_number(env, "PEDIGREE_DRAIN_S", 25, 1, _LONGEST_TIMEOUT_S),
            ends_with_input=bool(_number(env, "PEDIGREE_END_WITH_INPUT", 0, 0, 1)),
        )


def _number(env: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = env.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and least <= int(text) <= most):
        raise SettingError(f"{name} is {text!r}", fix=f"use a number from {least} to {most}")
    return int(text)


def _engine(env: Mapping[str, str]) -> str:
    name = env.get("PEDIGREE_ENGINE") or ENGINES[0]
    if name not in ENGINES:
        raise SettingError(f"PEDIGREE_ENGINE is {name!r}", fix=f"use {' or '.join(ENGINES)}")
    return name


def _hosts(env: Mapping[str, str]) -> frozenset[str]:
    hosts = frozenset(env.get(URL_HOSTS, "").replace(",", " ").split())
    for host in sorted(hosts):
        if not is_host(host):
            raise SettingError(
                f"{URL_HOSTS} has {host!r}",
                fix="list full host names in lower case, without scheme, port or address",
            )
    return hosts
