"""Ends what localaws started when localaws itself is gone.

Runs as a program of its own (``python -I -S reaper.py MARK``) and is also imported by
``localaws.hosts.processes``, so it may use the standard library only and nothing of this package.

As a program it reads lines from standard input, the read end of a pipe that only the server
holds open: ``+PGID`` names a process group that was started, ``-PGID`` one that ended. When the
pipe closes, in whatever way the server died, every group still listed is ended, and so is every
process whose environment carries the mark (a child that moved to a session of its own).
"""

# os and open, because pathlib is slow to import and this starts with every server.
# ruff: noqa: PTH112, PTH123, PTH208

import os
import signal
import sys
import time
from collections.abc import Iterable

MARK_VARIABLE = "LOCALAWS_PROCESS"
GRACE_S = 2.0
_POLL_S = 0.05


def marked_pids(mark: str) -> list[int]:
    """Processes whose first environment has MARK_VARIABLE equal to `mark` or below it.

    A server marks with ``<server>.<number>``, so ``<server>`` finds all that it started. Only
    Linux shows the environment of another process; elsewhere the answer is empty.
    """
    wanted = f"{MARK_VARIABLE}={mark}".encode()
    found = []
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    for name in names:
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as stream:
                entries = stream.read().split(b"\0")
        except OSError:
            continue
        if any(entry == wanted or entry.startswith(wanted + b".") for entry in entries):
            found.append(int(name))
    return found


def living(groups: Iterable[int]) -> set[int]:
    """Those of the process groups that have a member which is not a zombie."""
    groups = {group for group in groups if signal_group(group, 0)}
    if not os.path.isdir("/proc/self"):
        return groups
    found = set()
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stream:
                state, _, group = stream.read().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if state != "Z" and int(group) in groups:
            found.add(int(group))
    return found


def signal_group(group: int, signum: int) -> bool:
    """Signal a process group; False when nothing of it is left."""
    try:
        os.killpg(group, signum)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def signal_marked(mark: str, signum: int) -> bool:
    """Signal every marked process; False when there was none."""
    pids = marked_pids(mark)
    for pid in pids:
        try:
            os.kill(pid, signum)
        except (ProcessLookupError, PermissionError):
            continue
    return bool(pids)


def kill_marked(mark: str, rounds: int = 20) -> None:
    """SIGKILL marked processes until none is left: one may fork while the list is read."""
    for _ in range(rounds):
        if not signal_marked(mark, signal.SIGKILL):
            return
        time.sleep(_POLL_S / 10)


def end_all(groups: Iterable[int], mark: str, grace_s: float = GRACE_S) -> None:
    """SIGTERM to all groups and marked processes, `grace_s` of patience, then SIGKILL."""
    left = set(groups)
    marked = marked_pids(mark)
    for group in left:
        signal_group(group, signal.SIGTERM)
    signal_marked(mark, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline:
        left = living(left)
        if not left and not marked_pids(mark):
            break
        time.sleep(_POLL_S)
    for group in left:
        signal_group(group, signal.SIGKILL)
    kill_marked(mark)
    await_gone(marked)


def await_gone(pids: Iterable[int], limit_s: float = GRACE_S) -> None:
    """Wait for processes that end: one that leaves a file tree has lost its mark before it is gone."""
    deadline = time.monotonic() + limit_s
    left = list(pids)
    while left and time.monotonic() < deadline:
        left = [pid for pid in left if _is_there(pid)]
        if left:
            time.sleep(_POLL_S / 10)


def _is_there(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False


def watch(mark: str) -> None:
    """Follow the server's pipe on standard input to its end, then end what is left."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    end_all(groups, mark)


if __name__ == "__main__":
    watch(sys.argv[1])
