"""Time that may run faster than the wall clock, and time that a test moves by hand."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Timer(Protocol):
    """What services need of a clock."""

    def now(self) -> float:
        """Epoch seconds."""

    def sleep(self, seconds: float, stop: threading.Event) -> bool:
        """Wait `seconds` of this clock's time; True when `stop` was set before the end."""


class Clock:
    """Starts at the present and runs `speed` times as fast as real time."""

    def __init__(self, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError(f"the clock's speed is {speed}; use 1, or more to run faster")
        self.speed = speed
        self._wall_start = time.time()
        self._mono_start = time.monotonic()

    def now(self) -> float:
        """Epoch seconds on this clock; never runs backwards."""
        return self._wall_start + (time.monotonic() - self._mono_start) * self.speed

    def sleep(self, seconds: float, stop: threading.Event) -> bool:
        """Wait `seconds` of this clock's time; True when `stop` was set before the end."""
        return stop.wait(max(0.0, seconds) / self.speed)


class ManualClock:
    """A clock for tests: it stands still until `advance`, which wakes the sleepers."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self._changed = threading.Condition()

    def now(self) -> float:
        """Epoch seconds."""
        with self._changed:
            return self._now

    def advance(self, seconds: float) -> None:
        """Move time forward and wake every sleeper whose time has come."""
        with self._changed:
            self._now += seconds
            self._changed.notify_all()

    def sleep(self, seconds: float, stop: threading.Event) -> bool:
        """Wait until the clock was advanced by `seconds`; True when `stop` was set before."""
        with self._changed:
            end = self._now + seconds
            while self._now < end and not stop.is_set():
                # `stop` cannot notify this condition, so look at it now and then.
                self._changed.wait(0.01)
        return stop.is_set()
