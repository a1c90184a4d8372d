"""Lines of processes on their way to CloudWatch Logs, a batch at a time."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from typing import Protocol

from localaws.clock import Timer

FLUSH_S = 0.5
BATCH_LINES = 1000
_log = logging.getLogger(__name__)


class LogSink(Protocol):
    """Where batches go: `localaws.account.records.Records`."""

    def put_logs(self, group: str, stream: str, lines: list[tuple[int, str]]) -> None:
        """Append `(epoch milliseconds, text)` lines to a stream, made when missing."""


class LogLines:
    """Collects lines and writes them, in order for each stream, every half second."""

    def __init__(self, sink: LogSink, clock: Timer) -> None:
        self._sink = sink
        self._clock = clock
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        self._some = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-lines", daemon=True)
        self._thread.start()

    def add(self, group: str, stream: str, line: str) -> None:
        """One line, stamped with the clock's present; empty lines are kept as one space."""
        event = (int(self._clock.now() * 1000), line or " ")
        with self._lock:
            self._waiting[group, stream].append(event)
        self._some.set()

    def flush(self) -> None:
        """Write everything that was added before this call."""
        with self._writing:
            with self._lock:
                waiting, self._waiting = self._waiting, defaultdict(list)
                self._some.clear()
            for (group, stream), events in waiting.items():
                for start in range(0, len(events), BATCH_LINES):
                    self._write(group, stream, events[start : start + BATCH_LINES])

    def close(self) -> None:
        """Write the rest and end the thread."""
        self._closed.set()
        self._some.set()
        self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._some.wait()
            self._closed.wait(FLUSH_S)
            self.flush()

    def _write(self, group: str, stream: str, events: list[tuple[int, str]]) -> None:
        try:
            self._sink.put_logs(group, stream, events)
        except Exception:
            _log.exception("%d lines of %s %s were not recorded", len(events), group, stream)
