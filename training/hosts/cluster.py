"""The hosts of one run: who leads, how they meet, and how they part.

One process on each host, gloo between them. torch is imported only when there are several.
"""

from __future__ import annotations

import os
import socket
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import zip_longest
from typing import Final, TypeVar

from training.config import TrainConfig
from training.errors import ClusterError

T = TypeVar("T")
_LOWEST_PORT: Final = 20_000
_PORTS: Final = 10_000
_COLLECTIVE_TIMEOUT: Final = timedelta(minutes=30)
_NAME_WAIT_S: Final = 120.0


@dataclass(frozen=True, kw_only=True)
class Rendezvous:
    """Where the hosts meet and which of them this one is."""

    rank: int
    world: int
    master: str
    port: int
    interface: str = ""
    job: str = ""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """This host among `world` hosts; rank 0 leads."""

    rank: int
    world: int

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def shard(self, items: Sequence[T]) -> Sequence[T]:
        """This host's items: every `world`-th, none dropped and none twice over all hosts."""
        return items[self.rank :: self.world]

    def gather(self, data: bytes) -> list[bytes]:
        """What every host gave, in order of rank, on every host. Lengths may differ."""
        if self.world == 1:
            return [data]
        import numpy as np
        import torch
        import torch.distributed as dist

        mine = torch.tensor([len(data)])
        sizes = [torch.zeros_like(mine) for _ in range(self.world)]
        dist.all_gather(sizes, mine)
        longest = max(int(size) for size in sizes)
        padded = torch.from_numpy(np.frombuffer(data.ljust(longest, b"\0"), np.uint8).copy())
        parts = [torch.empty(longest, dtype=torch.uint8) for _ in range(self.world)]
        dist.all_gather(parts, padded)
        return [
            part[: int(size)].numpy().tobytes() for part, size in zip(parts, sizes, strict=True)
        ]

    def from_leader(self, data: bytes) -> bytes:
        """What the leading host gave, on every host."""
        if self.world == 1:
            return data
        import numpy as np
        import torch
        import torch.distributed as dist

        size = torch.tensor([len(data)])
        dist.broadcast(size, 0)
        parcel = torch.empty(int(size), dtype=torch.uint8)
        if self.leads:
            parcel = torch.from_numpy(np.frombuffer(data, np.uint8).copy())
        if int(size):
            dist.broadcast(parcel, 0)
        return parcel.numpy().tobytes()


def unshard(parts: Sequence[Sequence[T]]) -> list[T]:
    """Undo `Cluster.shard`: one item of each part in turn."""
    hole = object()
    rounds = zip_longest(*parts, fillvalue=hole)
    return [item for turn in rounds for item in turn if item is not hole]  # type: ignore[misc]


def rendezvous(config: TrainConfig, env: Mapping[str, str]) -> Rendezvous:
    """Who and where, from torchrun's variables or from the hosts in the configuration.

    Without MASTER_PORT the port follows from the job's name, so that two jobs on one network
    do not meet. Raises ClusterError if torchrun's variables make no sense.
    """
    name = config.job_name or config.run_id or ",".join(config.hosts)
    port = _LOWEST_PORT + zlib.crc32(name.encode()) % _PORTS
    try:
        port = int(env.get("MASTER_PORT") or port)
        if "RANK" in env and "WORLD_SIZE" in env:
            rank, world = int(env["RANK"]), int(env["WORLD_SIZE"])
        else:
            hosts = config.hosts or (config.host,)
            rank, world = hosts.index(config.host or hosts[0]), len(hosts)
    except ValueError as error:
        raise ClusterError(
            f"RANK, WORLD_SIZE or MASTER_PORT is not a number: {error}",
            fix="start the hosts with torchrun, or unset these and give --hosts and --host",
        ) from error
    if not 0 <= rank < world:
        raise ClusterError(
            f"rank {rank} of {world} hosts", fix="use ranks from 0 to world size - 1"
        )
    master = env.get("MASTER_ADDR") or (config.hosts[0] if config.hosts else "127.0.0.1")
    return Rendezvous(
        rank=rank,
        world=world,
        master=master,
        port=port,
        interface=config.network_interface,
        job=name,
    )


def wait_for_name(
    name: str,
    *,
    resolve: Callable[[str], str] = socket.gethostbyname,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """The address of a host whose name may take a moment to appear. Raises ClusterError."""
    give_up = clock() + _NAME_WAIT_S
    while True:
        try:
            return resolve(name)
        except OSError as error:
            if clock() >= give_up:
                raise ClusterError(
                    f"the leading host {name!r} has no address after {_NAME_WAIT_S:.0f} s",
                    fix="check that all hosts of the job run, or set MASTER_ADDR",
                ) from error
            sleep(0.5)


def join(meeting: Rendezvous) -> Cluster:
    """Meet the other hosts; returns at once when there are none. Raises ClusterError."""
    if meeting.world > 1:
        import torch.distributed as dist

        interface = _interface(wait_for_name(meeting.master), meeting.interface)
        if interface:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
        try:
            dist.init_process_group(
                "gloo",
                init_method=f"tcp://{meeting.master}:{meeting.port}",
                rank=meeting.rank,
                world_size=meeting.world,
                timeout=_COLLECTIVE_TIMEOUT,
            )
        except (RuntimeError, ValueError) as error:
            place = f"{meeting.master}:{meeting.port}"
            raise ClusterError(
                f"the {meeting.world} hosts did not meet at {place}: {error}",
                fix="look for the other hosts' failures; MASTER_PORT sets another port",
            ) from error
    return Cluster(rank=meeting.rank, world=meeting.world)


def _interface(address: str, named: str) -> str:
    """The interface gloo should bind: loopback if the leader is there, else the one AWS names."""
    if address.startswith("127."):
        return "lo"
    return named if named in {name for _, name in socket.if_nameindex()} else ""


def part(cluster: Cluster) -> None:
    """Leave together, once every host has what it came for.

    After this the process should end by `os._exit`: gloo's threads can abort a plain exit.
    """
    if cluster.world > 1:
        import torch.distributed as dist

        dist.barrier()
        dist.destroy_process_group()
