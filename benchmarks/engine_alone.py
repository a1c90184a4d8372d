"""Photos a second of an archive's network with no server around it, and with decoding before it.

Beside them the most that float32 could give here: ResNet50's arithmetic at the speed of this processor's
own matrix product.

    python -m benchmarks.engine_alone ARCHIVE-FOLDER PHOTO

OpenVINO is asked directly, as its own benchmark does: the best of batches of 1, 4 and 8, at the
processors this process may use.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import openvino as ov

from serving.models.archive import read_archive
from serving.preprocess import load

_SECONDS = 4.0
_RESNET50_FLOP = 8.18e9
"""A multiplication and an addition for each of 4.09e9 weights' uses, 224 x 224 pixels."""


def rate(call: Callable[[], object], count: int) -> float:
    """Photos a second of a call that does `count` of them."""
    for _ in range(3):
        call()
    began, calls = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < _SECONDS:
        call()
        calls += 1
    return calls * count / passed


def matrix_flop_per_s(side: int = 1024) -> float:
    """What a product of float32 matrices reaches, as the processor's peak in practice."""
    one = np.ones((side, side), np.float32)
    return rate(partial(np.matmul, one, one), 1) * 2 * side**3


def main() -> None:
    archive = read_archive(Path(sys.argv[1]))
    photo = Path(sys.argv[2]).read_bytes()
    threads = len(os.sched_getaffinity(0))
    hints = {
        "INFERENCE_PRECISION_HINT": archive.precision,
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "THROUGHPUT",
    }
    compiled = ov.Core().compile_model(Path(archive.graph), "CPU", hints)
    request = compiled.create_infer_request()
    one = load(photo, archive.transform)[np.newaxis]
    rates = {}
    for count in (1, 4, 8):
        batch = np.repeat(one, count, axis=0)
        rates[count] = rate(partial(request.infer, {"image": batch}), count)
    best = max(rates.values())
    decode = rate(partial(load, photo, archive.transform), 1)
    limits = {"network": best, "with decoding": 1 / (1 / best + 1 / decode)}
    print(json.dumps(limits | {"ResNet50 at float32's peak": matrix_flop_per_s() / _RESNET50_FLOP}))


if __name__ == "__main__":
    main()
