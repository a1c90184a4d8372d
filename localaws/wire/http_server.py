"""A small HTTP/1.1 server for one WSGI application, on a loopback address.

werkzeug's own server closes the connection after each answer; this one keeps it open, sends small
answers in one packet without delay, and asks for a body (`100 Continue`) only when it is read.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import io
import logging
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from werkzeug.exceptions import ClientDisconnected
from werkzeug.serving import DechunkedInput

log = logging.getLogger("localaws.http")

_IDLE_TIMEOUT_S = 120.0
_POLL_S = 0.1
_DRAIN_BYTES = 16 << 20
_JOIN_BYTES = 1 << 16

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Body(io.RawIOBase):
    """The request's body: knows where it ends, and says 100 Continue at the first read."""

    def __init__(
        self, source: io.BufferedIOBase, length: int | None, proceed: Callable[[], None] | None
    ) -> None:
        super().__init__()
        self._source: Any = source if length is not None else DechunkedInput(cast(Any, source))
        self._left = length
        self._proceed = proceed
        self.finished = length == 0

    @property
    def is_awaited(self) -> bool:
        """Whether the client still waits for 100 Continue before it sends the body."""
        return self._proceed is not None and not self.finished

    @property
    def left(self) -> int | None:
        """Unread bytes; None when the client did not say."""
        return self._left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.finished:
            return 0
        if self._proceed is not None:
            self._proceed()
            self._proceed = None
        view = memoryview(buffer)
        if self._left is not None:
            view = view[: self._left]
        try:
            count: int = self._source.readinto(view) or 0
        except OSError as error:
            raise ClientDisconnected from error
        if self._left is None:
            self.finished = count == 0
        elif count == 0:
            raise ClientDisconnected
        else:
            self._left -= count
            self.finished = self._left == 0
        return count


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = _IDLE_TIMEOUT_S
    server: HttpServer

    def handle_expect_100(self) -> bool:
        return True  # _Body answers it, when the body is wanted.

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)

    def handle(self) -> None:
        self.server.connections.add(self.connection)
        try:
            with contextlib.suppress(ConnectionError, TimeoutError):
                super().handle()
        finally:
            self.server.connections.discard(self.connection)

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
            return
        if len(self.raw_requestline) > 65536:
            self.requestline = self.request_version = self.command = ""
            self.send_error(414)
            return
        if not self.parse_request():
            return
        body = self._body()
        if body is None:
            self.send_error(400, "Bad Content-Length or Transfer-Encoding")
            self.close_connection = True
            return
        self._answer(body)

    def _body(self) -> _Body | None:
        lengths = self.headers.get_all("Content-Length", [])
        coding = self.headers.get("Transfer-Encoding", "").lower()
        if coding:
            if coding != "chunked" or lengths:
                return None
            length = None
        else:
            if len(set(lengths)) > 1 or not all(t.isascii() and t.isdigit() for t in lengths):
                return None
            length = int(lengths[0]) if lengths else 0
        expects = self.headers.get("Expect", "").lower() == "100-continue"
        proceed = self._proceed if expects else None
        return _Body(self.rfile, length, proceed)

    def _proceed(self) -> None:
        self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _answer(self, body: _Body) -> None:
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc: Any = None) -> None:
            started[:] = [status, headers]

        parts = self.server.app(self._environ(body), start_response)
        try:
            self._send(started[0], started[1], parts, body)
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()
        self._finish_body(body)

    def _environ(self, body: _Body) -> dict[str, Any]:
        path, _, query = self.path.partition("?")
        environ: dict[str, Any] = {
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": body,
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path.encode("latin-1")).decode("latin-1"),
            "QUERY_STRING": query,
            "REQUEST_URI": self.path,
            "RAW_URI": self.path,
            "REMOTE_ADDR": self.client_address[0],
            "SERVER_NAME": str(self.server.server_address[0]),
            "SERVER_PORT": str(self.server.server_address[1]),
            "SERVER_PROTOCOL": self.request_version,
            # As sent: a WSGI environment cannot tell `my_key` from `my-key`.
            "localaws.headers": list(self.headers.items()),
        }
        for name, value in self.headers.items():
            if "_" not in name:
                key = name.upper().replace("-", "_")
                key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
                environ[key] = f"{environ[key]},{value}" if key in environ else value
        return environ

    def _send(
        self, status: str, headers: list[tuple[str, str]], parts: Iterable[bytes], body: _Body
    ) -> None:
        names = {name.lower() for name, _ in headers}
        code = int(status.split(" ", 1)[0])
        bodiless = self.command == "HEAD" or code in (204, 304)
        chunked = not bodiless and "content-length" not in names
        lines = [f"{self.protocol_version} {status}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if "date" not in names:
            lines.append(f"Date: {self.date_time_string()}")
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        if body.is_awaited or (body.left or 0) > _DRAIN_BYTES:
            self.close_connection = True
        if self.close_connection:
            lines.append("Connection: close")
        pending = "\r\n".join([*lines, "", ""]).encode("latin-1")
        for part in parts if not bodiless else ():
            if not part:
                continue
            data = b"%x\r\n%b\r\n" % (len(part), part) if chunked else part
            if len(pending) + len(data) <= _JOIN_BYTES:
                pending += data
            else:
                self.connection.sendall(pending)
                self.connection.sendall(data)
                pending = b""
        self.connection.sendall(pending + (b"0\r\n\r\n" if chunked else b""))

    def _finish_body(self, body: _Body) -> None:
        """Read what the application left, so that the next request is found; or give up."""
        budget = _DRAIN_BYTES
        while not body.finished and not body.is_awaited and budget > 0:
            try:
                budget -= len(body.read(_JOIN_BYTES) or b"")
            except (ClientDisconnected, TimeoutError):
                break
        if not body.finished:
            self.close_connection = True


class HttpServer(socketserver.ThreadingTCPServer):
    """A thread for each connection. `port` 0 takes a free one; see `port` afterwards."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, port: int, app: App) -> None:
        self.app = app
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that is bound."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Accept connections, in a thread of its own."""
        target = functools.partial(self.serve_forever, poll_interval=_POLL_S)
        self._thread = threading.Thread(target=target, name="http", daemon=True)
        self._thread.start()

    def also_accept(self, listener: socket.socket) -> None:
        """Answer the connections of one more listener, until that is closed."""
        threading.Thread(target=self._accept, args=(listener,), name="http", daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, address = listener.accept()
            except OSError:
                return
            self.process_request(connection, address)

    def close(self) -> None:
        """Accept no more and cut every connection."""
        if self._thread is not None:
            self.shutdown()
            self._thread.join()
        self.server_close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A fault outside the application; the connection is closed by the caller."""
        log.exception("connection from %s", client_address)
