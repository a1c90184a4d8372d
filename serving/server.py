"""SageMaker's HTTP contract over one model: GET /ping and POST /invocations, as an ASGI app.

The photo's work runs in worker threads, so that /ping answers while the processor is busy.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from serving.predict import Predictor, RequestError

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Log: TypeAlias = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class HttpLimits:
    """What one request, and all of them together, may take."""

    max_body_bytes: int = 6_000_000
    body_timeout_s: float = 15.0
    answer_timeout_s: float = 30.0
    max_discarded_bytes: int = 32_000_000
    max_in_flight: int = 32


@dataclass(frozen=True, kw_only=True)
class _Answer:
    status: int
    body: dict[str, Any]
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(kw_only=True)
class _Request:
    scope: Message
    receive: Receive
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    bytes_in: int = 0
    at_end: bool = False

    async def next_part(self) -> bytes:
        """The next part of the body. Raises RequestError if the client left."""
        message = await self.receive()
        gone = message["type"] == "http.disconnect"
        self.at_end = gone or not message.get("more_body", False)
        if gone:
            raise RequestError(400, "gone", "the client left", "keep the connection open")
        part: bytes = message.get("body", b"")
        self.bytes_in += len(part)
        return part

    def header(self, name: str) -> str:
        for key, value in self.scope["headers"]:
            if key.lower() == name.encode():
                return str(value.decode("latin-1"))
        return ""


def log_line(content: dict[str, Any]) -> None:
    """Write one JSON object as a line on standard output."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


class App:
    """The ASGI application; `threads` photos are worked on at a time."""

    def __init__(
        self,
        predictor: Predictor,
        *,
        threads: int,
        limits: HttpLimits | None = None,
        log: Log = log_line,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._predictor = predictor
        self._limits = limits or HttpLimits()
        self._log = log
        self._clock = clock
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="photo")
        self._in_flight = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"this server speaks HTTP only, not {scope['type']}")
        request, started = _Request(scope=scope, receive=receive), self._clock()
        answer = await self._answer(request)
        await _send(send, answer, request.id)
        error = answer.body.get("error", {})
        self._log(
            {
                "t": round(started, 3),
                "request_id": request.id,
                "method": scope["method"],
                "path": scope["path"][:200],
                "status": answer.status,
                "ms": round((self._clock() - started) * 1000, 2),
                "bytes_in": request.bytes_in,
                **({"error": error["code"]} if error else {}),
            }
        )

    async def _answer(self, request: _Request) -> _Answer:
        try:
            return await self._route(request)
        except RequestError as error:
            await self._discard(request)
            content = {"code": error.code, "message": error.message, "fix": error.fix}
            headers = (("retry-after", "1"),) if error.status in (429, 503) else ()
            return _Answer(status=error.status, body={"error": content}, headers=headers)
        except Exception as error:
            self._log({"request_id": request.id, "fault": f"{type(error).__name__}: {error}"})
            fix = f"try again; if it stays so, give request id {request.id} to the operator"
            content = {"code": "internal", "message": "the server failed", "fix": fix}
            return _Answer(status=500, body={"error": content})

    async def _route(self, request: _Request) -> _Answer:
        method, path = request.scope["method"], request.scope["path"]
        wanted = {"/ping": "GET", "/invocations": "POST"}.get(path)
        if wanted is None:
            raise RequestError(404, "not_found", "no such path", "use /ping or /invocations")
        if method != wanted:
            raise RequestError(
                405, "method", f"{path} does not take {method[:20]}", f"use {wanted}"
            )
        if path == "/ping":
            version = self._predictor.archive.version
            return _Answer(status=200, body={"status": "ok", "model_version": version})
        return _Answer(status=200, body=await self._invoke(request))

    async def _invoke(self, request: _Request) -> dict[str, Any]:
        if self._in_flight >= self._limits.max_in_flight:
            raise RequestError(429, "busy", "too many requests at once", "try again in a second")
        self._in_flight += 1
        try:
            body = await self._body(request)
            work = self._pool.submit(self._predictor.answer, body, request.header("content-type"))
        except BaseException:
            self._in_flight -= 1
            raise
        return await self._result(work)

    async def _result(self, work: Future[dict[str, Any]]) -> dict[str, Any]:
        """Wait for a worker; its place is free again only when it has really finished."""
        waiting = asyncio.wrap_future(work)
        waiting.add_done_callback(self._leave)
        try:
            return await asyncio.wait_for(asyncio.shield(waiting), self._limits.answer_timeout_s)
        except TimeoutError:
            raise RequestError(
                503, "too_slow", "the photo took too long", "try again, or send a smaller photo"
            ) from None

    def _leave(self, done: asyncio.Future[dict[str, Any]]) -> None:
        self._in_flight -= 1
        if not done.cancelled():
            done.exception()  # seen, should nobody wait any more

    async def _body(self, request: _Request) -> bytes:
        declared = request.header("content-length")
        if declared.isdecimal() and int(declared) > self._limits.max_body_bytes:
            raise self._too_large()
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                return await self._read(request)
        except TimeoutError:
            raise RequestError(
                408, "slow_body", "the body did not arrive in time", "send it faster"
            ) from None

    async def _read(self, request: _Request) -> bytes:
        parts: list[bytes] = []
        while not request.at_end:
            parts.append(await request.next_part())
            if request.bytes_in > self._limits.max_body_bytes:
                raise self._too_large()
        return b"".join(parts)

    async def _discard(self, request: _Request) -> None:
        """Read on for a while after a refusal: closing at once would cost the client the answer."""
        with contextlib.suppress(TimeoutError, RequestError):
            async with asyncio.timeout(self._limits.body_timeout_s):
                while not request.at_end and request.bytes_in < self._limits.max_discarded_bytes:
                    await request.next_part()

    def _too_large(self) -> RequestError:
        limit = self._limits.max_body_bytes
        return RequestError(
            413, "too_many_bytes", f"the body is over {limit} bytes", "send a smaller photo"
        )


async def _send(send: Send, answer: _Answer, request_id: str) -> None:
    body = json.dumps(answer.body).encode()
    headers = [
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("x-request-id", request_id),
        ("x-content-type-options", "nosniff"),
        *answer.headers,
    ]
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
