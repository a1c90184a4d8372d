"""The exported network on this machine's processor."""

from __future__ import annotations

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
_BATCHES: Final = {
    "openvino-f32": (1, 1),
    "openvino-bf16": (4, 4),
    "openvino-int8": (1, 4),
}
"""The largest batch that pays, on one processor thread and on several.

ResNet50, photos a second for batches of 1, 2, 4 and 8: f32 19 20 19 20 on one thread and 35 36 40 39
on two; bf16 69 94 119 127 and 160 197 211 232; int8 205 209 218 221 and 274 361 400 401. Timing at the
start, on a machine that does other things, chose differently from one start to the next.
"""


def largest_batch(engine: str, threads: int) -> int:
    """How many photographs at most go through the network together, from what was measured."""
    alone, several = _BATCHES[engine]
    return alone if threads == 1 else several


class Engine:
    """Runs an archive's graph; safe to call from many threads, `streams` calls run at a time.

    `threads` processor threads are shared out among the streams. `max_batch` 0 is `largest_batch`.
    """

    def __init__(
        self, archive: Archive, *, threads: int, streams: int = 1, max_batch: int = 0
    ) -> None:
        self.streams = streams
        self.max_batch = max_batch or largest_batch(archive.engine, max(1, threads // streams))
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
