"""One agent on each host, outside the worker: it sees the worker die or freeze, tells the other
agents, and ends the worker when the run has to end. It imports no torch and does nothing slow.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NoReturn

from training.errors import ClusterError
from training.hosts.channel import Channel
from training.hosts.cluster import Rendezvous
from training.hosts.lifeline import BEAT_S, Lifeline
from training.hosts.peers import Peers, open_peers
from training.hosts.verdict import (
    PEER_SILENT_S,
    WORKER_IDLE_S,
    WORKER_SILENT_S,
    WORKER_STOPPED_S,
    Cause,
    Rank,
    Silence,
    failed,
    frozen,
    killed,
    vanished,
)

_TICK_S: Final = 0.2
_STOP_GRACE_S: Final = 110.0
_LAST_WORDS_S: Final = PEER_SILENT_S + 3
STOPS: Final = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a worker's run ended. `cause` is None if the worker gave its own account."""

    code: int
    cause: Cause | None


class Agent:
    """Watches one worker, which it has forked."""

    def __init__(self, *, me: Rank, pid: int, channel: Channel, peers: Peers) -> None:
        self._me, self._pid, self._worker, self._peers = me, pid, channel, peers
        now = time.monotonic()
        self._silence, self._idle, self._stopped = Silence(now), Silence(now), Silence(now)
        self._activity: tuple[str, ...] = ()
        self._beat_at = 0.0
        self._told_port = False
        self._word: dict[str, str] = {}
        self._kill_at = float("inf")

    def watch(self) -> Ending:
        """Until the worker has ended, by itself or because the run has to."""
        waking, _ = _wake_on_signals(self._forward)
        while True:
            ends = [waking] if self._worker.closed else [waking, self._worker.fileno()]
            select.select(ends, [], [], _TICK_S)
            with suppress(BlockingIOError):
                os.read(waking, 64)
            now = time.monotonic()
            self._hear(now)
            cause = self._peers.tick(now)
            ended = self._reap()
            if ended is not None:
                return self._after(ended, cause)
            cause = cause or self._fault(now)
            if cause is not None:
                self._end_worker()
                return self._settle(1, cause)

    def _forward(self, number: int) -> None:
        """Pass a request to stop on to the worker, which has its time to write a checkpoint."""
        if self._kill_at == float("inf"):
            self._kill_at = time.monotonic() + _STOP_GRACE_S
            with suppress(ProcessLookupError):
                os.kill(self._pid, number)

    def _hear(self, now: float) -> None:
        if now - self._beat_at >= BEAT_S and not self._worker.closed:
            self._beat_at = now
            self._worker.send(kind="beat")
        if self._peers.port and not self._told_port:
            self._worker.send(kind="meet", port=self._peers.port)
            self._told_port = True
        for message in self._worker.receive() if not self._worker.closed else ():
            self._silence.heard()
            if message.get("kind") in ("failed", "stopped", "lost"):
                self._word = {name: str(message.get(name)) for name in ("kind", "message")}

    def _fault(self, now: float) -> Cause | None:
        is_stopped, activity = _look(self._pid)
        if not is_stopped:
            self._stopped.heard()
        if activity != self._activity:
            self._activity = activity
            self._idle.heard()
        stopped, silent = self._stopped.tick(now), self._silence.tick(now)
        limit = WORKER_IDLE_S if self._idle.tick(now) > WORKER_IDLE_S else WORKER_SILENT_S
        if stopped > WORKER_STOPPED_S:
            return frozen(self._me, self._pid, stopped, stopped=True)
        if silent > limit and not self._worker.closed:
            return frozen(self._me, self._pid, silent, stopped=False)
        if now > self._kill_at:
            return frozen(self._me, self._pid, _STOP_GRACE_S, stopped=False)
        if self._word.get("kind") == "lost":
            return self._await_cause()
        return None

    def _await_cause(self) -> Cause:
        """The worker lost another host; whoever knows why will say so within seconds."""
        until = time.monotonic() + _LAST_WORDS_S
        while time.monotonic() < until:
            cause = self._peers.tick(time.monotonic())
            if cause is not None:
                return cause
            time.sleep(_TICK_S)
        return failed(self._me, self._word["message"])

    def _reap(self) -> int | None:
        """The worker's wait status, once it has ended."""
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        return status if pid else None

    def _after(self, status: int, cause: Cause | None) -> Ending:
        """The worker ended by itself."""
        self._hear(time.monotonic())
        code = os.waitstatus_to_exitcode(status)
        kind = self._word.get("kind")
        if code == 0 or kind == "stopped":
            self._peers.tell_end(None)
            self._peers.close()
            return Ending(code=code, cause=None)
        if cause is not None:
            return self._settle(1, cause)
        if code < 0:
            return self._settle(1, killed(self._me, self._pid, -code))
        if kind == "failed":  # its own account stands; the others hear whose it is
            self._peers.tell_end(failed(self._me, self._word["message"]))
            self._linger()
            return Ending(code=code, cause=None)
        return self._settle(code, self._await_cause() if kind else vanished(self._me, code))

    def _settle(self, code: int, cause: Cause) -> Ending:
        self._peers.tell_end(cause)
        self._linger()
        return Ending(code=code, cause=cause)

    def _linger(self) -> None:
        """Let the last message leave before hanging up."""
        time.sleep(_TICK_S)
        self._peers.close()

    def _end_worker(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)  # ends a stopped process too
        os.waitpid(self._pid, 0)


def supervise(
    meeting: Rendezvous,
    me: Rank,
    hosts: tuple[str, ...],
    work: Callable[[Lifeline], int],
    *,
    under_torchrun: bool = False,
) -> Ending:
    """Fork a worker that runs `work`, and be its agent until it ends. Raises ClusterError if the
    agents cannot meet; the worker is gone then too.

    Under torchrun the port of `meeting` is that of its own store, so the agents meet at the next.
    """
    pid, channel = fork_worker(work)
    try:
        place = replace(meeting, port=meeting.port + under_torchrun)
        peers = open_peers(place, me, hosts, meeting.port if under_torchrun else 0)
        return Agent(me=me, pid=pid, channel=channel, peers=peers).watch()
    except ClusterError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def fork_worker(work: Callable[[Lifeline], int]) -> tuple[int, Channel]:
    """Fork a worker that runs `work` and exits with its answer; returns its pid and the line to it.

    Call before any thread is started.
    """
    up_read, up_write = os.pipe()
    down_read, down_write = os.pipe()
    agent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # until either side attends to them
    pid = os.fork()
    if pid:
        os.close(up_write)
        os.close(down_read)
        return pid, Channel(up_read, down_write)
    os.close(up_read)
    os.close(down_write)
    lifeline = Lifeline(Channel(down_read, up_write), agent)
    code = 1
    try:
        lifeline.start()
        code = work(lifeline)
    finally:
        leave(code)


def leave(code: int) -> NoReturn:
    """Exit at once: at a plain exit the threads of gloo may abort a finished run."""
    with suppress(OSError):  # nobody may be reading any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _look(pid: int) -> tuple[bool, tuple[str, ...]]:
    """Whether a signal has stopped the process, and numbers that change while it does anything: page
    faults and processor time (Linux, proc(5); elsewhere its silence alone tells)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False, ()
    fields = text.rpartition(")")[2].split()
    return fields[0] == "T", (fields[7], fields[9], fields[11], fields[12])


def _wake_on_signals(forward: Callable[[int], None]) -> tuple[int, int]:
    """Call `forward` for a request to stop; a pipe that is readable then, so that no wait is long."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in STOPS:
        signal.signal(number, lambda number, _frame: forward(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    return reading, writing
