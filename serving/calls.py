"""What the HTTP side hands to a model, and what it gets back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

JSON_TYPE = "application/json"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One POST /invocations. Header names are in lower case; `deadline_at` is on the clock of
    `time.monotonic`, infinite where the client set none."""

    body: bytes
    headers: Mapping[str, str]
    attributes: Mapping[str, str]
    query: str
    request_id: str
    deadline_at: float

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")

    @property
    def accept(self) -> str:
        return self.headers.get("accept", "")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer; `log` holds what the request's log line tells of it besides."""

    body: bytes
    content_type: str = JSON_TYPE
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    log: Mapping[str, Any] = field(default_factory=dict)


class Place(Protocol):
    """Room for a number of photographs; to be left once their work has really ended."""

    def leave(self) -> None: ...


class Gate(Protocol):
    """Lets work in while there is room. `enter` raises RequestError 429 when there is none, or when
    the work would end after `deadline_at`."""

    def enter(self, photos: int, *, deadline_at: float) -> Place: ...


class Model(Protocol):
    """What answers: a classifier of ours, or the script that somebody packed with a model."""

    @property
    def version(self) -> str: ...

    async def answer(self, call: Call, gate: Gate) -> Reply:
        """Raises RequestError for the client's faults, HandlerError for the script's."""
        ...
