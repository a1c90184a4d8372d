"""A serverless variant: instances that start when a request finds none free."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from localaws.sagemaker.hosting.fleets import (
    DRAIN_LIMIT_S,
    FleetClosed,
    FleetFailed,
    NoHealthyInstance,
    stop_all,
)
from localaws.sagemaker.hosting.instances import Instance, InstanceSpec
from localaws.sagemaker.words import Params, invalid
from localaws.sagemaker.world import World

IDLE_S = 300.0
_SWEEP_S = 30.0
_MEMORY_STEP_MB = 1024


class FleetFull(Exception):
    """Every instance that the variant may have is busy."""


@dataclass(frozen=True, kw_only=True)
class ServerlessCapacity:
    """How many requests run at once, and how many instances are always warm."""

    most: int
    warm: int = 0


def check_serverless(config: Params) -> None:
    """Raises SageMaker's ValidationException for a ServerlessConfig that it does not take."""
    if config["MemorySizeInMB"] % _MEMORY_STEP_MB:
        raise invalid("MemorySizeInMB must be one of 1024, 2048, 3072, 4096, 5120 and 6144.")
    if config.get("ProvisionedConcurrency", 0) > config["MaxConcurrency"]:
        raise invalid("ProvisionedConcurrency must be less than or equal to MaxConcurrency.")


def capacity_of(config: Params) -> ServerlessCapacity:
    """The capacity that a ServerlessConfig asks for."""
    return ServerlessCapacity(
        most=config["MaxConcurrency"], warm=config.get("ProvisionedConcurrency", 0)
    )


class ServerlessFleet:
    """One request at a time for each instance; idle ones end after five minutes of the clock."""

    def __init__(self, spec: InstanceSpec, world: World, capacity: ServerlessCapacity) -> None:
        self._spec = spec
        self._world = world
        self._capacity = capacity
        self._idle: list[tuple[Instance, float]] = []
        self._busy: set[Instance] = set()
        self._starting = 0
        self._closed = threading.Event()
        self._changed = threading.Condition()
        self._sweeper = threading.Thread(target=self._sweep, name="serverless", daemon=True)

    @property
    def size(self) -> int:
        """How many instances run now."""
        with self._changed:
            return len(self._idle) + len(self._busy)

    def open(self, count: int) -> None:
        """Prove that the model comes up, and start what is to be warm. Raises `FleetFailed`."""
        del count
        self._warm(max(1, self._capacity.warm))
        self._sweeper.start()

    def resize(self, capacity: ServerlessCapacity) -> None:
        """Another capacity. Raises `FleetFailed` when warm instances do not come up."""
        self._capacity = capacity
        self._warm(capacity.warm - self.size)

    @contextmanager
    def borrow(self, besides: Sequence[Instance] = ()) -> Iterator[Instance]:
        """An idle instance, else a new one. Raises `FleetFull` when there are enough."""
        instance = self._idle_one(besides) or self._cold_one()
        try:
            yield instance
        finally:
            with self._changed:
                instance.outstanding -= 1
                self._busy.discard(instance)
                if instance.is_healthy and not self._closed.is_set():
                    self._idle.append((instance, self._world.clock.now()))
                    instance = None  # type: ignore[assignment]
                self._changed.notify_all()
            if instance is not None:
                stop_all([instance])

    def close(self, *, drain: bool) -> None:
        """Take no more requests and end every instance, after its request if `drain`."""
        deadline = time.monotonic() + (DRAIN_LIMIT_S if drain else 0.0)
        with self._changed:
            self._closed.set()
            while (self._busy or self._starting) and time.monotonic() < deadline:
                self._changed.wait(max(0.0, deadline - time.monotonic()))
            leaving = [one for one, _ in self._idle] + list(self._busy)
            self._idle.clear()
        stop_all(leaving)
        if self._sweeper.ident is not None:
            self._sweeper.join()

    def kill(self) -> bool:
        """Kill one instance's program with SIGKILL; False when none runs."""
        with self._changed:
            running = [*self._busy, *(one for one, _ in self._idle)]
        return bool(running) and running[0].kill()

    def _idle_one(self, besides: Sequence[Instance]) -> Instance | None:
        with self._changed:
            if self._closed.is_set():
                raise FleetClosed
            for entry in reversed(self._idle):
                if entry[0] not in besides and entry[0].is_healthy:
                    self._idle.remove(entry)
                    return self._take(entry[0])
            if len(self._busy) + self._starting >= self._capacity.most:
                raise FleetFull
            self._starting += 1
            return None

    def _cold_one(self) -> Instance:
        instance = Instance(self._spec, self._world)
        instance.start()
        started = instance.await_start()
        with self._changed:
            self._starting -= 1
            self._changed.notify_all()
            if started and not self._closed.is_set():
                return self._take(instance)
        stop_all([instance])
        raise FleetClosed if self._closed.is_set() else NoHealthyInstance

    def _take(self, instance: Instance) -> Instance:
        instance.outstanding += 1
        self._busy.add(instance)
        return instance

    def _warm(self, count: int) -> None:
        new = [Instance(self._spec, self._world) for _ in range(count)]
        for instance in new:
            instance.start()
        failed = [instance for instance in new if not instance.await_start()]
        if failed or self._closed.is_set():
            stop_all(new)
            reasons = [instance.failure for instance in failed if instance.failure]
            raise FleetFailed(reasons[0] if reasons else "the endpoint was stopped")
        with self._changed:
            self._idle += [(instance, self._world.clock.now()) for instance in new]

    def _sweep(self) -> None:
        while not self._world.clock.sleep(_SWEEP_S, self._closed):
            now = self._world.clock.now()
            with self._changed:
                spare = max(0, len(self._idle) + len(self._busy) - self._capacity.warm)
                old = [entry for entry in self._idle if now - entry[1] > IDLE_S][:spare]
                self._idle = [entry for entry in self._idle if entry not in old]
            stop_all([instance for instance, _ in old])
