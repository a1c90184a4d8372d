"""The instances of one production variant: how many there are, and who borrows them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from localaws.sagemaker.hosting.instances import Instance, InstanceSpec
from localaws.sagemaker.hosting.routing import Route
from localaws.sagemaker.world import World

DRAIN_LIMIT_S = 65.0


class FleetFailed(Exception):
    """Instances did not become healthy; the text is SageMaker's reason."""


class FleetClosed(Exception):
    """The fleet takes no more requests; look for the one that replaced it."""


class NoHealthyInstance(Exception):
    """Nothing could answer at this moment."""


class Fleet:
    """Grows, shrinks, and lends the instance that `route` picks."""

    def __init__(self, spec: InstanceSpec, world: World, route: Route) -> None:
        self.spec = spec
        self._world = world
        self._instances: list[Instance] = []
        self._starting: list[Instance] = []
        self._route = route
        self._closed = False
        self._changed = threading.Condition()

    @property
    def size(self) -> int:
        """How many instances it has, healthy or not."""
        with self._changed:
            return len(self._instances)

    @contextmanager
    def borrow(self, besides: Sequence[Instance] = ()) -> Iterator[Instance]:
        """One of the healthy instances, but not of `besides`.

        Raises `FleetClosed` or `NoHealthyInstance`.
        """
        with self._changed:
            if self._closed:
                raise FleetClosed
            ready = [one for one in self._instances if one.is_healthy and one not in besides]
            if not ready:
                raise NoHealthyInstance
            chosen = self._route(ready)
            chosen.outstanding += 1
        try:
            yield chosen
        finally:
            with self._changed:
                chosen.outstanding -= 1
                self._changed.notify_all()

    def open(self, count: int) -> None:
        """`grow`, for a fleet that has no instances yet."""
        self.grow(count)

    def kill(self) -> bool:
        """Kill one instance's program with SIGKILL; False when none runs."""
        with self._changed:
            running = [one for one in self._instances if one.is_healthy]
        return bool(running) and running[0].kill()

    def grow(self, count: int) -> None:
        """Add `count` healthy instances, or none: raises `FleetFailed`."""
        new = [Instance(self.spec, self._world) for _ in range(count)]
        with self._changed:
            if self._closed:
                raise FleetFailed("the endpoint was stopped")
            self._starting += new
        for instance in new:
            instance.start()
        failed = [instance for instance in new if not instance.await_start()]
        with self._changed:
            self._starting = [one for one in self._starting if one not in new]
            accepted = not failed and not self._closed
            if accepted:
                self._instances += new
        if not accepted:
            stop_all(new)
            reasons = [instance.failure for instance in failed if instance.failure]
            raise FleetFailed(reasons[0] if reasons else "the endpoint was stopped")

    def shrink(self, count: int) -> None:
        """Take `count` instances out of service, the newest first, and end them when idle."""
        with self._changed:
            kept = len(self._instances) - count
            leaving, self._instances = self._instances[kept:], self._instances[:kept]
        self._drain(leaving)
        stop_all(leaving)

    def close(self, *, drain: bool) -> None:
        """Take no more requests and end every instance, after its requests if `drain`."""
        with self._changed:
            self._closed = True
            leaving, self._instances = self._instances + self._starting, []
        if drain:
            self._drain(leaving)
        stop_all(leaving)

    def _drain(self, leaving: Sequence[Instance]) -> None:
        deadline = time.monotonic() + DRAIN_LIMIT_S
        with self._changed:
            while any(one.outstanding for one in leaving) and time.monotonic() < deadline:
                self._changed.wait(deadline - time.monotonic())


def stop_all(instances: Sequence[Instance]) -> None:
    """End the instances side by side."""
    threads = [threading.Thread(target=one.stop, daemon=True) for one in instances]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
