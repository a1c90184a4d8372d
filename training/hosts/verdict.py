"""Why a run ends: the first cause, who it was, and how long silence may last. Pure."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Final

PEER_SILENT_S: Final = 10.0
"""Agents do nothing but talk, so a silent one is frozen or cut off."""
WORKER_STOPPED_S: Final = 5.0
WORKER_IDLE_S: Final = 22.0
"""For a worker that neither speaks nor does anything: no page fault, no processor time."""
WORKER_SILENT_S: Final = 900.0
"""For one that is busy in native code that lets no other thread of it run, like loading a library
from a disk that is fetched as it is read."""


@dataclass(frozen=True, kw_only=True)
class Rank:
    """A worker among the hosts."""

    number: int
    host: str

    def __str__(self) -> str:
        return f"rank {self.number} on host {self.host}"


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why the run ends, in words for people."""

    message: str
    fix: str

    def to_dict(self) -> dict[str, str]:
        return {"message": self.message, "fix": self.fix}


def killed(rank: Rank, pid: int, number: int) -> Cause:
    """A worker that a signal ended."""
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    fix = (
        "if nobody killed it the host ran out of memory: use a larger instance or a smaller batch"
        if number == signal.SIGKILL
        else "read its log: it crashed"
    )
    return Cause(message=f"{rank} (process {pid}) was killed by {name}", fix=fix)


def vanished(rank: Rank, code: int) -> Cause:
    """A worker that ended without saying why."""
    return Cause(
        message=f"{rank} ended with exit code {code} and no word", fix="read its log on that host"
    )


def failed(rank: Rank, message: str) -> Cause:
    """A worker that said what went wrong."""
    return Cause(message=f"{rank} failed: {message}", fix=f"read the log of {rank.host}")


def frozen(rank: Rank, pid: int, seconds: float, *, stopped: bool) -> Cause:
    """A worker that is there and does nothing."""
    how = "is stopped (SIGSTOP)" if stopped else "has not answered"
    return Cause(
        message=f"{rank} (process {pid}) {how} for {seconds:.0f} s",
        fix="look at that host; start the run again to go on from its last checkpoint",
    )


def agent_gone(rank: Rank) -> Cause:
    """An agent whose connection closed without a word."""
    return Cause(
        message=f"the agent of {rank} ended without a word: it was killed, or its host is gone",
        fix="start the run again to go on from its last checkpoint",
    )


def agent_silent(rank: Rank, seconds: float) -> Cause:
    """An agent that is connected and silent."""
    return Cause(
        message=f"the agent of {rank} is silent for {seconds:.0f} s: it is frozen or cut off",
        fix="look at that host; start the run again to go on from its last checkpoint",
    )


def absent(ranks: list[Rank], seconds: float) -> Cause:
    """Hosts that never came."""
    who = ", ".join(str(rank) for rank in ranks)
    return Cause(
        message=f"{who} did not come within {seconds:.0f} s",
        fix="read the logs of these hosts; MASTER_ADDR and MASTER_PORT say where to meet",
    )


class Silence:
    """How long somebody has been silent, leaving out the time in which the listener slept itself."""

    def __init__(self, now: float) -> None:
        self._now = self._heard = now

    def heard(self) -> None:
        """They spoke."""
        self._heard = self._now

    def tick(self, now: float) -> float:
        """The seconds of silence at `now`; a gap of over 5 s between two calls counts as none."""
        if now - self._now > 5:
            self._heard += now - self._now
        self._now = now
        return now - self._heard
