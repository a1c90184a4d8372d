"""A request to stop, passed between the threads of a worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from training.errors import StoppedError


class Stop:
    """A request to stop that may come from another thread, and whether anybody attends to it."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._attended = threading.Event()
        self.reason = ""
        self.exit_code = StoppedError.exit_code

    def ask(self, reason: str, exit_code: int = StoppedError.exit_code) -> None:
        """Ask for the end; `reason` completes "stopped by"."""
        self.reason, self.exit_code = reason, exit_code
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
