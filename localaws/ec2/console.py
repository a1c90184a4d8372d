"""An instance's console: everything its programs print, of which EC2 shows the last 64 KB."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path

SHOWN_BYTES = 65_536
_FILE_MAX_BYTES = 50 << 20


class Console:
    """Lines of output: the end in memory, all of it (up to 50 MB) in a file."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._written = 0
        self._file = path.open("ab")

    def add(self, line: str) -> None:
        """One line, without its newline."""
        data = line.encode("utf-8", "replace") + b"\n"
        with self._lock:
            self._lines.append(data)
            self._size += len(data)
            while self._size - len(self._lines[0]) >= SHOWN_BYTES:
                self._size -= len(self._lines.popleft())
            if self._written < _FILE_MAX_BYTES and not self._file.closed:
                self._written += self._file.write(data)
                self._file.flush()

    def shown(self) -> bytes:
        """The last 64 KB."""
        with self._lock:
            return b"".join(self._lines)[-SHOWN_BYTES:]

    def close(self) -> None:
        """Close the file; what is in memory stays."""
        with self._lock:
            self._file.close()
