"""The run's account: one JSON object a line, on standard output and in a file that is fsynced.

The launcher mirrors the lines while the run goes on; the file settles the account at the end.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TextIO

VERSION: Final = 1


class Reporter:
    """Writes numbered events. Safe to use from several threads; only one result is ever written.

    Without a folder it writes to the stream only. `leads` is false on all hosts but the first:
    these write to a file of their own name and leave metrics, parameters and artifacts to the first.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        host: str,
        leads: bool,
        stream: TextIO,
        clock: Callable[[], float],
    ) -> None:
        self._file: TextIO | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            name = "events.jsonl" if leads else f"events-{host}.jsonl"
            self._file = (folder / name).open("w", encoding="utf-8")
        self._folder = folder
        self._host = host
        self._leads = leads
        self._stream = stream
        self._clock = clock
        self._started = clock()
        self._seq = 0
        self._settled = False
        self._lock = threading.Lock()
        self.metrics: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def elapsed_s(self) -> float:
        """Seconds since this reporter was made, which is near the start of the program."""
        return self._clock() - self._started

    def params(self, values: Mapping[str, Any]) -> None:
        """What the run was given and where it runs."""
        if self._leads:
            self._emit("params", values=dict(values))

    def metric(self, name: str, value: float, *, step: int = 0) -> None:
        """One number. A number that is not finite becomes a warning: JSON cannot carry it."""
        if not self._leads:
            return
        if not math.isfinite(value):
            self.warning(f"{name} is {value} at step {step}")
            return
        self.metrics[name] = float(value)
        self._emit("metric", name=name, value=float(value), step=step)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Mark a phase's start and end, and report its seconds as `time/<name>_s`."""
        started = self._clock()
        self._emit("phase", name=name, state="start")
        yield
        self._emit("phase", name=name, state="end")
        self.metric(f"time/{name}_s", self._clock() - started)

    def artifact(self, name: str) -> None:
        """A finished file in the output folder."""
        if self._leads and self._folder is not None:
            data = (self._folder / name).read_bytes()
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            self._emit("artifact", name=name, bytes=len(data), digest=digest)

    def warning(self, message: str) -> None:
        """Something that the person who started the run should know."""
        self._emit("warning", message=message)

    def result(self, status: str, message: str) -> bool:
        """How it ended: `succeeded` or `failed`. Only the first counts; false for any other."""
        with self._lock:
            first, self._settled = not self._settled, True
        if first:
            self._emit("result", status=status, message=message, metrics=self.metrics)
        return first

    def _emit(self, event: str, **content: Any) -> None:
        with self._lock:
            self._seq += 1
            head = {"v": VERSION, "event": event, "t": round(self._clock(), 3)}
            line = json.dumps(
                {**head, "host": self._host, "seq": self._seq, **content}, allow_nan=False
            )
            if self._file is not None:
                self._file.write(line + "\n")
                self._file.flush()
                os.fsync(self._file.fileno())
            with suppress(OSError):  # whoever read the stream is gone; the file has it all
                self._stream.write(line + "\n")
                self._stream.flush()
