"""One request as the ASGI server hands it over: its head, its id, and its body with limits."""

from __future__ import annotations

import asyncio
import contextlib
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from serving.errors import RequestError
from serving.inputs.options import ATTRIBUTES, read_attributes

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_ID_HEADERS = ("x-amzn-sagemaker-inference-id", "x-amzn-requestid")


@dataclass(frozen=True, kw_only=True)
class HttpLimits:
    """What one request, and all of them together, may take."""

    max_body_bytes: int = 6_291_456
    body_timeout_s: float = 15.0
    answer_timeout_s: float = 55.0
    max_discarded_bytes: int = 32_000_000
    max_reading: int = 256


def request_id(headers: Mapping[str, str]) -> str:
    """The id that the client gave, else a new one.

    It is X-Request-Id, else `request-id=…` among the custom attributes (of a caller's headers the only
    one that SageMaker passes on to the container), else SageMaker's inference id.
    """
    attributes = read_attributes(headers.get(ATTRIBUTES, ""))
    given = [headers.get("x-request-id", ""), attributes.get("request-id", "")]
    for text in [*given, *(headers.get(name, "") for name in _ID_HEADERS)]:
        if _ID.fullmatch(text):
            return text
    return uuid.uuid4().hex


class Request:
    """Head and body; `bytes_in` counts what has been read of the body."""

    def __init__(self, scope: Message, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: str = scope.get("query_string", b"").decode("latin-1")
        self.headers: Mapping[str, str] = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        self.id = request_id(self.headers)
        self.bytes_in = 0
        self._receive = receive
        self._at_end = False

    async def body(self, limits: HttpLimits) -> bytes:
        """The whole body. Raises RequestError: too large, too slow, or the client left."""
        declared = self.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limits.max_body_bytes:
            raise _too_large(limits)
        try:
            async with asyncio.timeout(limits.body_timeout_s):
                return await self._read(limits)
        except TimeoutError:
            raise RequestError(
                408, "slow_body", "the body did not arrive in time", "send it faster"
            ) from None

    async def discard(self, limits: HttpLimits) -> None:
        """Read on for a while after a refusal: closing at once would cost the client the answer."""
        with contextlib.suppress(TimeoutError, RequestError):
            async with asyncio.timeout(limits.body_timeout_s):
                while not self._at_end and self.bytes_in < limits.max_discarded_bytes:
                    await self._next_part()

    async def _read(self, limits: HttpLimits) -> bytes:
        parts: list[bytes] = []
        while not self._at_end:
            parts.append(await self._next_part())
            if self.bytes_in > limits.max_body_bytes:
                raise _too_large(limits)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _next_part(self) -> bytes:
        message = await self._receive()
        gone = message["type"] == "http.disconnect"
        self._at_end = gone or not message.get("more_body", False)
        if gone:
            raise RequestError(400, "gone", "the client left", "keep the connection open")
        part: bytes = message.get("body", b"")
        self.bytes_in += len(part)
        return part


def _too_large(limits: HttpLimits) -> RequestError:
    return RequestError(
        413,
        "too_many_bytes",
        f"the body is over {limits.max_body_bytes} bytes",
        "send a smaller photo",
    )
