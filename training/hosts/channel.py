"""Short messages, one JSON object a line, over a socket or a pair of pipes that never blocks."""

from __future__ import annotations

import json
import os
import socket
from typing import Any, Final

_MOST: Final = 64 * 1024


class Channel:
    """Both ends of a conversation; `closed` once the other side has gone or talks nonsense."""

    def __init__(self, reading: int, writing: int, sock: socket.socket | None = None) -> None:
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        self._reading, self._writing, self._sock = reading, writing, sock
        self._heard = b""
        self._unsent = b""
        self.closed = False

    @classmethod
    def on(cls, sock: socket.socket) -> Channel:
        """A channel over a connected socket, which it keeps open."""
        return cls(sock.fileno(), sock.fileno(), sock)

    def fileno(self) -> int:
        return self._reading

    def send(self, **message: Any) -> None:
        """Send, or keep for the next call what does not fit; too much unsent closes the channel."""
        self._unsent += json.dumps(message).encode() + b"\n"
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._writing, self._unsent) :]
        except BlockingIOError:
            self.closed |= len(self._unsent) > _MOST
        except OSError:
            self.closed = True

    def receive(self) -> list[dict[str, Any]]:
        """The whole messages that have come."""
        try:
            while data := os.read(self._reading, 65536):
                self._heard += data
                if len(self._heard) > _MOST:
                    self.closed = True
                    return []
            self.closed = True
        except BlockingIOError:
            pass
        except OSError:
            self.closed = True
        *lines, self._heard = self._heard.split(b"\n")
        try:
            found = [json.loads(line) for line in lines]
        except ValueError:
            found, self.closed = [], True
        return [message for message in found if isinstance(message, dict)]

    def close(self) -> None:
        """Hang up."""
        self.closed = True
        if self._sock is not None:
            self._sock.close()
            return
        for end in {self._reading, self._writing}:
            os.close(end)
