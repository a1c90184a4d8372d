"""The worker's tie to its agent: it shows that it lives, and dies when its agent does."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
import time
from typing import Final, NoReturn

from training.errors import ClusterError
from training.hosts.channel import Channel

BEAT_S: Final = 1.0
AGENT_SILENT_S: Final = 15.0
_PORT_WAIT_S: Final = 600.0
_PR_SET_PDEATHSIG: Final = 1


class Lifeline:
    """Beats once a second on a thread of its own. If the agent dies or freezes the worker ends,
    and takes a frozen agent with it: nothing keeps running."""

    def __init__(self, channel: Channel, agent: int) -> None:
        self._channel, self._agent = channel, agent
        self._lock = threading.Lock()
        self._has_port = threading.Event()
        self._port = 0

    def start(self) -> None:
        """Call in the worker before anything slow."""
        _die_with_parent(self._agent)
        threading.Thread(target=self._beat, name="lifeline", daemon=True).start()

    def port(self) -> int:
        """Where the hosts' torch processes meet, once the agents have met. Raises ClusterError."""
        if not self._has_port.wait(_PORT_WAIT_S):
            raise ClusterError("the hosts' agents did not meet", fix="read the other hosts' logs")
        return self._port

    def tell(self, kind: str, message: str) -> None:
        """Say how the worker ends: `failed`, `stopped`, or `lost` when another host was lost."""
        with self._lock:
            self._channel.send(kind=kind, message=message[:2000])

    def await_end(self) -> NoReturn:
        """Wait for the agent's end of this process: it knows better why the run failed."""
        time.sleep(2 * AGENT_SILENT_S)
        os._exit(1)

    def _beat(self) -> None:
        heard = time.monotonic()
        while True:
            with self._lock:
                self._channel.send(kind="beat")
            before = time.monotonic()
            ready, _, _ = select.select([self._channel], [], [], BEAT_S)
            now = time.monotonic()
            if now - before > 5 * BEAT_S:  # this process itself was frozen
                heard = now
            for message in self._channel.receive() if ready else ():
                heard = now
                if "port" in message:
                    self._port = int(message["port"])
                    self._has_port.set()
            if self._channel.closed or now - heard > AGENT_SILENT_S:
                self._end()
            if ready:
                time.sleep(BEAT_S / 2)

    def _end(self) -> NoReturn:
        if os.getppid() == self._agent:  # it is there and silent: frozen
            os.kill(self._agent, signal.SIGKILL)
        os._exit(1)


def _die_with_parent(parent: int) -> None:
    """Ask Linux to kill this process with its parent; elsewhere the closed pipe tells."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
