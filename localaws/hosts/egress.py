"""An HTTP proxy for programs in a network of their own: CONNECT, and plain requests passed on."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from urllib.parse import urlsplit

HEAD_MAX_BYTES = 16_384
CONNECT_S = 30.0
IDLE_S = 300.0
_PIECE = 65_536
_log = logging.getLogger(__name__)


def serve_proxy(listener: socket.socket) -> None:
    """Answer the listener's connections, in threads, until it is closed."""
    threading.Thread(target=_accept, args=(listener,), name="egress", daemon=True).start()


def _accept(listener: socket.socket) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(client,), name="egress", daemon=True).start()


def _serve(client: socket.socket) -> None:
    with client:
        client.settimeout(IDLE_S)
        try:
            head, rest = _read_head(client)
            (host, port), first = _destination(head)
            with socket.create_connection((host, port), CONNECT_S) as server:
                server.settimeout(IDLE_S)
                if first is None:
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                server.sendall((first or b"") + rest)
                _join(client, server)
        except ValueError as error:
            _refuse(client, "400 Bad Request", str(error))
        except OSError as error:
            _refuse(client, "502 Bad Gateway", error.strerror or str(error))


def _read_head(client: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(_PIECE)
        data += piece
        if not piece or len(data) > HEAD_MAX_BYTES:
            raise ValueError("the request's head is incomplete or too long")
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _destination(head: bytes) -> tuple[tuple[str, int], bytes | None]:
    """Where to connect, and the head to send there: None for CONNECT. Raises ValueError."""
    line, *headers = head.decode("latin-1").split("\r\n")
    method, target, _ = line.split(" ", 2)
    if method == "CONNECT":
        host, _, port = target.rpartition(":")
        return (host.strip("[]"), int(port)), None
    url = urlsplit(target)
    if url.scheme != "http" or not url.hostname:
        raise ValueError("this proxy takes CONNECT and http URLs")
    path = f"{url.path or '/'}{'?' + url.query if url.query else ''}"
    kept = [
        h for h in headers if h.partition(":")[0].lower() not in ("proxy-connection", "connection")
    ]
    lines = [f"{method} {path} HTTP/1.1", *kept, "Connection: close", "", ""]
    return (url.hostname, url.port or 80), "\r\n".join(lines).encode("latin-1")


def _join(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until both sides are done."""
    back = threading.Thread(target=_carry, args=(other, one), name="egress", daemon=True)
    back.start()
    _carry(one, other)
    back.join()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE):
            sink.sendall(piece)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _refuse(client: socket.socket, status: str, why: str) -> None:
    body = f"{why}\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with contextlib.suppress(OSError):
        client.sendall(head.encode() + body)
