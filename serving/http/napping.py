"""An event loop that looks at its sockets less often while there is overload.

Each refusal that wakes the loop takes the processor from the network for a moment. Under overload the
loop therefore waits for answers only, a few milliseconds at most, and then refuses all that has come
meanwhile at once. An answer ends the wait, so the next request is let in without a gap.
"""

from __future__ import annotations

import asyncio
import select
import selectors
from collections.abc import Callable
from typing import Any, Final

NAP_S: Final = 0.004


class NappingSelector(selectors.DefaultSelector):
    """The system's selector; `is_overloaded` is asked before each wait."""

    def __init__(self, is_overloaded: Callable[[], bool]) -> None:
        super().__init__()
        self._is_overloaded = is_overloaded
        self._answers: select.poll | None = None

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As usual; the first thing an event loop registers is what worker threads wake it by."""
        key = super().register(fileobj, events, data)
        if self._answers is None:
            self._answers = select.poll()
            self._answers.register(key.fd, select.POLLIN)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As usual, after a nap if there is time for one."""
        has_time = timeout is None or timeout > NAP_S
        if has_time and self._answers is not None and self._is_overloaded():
            self._answers.poll(NAP_S * 1000)
            timeout = None if timeout is None else max(0.0, timeout - NAP_S)
        return super().select(timeout)


def napping_loop(is_overloaded: Callable[[], bool]) -> asyncio.AbstractEventLoop:
    """A new event loop, not yet running."""
    return asyncio.SelectorEventLoop(NappingSelector(is_overloaded))
