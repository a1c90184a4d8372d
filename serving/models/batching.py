"""Photographs that wait at the same moment go through the network together; none waits for company.

The thread that brings a photograph to an idle network runs it at once. While the network is busy,
threads leave their photographs and go; whoever runs it takes along what has gathered, up to the
largest batch, until nothing is left. There is no timer, so a lone photograph never waits.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from serving.models.engine import Logits
from serving.preprocess import Pixels


class Network(Protocol):
    """What the batches run on. `streams` calls of `logits` run at a time."""

    @property
    def streams(self) -> int: ...

    @property
    def max_batch(self) -> int: ...

    def logits(self, pixels: Pixels) -> Logits: ...


class TooLate(Exception):
    """The client's deadline passed before the network was free."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One photograph's logits [C]; seconds waited, and seconds that its batch took."""

    logits: Logits
    queue_s: float
    model_s: float
    batch: int


@dataclass(kw_only=True)
class _Waiting:
    pixels: Pixels
    deadline_at: float
    since: float
    row: Future[Row] = field(default_factory=Future)


def _nothing(_row: Future[Row]) -> None:
    """For callers that only look at the future."""


class Batcher:
    """Hands photographs to a network, from any thread. `clock` is also that of the deadlines."""

    def __init__(self, network: Network, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._network = network
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._running = 0

    def run(
        self, pixels: Pixels, *, deadline_at: float, then: Callable[[Future[Row]], None] = _nothing
    ) -> Future[Row]:
        """The answer to pixels [3, H, W]; TooLate if it was not begun before `deadline_at`.

        May run the network in the calling thread, for this photograph and, as long as any wait, for
        those of others. So whoever waits for this one gives `then`, which is called when it is answered,
        not when the thread is free.
        """
        mine = _Waiting(pixels=pixels, deadline_at=deadline_at, since=self._clock())
        mine.row.add_done_callback(then)
        with self._lock:
            self._waiting.append(mine)
            if self._running >= self._network.streams:
                return mine.row
            self._running += 1
        while batch := self._next_batch():
            self._run(batch)
        return mine.row

    def _next_batch(self) -> list[_Waiting]:
        """What runs next; nothing, and a stream set free, when nobody waits."""
        with self._lock:
            now, batch = self._clock(), list[_Waiting]()
            while self._waiting and len(batch) < self._network.max_batch:
                one = self._waiting.popleft()
                if one.deadline_at <= now:
                    one.row.set_exception(TooLate())
                else:
                    batch.append(one)
            if not batch:
                self._running -= 1
            return batch

    def _run(self, batch: list[_Waiting]) -> None:
        started = self._clock()
        try:
            pixels = (
                batch[0].pixels[None] if len(batch) == 1 else np.stack([b.pixels for b in batch])
            )
            logits = self._network.logits(pixels)
        except Exception as error:
            for one in batch:
                one.row.set_exception(error)
            return
        taken_s = self._clock() - started
        for one, row in zip(batch, logits, strict=True):
            one.row.set_result(
                Row(
                    logits=row,
                    queue_s=started - one.since,
                    model_s=taken_s,
                    batch=len(batch),
                )
            )
