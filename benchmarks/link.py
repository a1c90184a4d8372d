"""The load generator's connection: as little work as HTTP/1.1 with Content-Length allows."""

from __future__ import annotations

import asyncio
import time


class Gone(Exception):
    """The connection ended; `fresh` if this was its first request, `begun` if an answer had begun."""

    def __init__(self, *, fresh: bool, begun: bool) -> None:
        super().__init__()
        self.fresh, self.begun = fresh, begun


class Link(asyncio.Protocol):
    """One kept HTTP/1.1 connection: a request at a time, answers with a Content-Length."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[tuple[int, float]] | None = None
        self._held = bytearray()
        self._used = False
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self.is_open = transport, True

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, float]]:
        """The answer's status and the time it was whole. Raises Gone in the future."""
        self._answer = asyncio.get_running_loop().create_future()
        self._held.clear()
        if self.is_open:
            self._transport.write(request)
        else:
            self.connection_lost(None)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._held += data
        end = self._held.find(b"\r\n\r\n")
        if end < 0 or self._answer is None:
            return
        head = bytes(self._held[:end]).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(self._held) < end + 4 + length:
            return
        if b"connection: close" in head:
            self.is_open = False
            self._transport.close()
        answer, self._answer, self._used = self._answer, None, True
        if not answer.done():
            answer.set_result((int(head[9:12]), time.perf_counter()))

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Gone(fresh=not self._used, begun=bool(self._held)))
