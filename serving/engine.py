"""The exported network on this machine's processor."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from serving.archive import Archive, ArchiveError
from serving.preprocess import Pixels

Shares: TypeAlias = npt.NDArray[np.float64]


class Engine:
    """Runs an archive's graph on all of `threads` processor threads, one call at a time.

    One stream over all threads gives a lone request the shortest answer; callers wait their turn.
    """

    def __init__(self, archive: Archive, *, threads: int) -> None:
        import openvino as ov

        self._archive = archive
        self._turn = threading.Lock()
        try:
            compiled = ov.Core().compile_model(
                Path(archive.graph),
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": archive.precision,
                    "NUM_STREAMS": "1",
                    "INFERENCE_NUM_THREADS": str(threads),
                },
            )
        except RuntimeError as error:
            raise ArchiveError(f"the graph cannot be loaded: {str(error)[:300]}") from error
        self._request: Any = compiled.create_infer_request()
        self._warm_up()

    def shares(self, pixels: Pixels) -> Shares:
        """Calibrated probabilities [N, C] for pixels [N, 3, H, W]."""
        with self._turn:
            answer = self._request.infer({"image": pixels}, share_inputs=True)
            logits = np.array(answer["logits"], np.float64) / self._archive.temperature
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        result: Shares = weights / weights.sum(axis=1, keepdims=True)
        return result

    def _warm_up(self) -> None:
        side = self._archive.transform.crop
        blank = np.zeros((1, 3, side, side), np.float32)
        for _ in range(2):
            answer = self.shares(blank)
        if answer.shape != (1, len(self._archive.classes)) or not np.isfinite(answer).all():
            raise ArchiveError(
                f"the graph answers {answer.shape[1]} numbers for {len(self._archive.classes)} classes"
            )
