"""Stopping without losing a request.

After SIGTERM the server goes on answering for a moment: /ping says 503, every answer ends its
connection, and new handshakes are not begun, but those that were finished are accepted and served.
Only connections on which nothing more comes are then closed, and the process ends with 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import Final

import uvicorn

LINGER_S: Final = 0.3
"""How long a kept connection may stay silent before it is closed."""
_STEP_S = 0.02
_LONGEST_S = 5.0
_SO_ATTACH_FILTER = 26
# Classic BPF over the TCP header: load the flags (byte 13), drop the segment if SYN is set.
_NO_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))


class DrainingServer(uvicorn.Server):
    """uvicorn's server with the stop described above.

    `on_start` is called when it answers, `on_drain` when the stop begins.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        on_start: Callable[[], None],
        on_drain: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._on_start = on_start
        self._on_drain = on_drain

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's."""
        await super().startup(sockets)
        self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then close as uvicorn does, which waits for what is still being answered."""
        self._on_drain()
        refuse_handshakes(sockets or [])
        await self._linger()
        await super().shutdown(sockets)

    async def _linger(self) -> None:
        """Until every connection has gone, or nothing new has come on one for LINGER_S."""
        quiet_until = time.monotonic() + LINGER_S
        latest = time.monotonic() + _LONGEST_S
        begun = set(self.server_state.tasks)
        while self.server_state.connections and not self.force_exit:
            await asyncio.sleep(_STEP_S)
            now, tasks = time.monotonic(), set(self.server_state.tasks)
            if tasks - begun:
                begun, quiet_until = tasks, now + LINGER_S
            if now >= min(quiet_until, latest):
                return


def refuse_handshakes(doors: Sequence[socket.socket]) -> None:
    """Let the kernel drop new connection attempts, which the clients repeat after a second, when the
    door is gone; without this a connection could be made just as the door closes, and be lost.

    Where the system has no such filter (it is Linux's), nothing is done.
    """
    program = b"".join(struct.pack("HBBI", *step) for step in _NO_SYN)
    held = ctypes.create_string_buffer(program)
    option = struct.pack("HL", len(_NO_SYN), ctypes.addressof(held))
    for door in doors:
        with contextlib.suppress(OSError):
            door.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, option)
