"""The exported network on this machine's processor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from serving.errors import ArchiveError
from serving.models.archive import Archive
from serving.preprocess import Pixels

Logits: TypeAlias = npt.NDArray[np.float64]
Shares: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Batches:
    """How many photographs go through the network together: at most, and under overload. There a
    larger batch answers more of them, and each of those who were let in later."""

    most: int
    busy: int


_ALONE: Final = Batches(most=1, busy=1)
_BATCHES: Final = {
    "openvino-f32": (_ALONE, _ALONE),
    "openvino-bf16": (Batches(most=4, busy=2), Batches(most=4, busy=2)),
    "openvino-int8": (Batches(most=4, busy=1), Batches(most=4, busy=2)),
}
"""What pays, on one processor thread and on several.

ResNet50, photos a second for batches of 1, 2, 4 and 8: f32 19 20 19 20 on one thread and 35 36 40 39
on two; bf16 69 94 119 127 and 160 197 211 232; int8 205 209 218 221 and 274 361 400 401, and on another
processor with AMX 130 145 159 162 on one. Timing at the start, on a machine that does other things,
chose differently from one start to the next.
"""


def batches(engine: str, threads: int) -> Batches:
    """What was measured to pay for an engine, on so many processor threads."""
    alone, several = _BATCHES[engine]
    return alone if threads == 1 else several


def busy_batch(asked: int, measured: int) -> int:
    """The batch under overload: of two where a larger one was asked for, else as measured."""
    return min(2, asked) if asked else measured


class Engine:
    """Runs an archive's graph; safe to call from many threads, `streams` calls run at a time.

    `threads` processor threads are shared out among the streams. `max_batch` 0 is what `batches` says.
    """

    def __init__(
        self, archive: Archive, *, threads: int, streams: int = 1, max_batch: int = 0
    ) -> None:
        self.name = archive.engine
        self.streams = streams
        known = batches(archive.engine, max(1, threads // streams))
        self.max_batch = max_batch or known.most
        self.busy_batch = busy_batch(max_batch, known.busy)
        self._archive = archive
        compiled = _compiled(archive, threads, streams)
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(streams):
            self._idle.put(compiled.create_infer_request())
        self._warm_up()

    def logits(self, pixels: Pixels) -> Logits:
        """The network's answer [N, C] for pixels [N, 3, H, W], before any calibration."""
        request = self._idle.get()
        try:
            answer = request.infer({"image": pixels}, share_inputs=True)
            return np.array(answer["logits"], np.float64)
        finally:
            self._idle.put(request)

    def _blank(self, count: int) -> Pixels:
        side = self._archive.transform.crop
        return np.zeros((count, 3, side, side), np.float32)

    def _warm_up(self) -> None:
        blank = self._blank(1)
        for _ in range(2 * self.streams):  # an idle stream goes to the back of the queue
            answer = self.logits(blank)
        for count in range(2, self.max_batch + 1):
            self.logits(self._blank(count))  # each shape's kernels are made at its first call
        classes = len(self._archive.classes)
        if answer.shape != (1, classes) or not np.isfinite(answer).all():
            raise ArchiveError(f"the graph answers {answer.shape[1]} numbers for {classes} classes")


def shares_of(logits: Logits, temperature: float) -> Shares:
    """Calibrated probabilities: softmax(logits / temperature), [N, C] to [N, C]."""
    scaled = logits / temperature
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    shares: Shares = weights / weights.sum(axis=1, keepdims=True)
    return shares


def _compiled(archive: Archive, threads: int, streams: int) -> Any:
    import openvino as ov

    try:
        return ov.Core().compile_model(
            Path(archive.graph),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": archive.precision,
                "NUM_STREAMS": str(streams),
                "INFERENCE_NUM_THREADS": str(threads),
            },
        )
    except RuntimeError as error:
        raise ArchiveError(f"the graph cannot be loaded: {str(error)[:300]}") from error
