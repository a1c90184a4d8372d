"""When to write a checkpoint, and how a training that is told to stop stops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from training.errors import StoppedError
from training.fit.checkpoint import CheckpointStore, Snapshot, pack, unpack
from training.hosts.cluster import Cluster


class Stop:
    """A request to stop that may come from another thread, and whether anybody attends to it."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._attended = threading.Event()
        self.reason = ""

    def ask(self, reason: str) -> None:
        """Ask for the end; `reason` completes "stopped by"."""
        self.reason = reason
        self._asked.set()

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    @property
    def attended(self) -> bool:
        """Whether a training runs that will write a checkpoint and end by itself."""
        return self._attended.is_set()

    @contextmanager
    def attending(self) -> Iterator[None]:
        """Within, requests are seen after each step."""
        self._attended.set()
        try:
            yield
        finally:
            self._attended.clear()


class Keeper(Protocol):
    """Whatever keeps a training's state."""

    @property
    def stop_asked(self) -> bool:
        """Whether this host was told to stop."""

    def resume(self, cluster: Cluster) -> Snapshot | None:
        """The state to go on from, the same on every host."""

    def after_step(self, step: int, snapshot: Callable[[], Snapshot], *, stopping: bool) -> None:
        """Keep the state if it is time. Raises StoppedError when stopping, after keeping it."""

    def finish(self, step: int, snapshot: Callable[[], Snapshot]) -> None:
        """Keep the state of the finished training."""


class Forgetful:
    """Keeps nothing: for trials, and for runs without a place for checkpoints."""

    stop_asked = False

    def resume(self, cluster: Cluster) -> Snapshot | None:
        return None

    def after_step(self, step: int, snapshot: Callable[[], Snapshot], *, stopping: bool) -> None:
        pass

    def finish(self, step: int, snapshot: Callable[[], Snapshot]) -> None:
        pass


class DiskKeeper:
    """Keeps the state in a store; only the leading host has one. Safe points are between steps."""

    def __init__(
        self,
        store: CheckpointStore | None,
        *,
        every_s: float,
        stop: Stop,
        clock: Callable[[], float],
        warn: Callable[[str], None],
    ) -> None:
        self._store = store
        self._every_s = every_s
        self._stop = stop
        self._clock = clock
        self._warn = warn
        self._saved_at = clock()

    @property
    def stop_asked(self) -> bool:
        return self._stop.asked

    def resume(self, cluster: Cluster) -> Snapshot | None:
        found = self._store.load() if self._store else None
        for warning in self._store.warnings if self._store else ():
            self._warn(warning)
        mine = pack(found) if found else b""
        data = mine if cluster.world == 1 else cluster.gather(mine)[0]
        return unpack(data) if data else None

    def after_step(self, step: int, snapshot: Callable[[], Snapshot], *, stopping: bool) -> None:
        if stopping or self._clock() - self._saved_at >= self._every_s:
            self.finish(step, snapshot)
        if stopping:
            raise StoppedError(
                f"stopped by {self._stop.reason or 'another host'} at step {step};"
                " a checkpoint holds what was done",
                fix="start the run again with the same settings and checkpoints to go on",
            )

    def finish(self, step: int, snapshot: Callable[[], Snapshot]) -> None:
        if self._store is not None:
            self._store.save(step, snapshot())
        self._saved_at = self._clock()
