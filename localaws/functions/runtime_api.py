"""The Lambda Runtime API (2018-06-01) for one execution environment, on a loopback port.

Requests are read by hand and every answer is sent in one piece with TCP_NODELAY: with the
standard library's server a warm invocation costs 40 ms of delayed acknowledgements.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

PAYLOAD_MAX_BYTES = 6_291_556
_HEAD_MAX_BYTES = 2 * 1024 * 1024  # the runtime may send an X-Ray cause of 1 MB in a header
_READ_BYTES = 64 * 1024
_SENT_AT_ONCE_BYTES = 32 * 1024  # what a connection's empty buffers always take
_PREFIX = "/2018-06-01/runtime/"
_REASONS = {200: "OK", 202: "Accepted", 400: "Bad Request", 404: "Not Found", 413: "Too Large"}

AnswerKind = Literal["response", "error", "init_error", "too_large", "exited"]


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """One event for the runtime. `deadline_ms` is epoch milliseconds."""

    request_id: str
    payload: bytes
    deadline_ms: int
    function_arn: str
    trace_id: str
    client_context: str | None = None

    def headers(self) -> dict[str, str]:
        """The headers of the answer to `next`."""
        found = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": self.request_id,
            "Lambda-Runtime-Deadline-Ms": str(self.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": self.function_arn,
            "Lambda-Runtime-Trace-Id": self.trace_id,
        }
        if self.client_context is not None:
            found["Lambda-Runtime-Client-Context"] = self.client_context
        return found


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What became of an invocation or of the initialisation."""

    kind: AnswerKind
    body: bytes = b""
    error_type: str = ""


@dataclass(frozen=True, kw_only=True)
class _Request:
    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    too_large: bool = False


