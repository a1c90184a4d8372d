"""Several hosts in one process: each is a thread, and `gather` really meets the others."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from training.hosts.cluster import Cluster

T = TypeVar("T")
_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Member(Cluster):
    """One thread's view of the others."""

    barrier: threading.Barrier
    given: list[bytes] = field(default_factory=list)

    def gather(self, data: bytes) -> list[bytes]:
        self.given[self.rank] = data
        self.barrier.wait(_SECONDS)
        answers = list(self.given)
        self.barrier.wait(_SECONDS)
        return answers


def together(world: int, work: Callable[[Cluster], T]) -> list[T]:
    """What `work` returns on each host, by rank; one that raises ends the others' waiting."""
    barrier = threading.Barrier(world)
    given = [b""] * world

    def one(rank: int) -> T:
        try:
            return work(Member(rank=rank, world=world, barrier=barrier, given=given))
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(world) as pool:
        futures = [pool.submit(one, rank) for rank in range(world)]
    errors = [future.exception() for future in futures]
    for error in errors:
        if error is not None and not isinstance(error, threading.BrokenBarrierError):
            raise error
    return [future.result() for future in futures]
