"""SageMaker's HTTP contract over one model, as an ASGI app: /ping, /invocations and /metrics.

The model's work runs in worker threads, so that /ping answers while the processor is busy.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable
from typing import Any, Final

from serving.calls import Call, Model, Reply
from serving.errors import HandlerError, RequestError
from serving.http.admission import Admission
from serving.http.exchange import HttpLimits, Message, Receive, Request, Send
from serving.http.log import Log, log_line
from serving.http.metrics import Metrics
from serving.inputs.options import ATTRIBUTES, allowed_s, read_attributes
from serving.models.classifier import too_late

METHODS: Final = {"/ping": "GET", "/invocations": "POST", "/metrics": "GET"}
_SHED: Final = ("busy", "would_be_late", "deadline_passed")
_INFERENCE_ID: Final = "x-amzn-sagemaker-inference-id"
_RETRY_AFTER_S: Final = "1"


class App:
    """The ASGI application. `draining` is set from outside when the server is told to stop."""

    def __init__(
        self,
        model: Model,
        admission: Admission,
        metrics: Metrics,
        *,
        limits: HttpLimits | None = None,
        log: Log = log_line,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.draining = False
        self._model = model
        self._admission = admission
        self._metrics = metrics
        self._limits = limits or HttpLimits()
        self._log = log
        self._clock = clock
        self._monotonic = monotonic
        self._reading = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"this server speaks HTTP only, not {scope['type']}")
        request, started = Request(scope, receive), self._monotonic()
        reply = await self._reply(request)
        await self._send(send, reply, request)
        seconds = self._monotonic() - started
        path = request.path if request.path in METHODS else "other"
        self._metrics.answered(path, reply.status, seconds)
        if path == "/invocations" or reply.status >= 400:
            self._log_request(request, reply, seconds)

    def begin_drain(self) -> None:
        """/ping fails from now on, and every answer ends its connection."""
        self.draining = True
        self._metrics.draining()

    async def _reply(self, request: Request) -> Reply:
        try:
            return await self._route(request)
        except RequestError as error:
            await request.discard(self._limits)
            if error.code in _SHED:
                self._metrics.shed(error.code)
            return error_reply(error)
        except HandlerError as error:
            self._log({"request_id": request.id, "fault": error.message, "trace": error.trace})
            return _internal(request.id, "model_code", "the model's code failed")
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"
            self._log({"request_id": request.id, "fault": fault})
            return _internal(request.id, "internal", "the server failed")

    async def _route(self, request: Request) -> Reply:
        wanted = METHODS.get(request.path)
        if wanted is None:
            raise RequestError(
                404, "not_found", "no such path", "use /ping, /invocations or /metrics"
            )
        if request.method != wanted:
            said = f"{request.path} does not take {request.method[:20]}"
            raise RequestError(405, "method", said, f"use {wanted}")
        if request.path == "/ping":
            return self._ping()
        if request.path == "/metrics":
            return Reply(body=self._metrics.text(), content_type=Metrics.CONTENT_TYPE)
        return await self._invoke(request)

    def _ping(self) -> Reply:
        state = "draining" if self.draining else "ok"
        content = {"status": state, "model_version": self._model.version}
        return Reply(body=json.dumps(content).encode(), status=503 if self.draining else 200)

    async def _invoke(self, request: Request) -> Reply:
        attributes = read_attributes(request.headers.get(ATTRIBUTES, ""))
        allowed = allowed_s(request.headers, attributes, self._clock())
        deadline_at = self._monotonic() + allowed if allowed < math.inf else math.inf
        if allowed <= 0:
            raise too_late()
        body = await self._body(request)
        call = Call(
            body=body,
            headers=request.headers,
            attributes=attributes,
            query=request.query,
            request_id=request.id,
            deadline_at=deadline_at,
        )
        return await self._answer(call)

    async def _body(self, request: Request) -> bytes:
        if self._reading >= self._limits.max_reading:
            raise RequestError(429, "busy", "too many requests at once", "try again in a second")
        self._reading += 1
        try:
            return await request.body(self._limits)
        finally:
            self._reading -= 1

    async def _answer(self, call: Call) -> Reply:
        left = call.deadline_at - self._monotonic()
        if left <= 0:
            raise too_late()
        try:
            async with asyncio.timeout(min(left, self._limits.answer_timeout_s)):
                return await self._model.answer(call, self._admission)
        except TimeoutError:
            if self._monotonic() >= call.deadline_at:
                raise too_late() from None
            raise RequestError(
                503, "too_slow", "the answer took too long", "try again, or send a smaller photo"
            ) from None

    async def _send(self, send: Send, reply: Reply, request: Request) -> None:
        headers = [
            ("content-type", reply.content_type),
            ("content-length", str(len(reply.body))),
            ("x-request-id", request.id),
            ("x-content-type-options", "nosniff"),
            *reply.headers,
        ]
        if _INFERENCE_ID in request.headers:
            headers.append((_INFERENCE_ID, request.headers[_INFERENCE_ID][:128]))
        if self.draining:
            headers.append(("connection", "close"))
        encoded = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in headers]
        await send({"type": "http.response.start", "status": reply.status, "headers": encoded})
        await send({"type": "http.response.body", "body": reply.body})

    def _log_request(self, request: Request, reply: Reply, seconds: float) -> None:
        line: dict[str, Any] = {
            "t": round(self._clock() - seconds, 3),
            "request_id": request.id,
            "method": request.method[:20],
            "path": request.path[:200],
            "status": reply.status,
            "ms": round(seconds * 1000, 2),
            "bytes_in": request.bytes_in,
        }
        self._log(line | dict(reply.log))


def error_reply(error: RequestError) -> Reply:
    """A refusal in JSON, with the time to come back where that helps."""
    content = {"code": error.code, "message": error.message, "fix": error.fix}
    retry = (("retry-after", _RETRY_AFTER_S),) if error.status in (429, 503) else ()
    body = json.dumps({"error": content}).encode()
    return Reply(body=body, status=error.status, headers=retry, log={"error": error.code})


def _internal(number: str, code: str, message: str) -> Reply:
    fix = f"try again; if it stays so, give request id {number} to the operator"
    body = json.dumps({"error": {"code": code, "message": message, "fix": fix}}).encode()
    return Reply(body=body, status=500, log={"error": code})
