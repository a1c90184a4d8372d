"""The output of one process as lines, with a way to be sure that nothing is left in the pipe."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable

from localaws.hosts.linepump import cut_lines

_READ_BYTES = 64 * 1024


class OutputTap:
    """A pipe whose write end is given to a process, and the thread that reads it.

    A program writes its lines before it reports its result; `drain` delivers all lines that were
    written before the call, so that they can be told from those of the next piece of work.
    """

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._buffer = bytearray()
        self._lock = threading.Lock()
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._at_end = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start reading, once the process holds the write end."""
        os.close(self.write_fd)
        self._thread = threading.Thread(target=self._follow, name="lambda-output", daemon=True)
        self._thread.start()

    def drain(self) -> None:
        """Deliver everything written so far."""
        with self._lock:
            self._read_available()

    def wait_end(self, timeout_s: float) -> bool:
        """Wait until every writer has closed the pipe and all lines were delivered."""
        return self._at_end.wait(timeout_s)

    def _follow(self) -> None:
        poller = select.poll()
        poller.register(self._read_fd, select.POLLIN | select.POLLHUP)
        ended = False
        while not ended:
            poller.poll()
            with self._lock:
                ended = self._read_available()
        with self._lock:
            if self._buffer:
                self._on_line(self._buffer.decode("utf-8", "replace"))
                self._buffer.clear()
            os.close(self._read_fd)
            self._read_fd = -1
        self._at_end.set()

    def _read_available(self) -> bool:
        """Read until the pipe is empty; True at its end. Needs the lock."""
        while self._read_fd >= 0:
            try:
                chunk = os.read(self._read_fd, _READ_BYTES)
            except BlockingIOError:
                return False
            if not chunk:
                return True
            self._buffer += chunk
            for line in cut_lines(self._buffer):
                self._on_line(line.decode("utf-8", "replace"))
        return True
