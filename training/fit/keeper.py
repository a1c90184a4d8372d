"""When to write a checkpoint, and how a training that is told to stop stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from training.errors import StoppedError
from training.fit.checkpoint import CheckpointStore, Snapshot, pack, unpack
from training.fit.stop import Stop
from training.hosts.cluster import Cluster


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
