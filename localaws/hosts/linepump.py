"""Turns the output pipes of a process into lines as they are written."""

import logging
import os
import selectors
from collections.abc import Callable, Mapping
from typing import IO

LINE_LIMIT_BYTES = 256 * 1024
_READ_BYTES = 64 * 1024
_log = logging.getLogger(__name__)


def cut_lines(buffer: bytearray, limit: int = LINE_LIMIT_BYTES) -> list[bytes]:
    """Take the whole lines off the front of `buffer`; what is over `limit` is taken in pieces."""
    lines = []
    while True:
        end = buffer.find(b"\n", 0, limit + 1)
        if end >= 0:
            lines.append(bytes(buffer[:end]))
            del buffer[: end + 1]
        elif len(buffer) >= limit:
            lines.append(bytes(buffer[:limit]))
            del buffer[:limit]
        else:
            return lines


def pump_lines(streams: Mapping[str, IO[bytes]], on_line: Callable[[str, str], None]) -> None:
    """Call `on_line(name, line)` until every stream has ended; text is UTF-8, faults replaced."""
    buffers = {name: bytearray() for name in streams}
    with selectors.DefaultSelector() as selector:
        for name, stream in streams.items():
            selector.register(stream, selectors.EVENT_READ, name)
        while selector.get_map():
            for key, _ in selector.select():
                name, buffer = key.data, buffers[key.data]
                chunk = os.read(key.fd, _READ_BYTES)
                buffer += chunk
                if not chunk:
                    selector.unregister(key.fileobj)
                    streams[name].close()
                    if buffer and not buffer.endswith(b"\n"):
                        buffer += b"\n"
                for line in cut_lines(buffer):
                    _deliver(on_line, name, line)


def _deliver(on_line: Callable[[str, str], None], name: str, line: bytes) -> None:
    try:
        on_line(name, line.decode("utf-8", "replace"))
    except Exception:
        # The reader must go on: a full pipe would block the program that writes to it.
        _log.exception("a line of output could not be delivered")
