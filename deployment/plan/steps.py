"""A plan's parts: steps in AWS's words, what must be true after each, and the whole with its price."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from deployment.monthly import Monthly
from experiments.records import Call


class Phase(StrEnum):
    """Which part of a promotion a step belongs to; they follow each other in this order."""

    PREPARE = "prepare"
    """Touches nothing that answers requests."""
    MODEL = "model"
    """The endpoint takes the release's model."""
    FRONT = "front"
    """The alias takes the release's function version, once that was tried."""
    CLEAN = "clean"
    """What is needed no more is let go."""


@dataclass(frozen=True, kw_only=True)
class Wait:
    """What must be true of an answer before the next step.

    `call` is asked until every member named in `until` has one of its values. As long as a member
    named in `moving` has one of its values, AWS is at work; anything else that stays so is a
    failure, whose reason stands in the member `reason`. With `gone`, the wait is for the thing to
    be there no more.
    """

    call: Call
    until: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    moving: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reason: str = ""
    limit_s: int = 300
    gone: bool = False


@dataclass(frozen=True, kw_only=True)
class Step:
    """One request and the wait after it; either may be missing.

    `keep` names members of the answer that later steps need (member: word), `fill` says where they
    go (parameter: word). A parameter to be filled holds the expected value, so that the plan reads
    and checks as it will be sent.
    """

    phase: Phase
    call: Call | None = None
    wait: Wait | None = None
    keep: Mapping[str, str] = field(default_factory=dict)
    fill: Mapping[str, str] = field(default_factory=dict)

    @property
    def why(self) -> str:
        first = self.call or (self.wait.call if self.wait else None)
        return first.why if first else ""

    @property
    def title(self) -> str:
        """`service operation`, or what is waited for."""
        if self.call is not None:
            return f"{self.call.service} {self.call.operation}"
        return "wait"


@dataclass(frozen=True, kw_only=True)
class ReleasePlan:
    """What making a release live will do, and what it costs a month before and after.

    `basis_digest` names the world that the plan was made for. `version` is the function version that
    the alias will point to. A plan without steps has nothing to do in AWS.
    """

    release_id: str
    steps: tuple[Step, ...]
    basis_digest: str
    version: str
    before: Monthly | None
    after: Monthly
    notes: tuple[str, ...] = ()


def shown(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters for people and JSON: bytes as their size and digest."""
    return {key: _shown(value) for key, value in params.items()}


def _shown(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"<{len(value)} bytes, sha256:{hashlib.sha256(value).hexdigest()[:12]}>"
    if isinstance(value, Mapping):
        return shown(value)
    if isinstance(value, (list, tuple)):
        return [_shown(item) for item in value]
    return value
