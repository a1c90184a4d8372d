"""How much memory a process and its descendants hold."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path

_PROC = Path("/proc")
_KIB_PER_MB = 1024
_STATUS_BYTES = 16 * 1024


def resident_mb(pid: int) -> int:
    """Resident memory of the process and all its descendants now, in MB; 0 when it is gone."""
    if not sys.platform.startswith("linux"):
        return _ps_mb(pid)
    return sum(_status_kib(each, "VmRSS") for each in _family(pid)) // _KIB_PER_MB


class PeakGauge:
    """The most resident memory that one process itself ever held.

    It is read after each invocation, while other threads want the interpreter: one call of the system
    into an open file, not three.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._lock = threading.Lock()
        self._file = -1
        with contextlib.suppress(OSError):  # it has ended, or there is no /proc
            self._file = os.open(_status(pid), os.O_RDONLY | os.O_CLOEXEC)

    def read_mb(self) -> int:
        """In MB; 0 when the process is gone."""
        if not sys.platform.startswith("linux"):
            return _ps_mb(self._pid)
        try:
            with self._lock:
                text = os.pread(self._file, _STATUS_BYTES, 0)
        except OSError:
            return 0
        return _kib(text, "VmHWM") // _KIB_PER_MB

    def close(self) -> None:
        """Let the file go; may be called again."""
        with self._lock:
            file, self._file = self._file, -1
            if file >= 0:
                os.close(file)


def _family(pid: int) -> list[int]:
    found, waiting = [], [pid]
    while waiting:
        parent = waiting.pop()
        found.append(parent)
        try:
            tasks = list((_PROC / str(parent) / "task").iterdir())
        except OSError:
            continue
        for task in tasks:
            try:
                children = (task / "children").read_text()
            except OSError:
                continue
            waiting.extend(int(child) for child in children.split())
    return found


def _status(pid: int) -> Path:
    return _PROC / str(pid) / "status"


def _status_kib(pid: int, field: str) -> int:
    try:
        return _kib(_status(pid).read_bytes(), field)
    except OSError:
        return 0


def _kib(text: bytes, field: str) -> int:
    """A field of a process's status; 0 if it has none any more."""
    _, _, rest = text.partition(f"\n{field}:".encode())
    return int(rest.split(maxsplit=1)[0]) if rest else 0


def _ps_mb(pid: int) -> int:
    """Where there is no /proc (macOS): the process alone."""
    shown = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return int(shown.stdout.strip() or 0) // _KIB_PER_MB
