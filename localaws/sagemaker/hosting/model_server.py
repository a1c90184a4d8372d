"""The loopback connection to one model server: /ping and /invocations over kept connections."""

from __future__ import annotations

import http.client
import socket
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

PING_LIMIT_S = 2.0
INVOCATION_LIMIT_S = 60.0
MAX_BODY_BYTES = 6_291_456
_KEPT = 32
_given_ports: deque[int] = deque(maxlen=64)
_ports_lock = threading.Lock()
_STALE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class Unreachable(Exception):
    """The request did not reach the server."""


class Broken(Exception):
    """The connection was lost while the server had the request."""


class TimedOut(Exception):
    """No answer within the limit."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The server's answer; `body` is None when it is larger than SageMaker passes on."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


class ModelServer:
    """Speaks to 127.0.0.1:`port`; safe to use from many threads."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: deque[http.client.HTTPConnection] = deque()
        self._closed = False

    def ping(self) -> bool:
        """Whether GET /ping answers 200 within 2 seconds."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PING_LIMIT_S)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def invoke(
        self, body: bytes, headers: Mapping[str, str], limit_s: float = INVOCATION_LIMIT_S
    ) -> Reply:
        """POST /invocations. Raises `Unreachable`, `Broken` or `TimedOut`."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            try:
                return self._exchange(connection, body, headers, limit_s)
            except Broken as error:
                # The server closed a connection that it had kept; it never saw this request.
                if not isinstance(error.__cause__, _STALE):
                    raise
        return self._exchange(self._connect(limit_s), body, headers, limit_s)

    def close(self) -> None:
        """Close the kept connections and keep no more."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _connect(self, limit_s: float) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=limit_s)
        try:
            connection.connect()
        except OSError as error:
            raise Unreachable(str(error)) from error
        return connection

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        body: bytes,
        headers: Mapping[str, str],
        limit_s: float,
    ) -> Reply:
        try:
            if connection.sock is not None:
                connection.sock.settimeout(limit_s)
            connection.request("POST", "/invocations", body, dict(headers))
            response = connection.getresponse()
            content = response.read(MAX_BODY_BYTES + 1)
        except TimeoutError as error:
            connection.close()
            raise TimedOut from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Broken(str(error)) from error
        whole = len(content) <= MAX_BODY_BYTES
        if whole and not response.will_close and not self._closed and len(self._idle) < _KEPT:
            self._idle.append(connection)
        else:
            connection.close()
        if self._closed:
            self.close()
        return Reply(
            status=response.status,
            headers={name.lower(): value for name, value in response.getheaders()},
            body=content if whole else None,
        )


def free_port() -> int:
    """A loopback port that nobody listens on; not given twice within 64 calls."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port: int = probe.getsockname()[1]
        with _ports_lock:
            if port not in _given_ports:
                _given_ports.append(port)
                return port
