"""A network for the hosts of one job: they meet each other and localaws, and no other job.

Two jobs may use the same port, as SageMaker's own drivers do. localaws listens inside on its usual
port, so that one address is right everywhere, and on another for an HTTP proxy: what a job fetches
from elsewhere (pip, weights) goes out by that door.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from localaws.hosts.isolation import BARE_PYTHON, SYSTEM_PATH

PROXY_PORT = 3128
_MAKER = Path(__file__).with_name("new_network.py")
_WAIT_S = 20.0


class NetworkRefused(Exception):
    """This machine makes no network namespaces; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """Descriptors of a network; the program that joins it gets `fds`. Close it when its job ended."""

    net_fd: int
    user_fd: int
    listeners: Mapping[int, socket.socket]

    @property
    def fds(self) -> tuple[int, ...]:
        """What a process needs to join; the user namespace only when it is not this one."""
        return (self.net_fd,) if os.getuid() == 0 else (self.user_fd, self.net_fd)

    def close(self) -> None:
        """Let go of it; it ends with the last process in it."""
        for listener in self.listeners.values():
            listener.shutdown(socket.SHUT_RDWR)  # closing alone wakes nobody who waits in accept
            listener.close()
        os.close(self.net_fd)
        os.close(self.user_fd)


def make_network(*ports: int) -> Network:
    """A network with listeners on these ports of its 127.0.0.1. Raises NetworkRefused."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            [*BARE_PYTHON, str(_MAKER), str(theirs.fileno()), *map(str, ports)],
            pass_fds=(theirs.fileno(),),
            env={"PATH": SYSTEM_PATH},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=_WAIT_S,
            check=False,
        )
        if done.returncode != 0:
            said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            raise NetworkRefused(said[-1])
        _, fds, _, _ = socket.recv_fds(ours, 1, 2 + len(ports))
    listeners = {port: socket.socket(fileno=fd) for port, fd in zip(ports, fds[2:], strict=True)}
    return Network(net_fd=fds[0], user_fd=fds[1], listeners=listeners)


@dataclass(frozen=True, kw_only=True)
class Door:
    """How a network reaches localaws: its port, and what takes a listener's connections."""

    port: int
    accept: Callable[[socket.socket], None]
    egress: Callable[[socket.socket], None]

    def open(self, *, outside: bool) -> Network:
        """A network that reaches localaws and, if `outside`, the proxy. Raises NetworkRefused."""
        network = make_network(self.port, *((PROXY_PORT,) if outside else ()))
        self.accept(network.listeners[self.port])
        if outside:
            self.egress(network.listeners[PROXY_PORT])
        return network


def proxy_env(hosts: Iterable[str]) -> dict[str, str]:
    """The usual variables, in both cases: everything but loopback and `hosts` by the proxy."""
    address = f"http://127.0.0.1:{PROXY_PORT}"
    env = {f"{kind}_proxy": address for kind in ("http", "https")}
    env["no_proxy"] = ",".join(["127.0.0.1", "localhost", *hosts])
    return env | {name.upper(): value for name, value in env.items()}
