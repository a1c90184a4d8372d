"""OpenVINO as the engine: parallel streams of one thread each."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from training.graph import Floats, Network


def capabilities() -> frozenset[str]:
    """What OpenVINO can compute on this processor without emulation: FP32, BF16, INT8 ..."""
    import openvino as ov

    return frozenset(ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def on_openvino(graph_or_path: Any, *, threads: int, hint: str = "f32") -> Network:
    """Run a graph, or the .xml file of one, on the CPU: `threads` streams of one thread.

    Parallel streams are the fastest arrangement measured here, and each thread decodes its next
    photos while the others compute. `hint` is INFERENCE_PRECISION_HINT, as serving gives it.
    """
    import openvino as ov

    compiled = ov.Core().compile_model(
        graph_or_path,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": hint,
            "NUM_STREAMS": str(threads),
            "INFERENCE_NUM_THREADS": str(threads),
        },
    )
    own = threading.local()

    def run(pixels: Floats) -> Floats:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        answer = own.request.infer({0: pixels}, share_inputs=True)
        return np.array(answer[0], np.float32)

    return run
