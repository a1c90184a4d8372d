"""The exported network on this machine's processor."""

from __future__ import annotations

import time
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
LARGEST_BATCH: Final = 8
_GAIN: Final = 1.15
"""A larger batch must bring at least this many times the photos a second to be used."""


class Engine:
    """Runs an archive's graph; safe to call from many threads, `streams` calls run at a time.

    `threads` processor threads are shared out among the streams. With `max_batch` 0 the largest
    batch that still brings more photos a second on this machine is found by timing.
    """

    def __init__(
        self, archive: Archive, *, threads: int, streams: int = 1, max_batch: int = 1
    ) -> None:
        self.streams = streams
        self._archive = archive
        compiled = _compiled(archive, threads, streams)
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(streams):
            self._idle.put(compiled.create_infer_request())
        self._warm_up()
        self.max_batch = max_batch or self._best_batch()

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
        classes = len(self._archive.classes)
        if answer.shape != (1, classes) or not np.isfinite(answer).all():
            raise ArchiveError(f"the graph answers {answer.shape[1]} numbers for {classes} classes")

    def _best_batch(self) -> int:
        best, best_rate = 1, self._rate(1)
        size = 2
        while size <= LARGEST_BATCH and (rate := self._rate(size)) > best_rate * _GAIN:
            best, best_rate, size = size, rate, size * 2
        return best

    def _rate(self, count: int) -> float:
        """Photos a second, the best of a few calls."""
        blank = self._blank(count)
        self.logits(blank)
        times = []
        for _ in range(5):
            started = time.perf_counter()
            self.logits(blank)
            times.append(time.perf_counter() - started)
        return count / min(times)


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
