"""How much memory a process and its descendants hold."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_PROC = Path("/proc")
_KIB_PER_MB = 1024
_STATUS_BYTES = 16 * 1024


def resident_mb(pid: int) -> int:
    """Resident memory of the process and all its descendants now, in MB; 0 when it is gone."""
    if not sys.platform.startswith("linux"):
        return _ps_mb(pid)
    return sum(_status_kib(each, "VmRSS") for each in _family(pid)) // _KIB_PER_MB


def peak_mb(pid: int) -> int:
    """The most resident memory the process itself ever held, in MB; 0 when it is gone."""
    if not sys.platform.startswith("linux"):
        return _ps_mb(pid)
    return _status_kib(pid, "VmHWM") // _KIB_PER_MB


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


def _status_kib(pid: int, field: str) -> int:
    """Read without `Path` and text layers: it is asked after each invocation."""
    try:
        file = os.open(f"{_PROC}/{pid}/status", os.O_RDONLY)
    except OSError:
        return 0
    try:
        text = os.read(file, _STATUS_BYTES)
    except OSError:  # it ended meanwhile
        return 0
    finally:
        os.close(file)
    _, _, rest = text.partition(f"\n{field}:".encode())
    return int(rest.split(maxsplit=1)[0]) if rest else 0


def _ps_mb(pid: int) -> int:
    """Where there is no /proc (macOS): the process alone."""
    shown = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return int(shown.stdout.strip() or 0) // _KIB_PER_MB
