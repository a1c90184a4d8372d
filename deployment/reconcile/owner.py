"""Who holds a lease, said so that another process of the same machine can tell that it has died."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A process. `place` names the machine since it started and its process numbering (boot id and
    process namespace); `started` is when the process began, in the kernel's ticks. Empty where the
    system does not tell; then nothing is proved."""

    place: str
    pid: int
    started: str

    @classmethod
    def here(cls) -> Owner:
        """This process."""
        return cls(place=_place(), pid=os.getpid(), started=_started(os.getpid()))

    def as_dict(self) -> dict[str, object]:
        """Plain data, for the lease."""
        return asdict(self)


def is_dead(owner: Mapping[str, object]) -> bool:
    """Whether a lease's owner provably runs no more: it was of this machine, and is gone.

    A process of another machine, or of a system that does not tell, may be alive for all we know.
    """
    place, pid, started = owner.get("place"), owner.get("pid"), owner.get("started")
    if not place or not started or place != _place() or not isinstance(pid, int):
        return False
    return _started(pid) != started


def _place() -> str:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        space = (_PROC / "self/ns/pid").readlink()
    except OSError:
        return ""
    return f"{socket.gethostname()} {boot} {space}"


def _started(pid: int) -> str:
    """When a process began (field 22 of /proc/<pid>/stat); empty if it is none, or a zombie."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
