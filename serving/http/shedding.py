"""A connection that refuses in a few microseconds when there is no room.

Under ten times the load, nine of ten requests are refused, and what a refusal costs is taken from the
answers. So a plain POST /invocations that meets a full server is answered from bytes made beforehand,
and its body is read past; everything else goes the whole way through h11 and the app.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import socket
import uuid
from typing import Any, ClassVar, Final, Protocol

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_TIMEOUT_S: Final = 15.0
MAX_CONNECTIONS: Final = 1024
_START: Final = b"POST /invocations"
_END: Final = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*(?=\r\n)", re.IGNORECASE)
_SPECIAL = re.compile(rb"\r\n(?:transfer-encoding|expect|upgrade|connection)[ \t]*:", re.IGNORECASE)
_ID = re.compile(
    rb"\r\nx-(?:(?:request-id|amzn-sagemaker-inference-id):[ \t]*"
    rb"|amzn-sagemaker-custom-attributes:(?:[^\r\n]*[ \t,;:])?request-id=)"
    rb"([A-Za-z0-9._:/+=@-]{1,128})[ \t]*(?=[\r,;])",
    re.IGNORECASE,
)
_MAX_SKIPPED: Final = 6_291_456


class Sheds(Protocol):
    """What decides whether a request is refused unread, and hears of what never reaches the app."""

    def refuses(self) -> bool: ...
    def malformed(self) -> None: ...


def _refusal() -> tuple[bytes, bytes]:
    error = {
        "code": "busy",
        "message": "more requests come than can be answered",
        "fix": "try again in a second",
    }
    body = json.dumps({"error": error}).encode()
    head = (
        b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
        b"x-content-type-options: nosniff\r\ncontent-length: %d\r\nx-request-id: " % len(body)
    )
    return head, _END + body


_HEAD, _TAIL = _refusal()
_MINE: Final = uuid.uuid4().hex[:20].encode()
_NUMBERS = itertools.count()


def skippable(data: bytes) -> int:
    """Bytes of head and body of the plain request that `data` begins with; 0 for any other one."""
    end = data.find(_END)
    if end < 0 or not data.startswith(_START) or data[len(_START)] not in b" ?":
        return 0
    head = data[: end + 2]
    lengths = _LENGTH.findall(head)
    if len(lengths) != 1 or head.lower().count(b"content-length") != 1 or _SPECIAL.search(head):
        return 0
    length = int(lengths[0])
    return end + len(_END) + length if length <= _MAX_SKIPPED else 0


def refusal_for(data: bytes) -> bytes:
    """The whole answer to the request whose head `data` begins with, under the id it brought."""
    found = _ID.search(data, 0, data.find(_END) + 2)
    number = found[1] if found else b"%b-%d" % (_MINE, next(_NUMBERS))
    return b"".join((_HEAD, number, _TAIL))


class SheddingProtocol(H11Protocol):
    """uvicorn's h11 connection with a quick way out, and a limit on how long a head may take."""

    gate: ClassVar[Sheds]
    head_timeout_s: ClassVar[float] = HEAD_TIMEOUT_S
    max_connections: ClassVar[int] = MAX_CONNECTIONS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._skip = 0
        self._refused_at = float("-inf")
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        link = transport.get_extra_info("socket")
        if link is not None:  # asyncio leaves Nagle's delay on sockets that were accepted
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self.connections) > self.max_connections:
            transport.abort()
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Refuse at once if nothing else is going on and there is no room; else as uvicorn does."""
        if self._skip:
            passed = min(self._skip, len(data))
            self._skip -= passed
            data = data[passed:]
            if not data:
                return
        if self._is_between() and (whole := skippable(data)) and self.gate.refuses():
            self._refuse(data, whole)
            if len(data) > whole:
                self.data_received(data[whole:])
            return
        super().data_received(data)
        if self._is_answered() and self.conn.trailing_data[0]:
            self._expect_head()
        else:
            self._stop_timer()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered in JSON like every other fault, and the connection closed."""
        error = {"code": "bad_http", "message": msg, "fix": "speak HTTP/1.1"}
        body = json.dumps({"error": error}).encode()
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        self.transport.close()
        self.gate.malformed()

    def _refuse(self, data: bytes, whole: int) -> None:
        self.transport.write(refusal_for(data))
        self._skip = max(0, whole - len(data))
        self._stop_timer()
        self._refused_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._keep_alive_for(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that is silent; a refusal counts, though it set no new timer."""
        left = self._refused_at + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._keep_alive_for(left)
        else:
            super().timeout_keep_alive_handler()

    def _keep_alive_for(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _is_between(self) -> bool:
        """Whether the last request has its answer and nothing of the next one is held."""
        idle = self.conn.our_state is h11.IDLE and self.conn.their_state is h11.IDLE
        return self._is_answered() and idle and not self.conn.trailing_data[0]

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_timeout_s, self._give_up)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if self._is_answered() and not self.transport.is_closing():
            self.transport.close()


def protocol_for(
    shed: Sheds,
    *,
    head_s: float = HEAD_TIMEOUT_S,
    connections: int = MAX_CONNECTIONS,
) -> type[SheddingProtocol]:
    """The connection class of one server, for uvicorn's `http` setting.

    A head that is not whole after `head_s` ends its connection; one over `connections` is dropped.
    """

    class Bound(SheddingProtocol):
        gate = shed
        head_timeout_s = head_s
        max_connections = connections

    return Bound