class RuntimeApi:
    """Hands one invocation at a time to the runtime and its answer back to the invoker."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._offered: Invocation | None = None
        self._waiting: socket.socket | None = None
        self._running: str | None = None
        self._answer: Answer | None = None
        self._ready = False
        self._closed = False
        self._connections: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=8)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        _start("lambda-api", self._accept)

    def wait_ready(self, timeout_s: float) -> Answer | None:
        """None when the runtime asks for its first event or the time is over; else its failure."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._answer is not None, timeout_s)
            return self._answer

    @property
    def ready(self) -> bool:
        """Whether the runtime has asked for an event."""
        return self._ready

    def offer(self, invocation: Invocation) -> None:
        """Give the runtime its next event: at once if it waits for one, else when it asks."""
        with self._changed:
            if self._answer is None or self._answer.kind != "exited":
                self._answer = None
            self._running = invocation.request_id
            waiting, self._waiting = self._waiting, None
            self._offered = invocation if waiting is None else None
        if waiting is None:
            return
        event = _event(invocation)
        if len(event) <= _SENT_AT_ONCE_BYTES:
            _send(waiting, event)
        else:  # a process that stands still must not hold the one who waits for its time-out
            _start("lambda-api-event", _send, waiting, event)

    def take_answer(self, timeout_s: float) -> Answer | None:
        """The answer to the event that was offered, or None when the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._answer is not None, timeout_s)
            return self._answer

    def report_exit(self) -> None:
        """The runtime's process has ended: nobody need wait for it any more."""
        with self._changed:
            if self._answer is None:
                self._answer = Answer(kind="exited")
            self._changed.notify_all()

    def close(self) -> None:
        """Stop answering; a runtime that waits for its next event loses the connection."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            # Wakes the thread in accept, which a close from here would not do everywhere.
            socket.create_connection(self._listener.getsockname(), timeout=1).close()

    def _accept(self) -> None:
        with self._listener:
            while True:
                try:
                    connection, _ = self._listener.accept()
                except OSError:
                    return
                with self._changed:
                    if self._closed:
                        connection.close()
                        return
                    self._connections.add(connection)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _start("lambda-api-connection", self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        buffer = bytearray()
        try:
            while (request := _read_request(connection, buffer)) is not None:
                answer = self._route(request, connection)
                if answer:
                    connection.sendall(answer)
        except (OSError, ValueError):
            pass  # The runtime went away or spoke no HTTP: its process tells the rest.
        finally:
            with self._changed:
                self._connections.discard(connection)
                if self._waiting is connection:
                    self._waiting = None
            connection.close()

    def _route(self, request: _Request, connection: socket.socket) -> bytes:
        parts = request.path.removeprefix(_PREFIX).split("/")
        match (request.method, *parts):
            case ("GET", "invocation", "next"):
                return self._next(connection)
            case ("POST", "invocation", request_id, "response"):
                return self._finish(request_id, _answer_of(request, "response"), request.too_large)
            case ("POST", "invocation", request_id, "error"):
                return self._finish(request_id, _answer_of(request, "error"), request.too_large)
            case ("POST", "init", "error"):
                with self._changed:
                    self._answer = _answer_of(request, "init_error")
                    self._changed.notify_all()
                return _response(202, b'{"status":"OK"}')
        return _response(404, b'{"errorMessage":"No such path","errorType":"NotFound"}')

    def _next(self, connection: socket.socket) -> bytes:
        """The event that is there; nothing if none is, and `offer` answers on the connection."""
        with self._changed:
            self._ready = True
            self._changed.notify_all()
            invocation, self._offered = self._offered, None
            self._waiting = connection if invocation is None else None
        return b"" if invocation is None else _event(invocation)

    def _finish(self, request_id: str, answer: Answer, too_large: bool) -> bytes:
        with self._changed:
            if request_id != self._running:
                text = '{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}'
                return _response(400, text.encode())
            self._running, self._answer = None, answer
            self._changed.notify_all()
        if too_large:
            message = f"Exceeded maximum allowed payload size ({PAYLOAD_MAX_BYTES} bytes)."
            error = {"errorMessage": message, "errorType": "RequestEntityTooLarge"}
            return _response(413, json.dumps(error).encode())
        return _response(202, b'{"status":"OK"}')


def _event(invocation: Invocation) -> bytes:
    return _response(200, invocation.payload, invocation.headers())


def _send(connection: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):  # its process ended: `report_exit` tells
        connection.sendall(data)


def _answer_of(request: _Request, kind: AnswerKind) -> Answer:
    if request.too_large:
        return Answer(kind="too_large")
    error_type = request.headers.get("lambda-runtime-function-error-type", "")
    return Answer(kind=kind, body=request.body, error_type=error_type)


def _read_request(connection: socket.socket, buffer: bytearray) -> _Request | None:
    """The next request on the connection; None at its end. A body over the limit is dropped."""
    while (end := buffer.find(b"\r\n\r\n")) < 0:
        if len(buffer) > _HEAD_MAX_BYTES:
            raise ValueError("the head of the request is too long")
        if not _receive(connection, buffer):
            return None
    first, *lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    del buffer[: end + 4]
    method, path, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in map(_field, lines)}
    if "transfer-encoding" in headers:
        raise ValueError("streamed responses are not done here")
    length = int(headers.get("content-length", "0"))
    if headers.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = _read_body(connection, buffer, length)
    return _Request(
        method=method, path=path, headers=headers, body=body or b"", too_large=body is None
    )


def _field(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def _read_body(connection: socket.socket, buffer: bytearray, length: int) -> bytes | None:
    left = length
    keep = length <= PAYLOAD_MAX_BYTES
    while left > len(buffer):
        if not keep:
            left -= len(buffer)
            buffer.clear()
        if not _receive(connection, buffer):
            raise ValueError("the connection ended inside a body")
    body = bytes(buffer[:left])
    del buffer[:left]
    return body if keep else None


def _receive(connection: socket.socket, buffer: bytearray) -> bool:
    chunk = connection.recv(_READ_BYTES)
    buffer += chunk
    return bool(chunk)


def _response(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    fields = {"Content-Type": "application/json", **(headers or {}), "Content-Length": len(body)}
    lines = [f"HTTP/1.1 {status} {_REASONS[status]}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _start(name: str, target: object, *args: object) -> None:
    threading.Thread(target=target, args=args, name=name, daemon=True).start()  # type: ignore[arg-type]
