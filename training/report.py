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
    With `resume` it goes on in the file of a program that died, and knows whether that had a result.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        host: str,
        leads: bool,
        stream: TextIO,
        clock: Callable[[], float],
        resume: bool = False,
    ) -> None:
        self._file: TextIO | None = None
        self._seq, self._settled = 0, False
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            name = "events.jsonl" if leads else f"events-{host}.jsonl"
            if resume:
                self._seq, self._settled = _mend(folder / name)
            self._file = (folder / name).open("a" if resume else "w", encoding="utf-8")
        self._folder = folder
        self._host = host
        self._leads = leads
        self._stream = stream
        self._clock = clock
        self._started = clock()
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

    def metric(self, name: str, value: float, *, step: int = 0, at: float | None = None) -> None:
        """One number, of now or of the time `at`. A number that is not finite becomes a warning:
        JSON cannot carry it."""
        if not self._leads:
            return
        if not math.isfinite(value):
            self.warning(f"{name} is {value} at step {step}")
            return
        self.metrics[name] = float(value)
        self._emit("metric", at=at, name=name, value=float(value), step=step)

    def trial(
        self, number: int, *, settings: Mapping[str, Any], metrics: Mapping[str, float], best: bool
    ) -> None:
        """One head that was tried: its settings, its metrics on valid, and whether it leads so far."""
        if self._leads:
            finite = {name: float(v) for name, v in metrics.items() if math.isfinite(v)}
            self._emit("trial", number=number, settings=dict(settings), metrics=finite, best=best)

    def checkpoint(self, step: int) -> None:
        """What was done until this step is on disk, and the run is about to stop."""
        if self._leads:
            self._emit("checkpoint", step=step)

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
        """How it ended: `succeeded`, `failed`, or `stopped` with a checkpoint to go on from.

        Only the first counts; false for any other.
        """
        with self._lock:
            first, self._settled = not self._settled, True
        if first:
            self._emit("result", status=status, message=message, metrics=self.metrics)
        return first

    def _emit(self, event: str, *, at: float | None = None, **content: Any) -> None:
        with self._lock:
            self._seq += 1
            moment = round(self._clock() if at is None else at, 3)
            head = {"v": VERSION, "event": event, "t": moment}
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


def _mend(path: Path) -> tuple[int, bool]:
    """End a torn last line; the number of the last event in a file, and whether it has a result."""
    if not path.is_file():
        return 0, False
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        path.write_bytes(data[: data.rfind(b"\n") + 1])
    events = [json.loads(line) for line in data.splitlines(keepends=True) if line.endswith(b"\n")]
    ended = any(event["event"] == "result" for event in events)
    return max((int(event["seq"]) for event in events), default=0), ended
