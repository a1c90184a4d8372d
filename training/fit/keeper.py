"""When to write a checkpoint, and how a training that is told to stop stops."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from training.config import TUNABLE, TrainConfig
from training.errors import StoppedError
from training.fit.checkpoint import CheckpointStore, Snapshot, pack, unpack
from training.fit.stop import Stop
from training.hosts.cluster import Cluster
from training.report import Reporter

_OF_NO_ACCOUNT: Final = ("checkpoint_seconds", "max_unreadable_fraction")


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


def identity(config: TrainConfig, inputs: Sequence[str]) -> str:
    """16 hex digits: equal for trainings with the same settings and the same `inputs` (digests)."""
    settings = {
        name: getattr(config, name) for name in sorted(TUNABLE) if name not in _OF_NO_ACCOUNT
    }
    text = json.dumps([settings, list(inputs)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def open_keeper(
    config: TrainConfig,
    stage: str,
    inputs: Sequence[str],
    *,
    leads: bool,
    stop: Stop,
    report: Reporter,
) -> Keeper:
    """What keeps a stage of a run: a folder of its own below `config.checkpoints`, named by what the
    stage depends on, so that another run's checkpoints are never taken for its own."""
    if not config.checkpoints:
        return Forgetful()
    folder = Path(config.checkpoints) / f"{stage}-{identity(config, inputs)}"
    return DiskKeeper(
        CheckpointStore(folder) if leads else None,
        every_s=config.checkpoint_seconds,
        stop=stop,
        clock=time.monotonic,
        warn=report.warning,
        told=report.checkpoint,
    )


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
        told: Callable[[int], None] = lambda _step: None,
    ) -> None:
        self._store = store
        self._every_s = every_s
        self._stop = stop
        self._clock = clock
        self._warn, self._told = warn, told
        self._saved_at = clock()

    @property
    def stop_asked(self) -> bool:
        return self._stop.asked

    def resume(self, cluster: Cluster) -> Snapshot | None:
        found = self._store.load() if self._store else None
        for warning in self._store.warnings if self._store else ():
            self._warn(warning)
        if cluster.world == 1:
            return found
        data = cluster.from_leader(pack(found) if found else b"")
        return unpack(data) if data else None

    def after_step(self, step: int, snapshot: Callable[[], Snapshot], *, stopping: bool) -> None:
        if stopping or self._clock() - self._saved_at >= self._every_s:
            self.finish(step, snapshot)
        if stopping:
            self._told(step)
            raise StoppedError(
                f"stopped by {self._stop.reason or 'another host'} at step {step};"
                " a checkpoint holds what was done",
                fix="start the run again with the same settings and checkpoints to go on",
            )

    def finish(self, step: int, snapshot: Callable[[], Snapshot]) -> None:
        if self._store is not None:
            self._store.save(step, snapshot())
        self._saved_at = self._clock()
