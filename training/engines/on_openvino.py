"""OpenVINO as the engine: parallel streams of one thread each."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Final

import numpy as np

from training.graph import Floats, Network

_DOT_PRODUCTS: Final = ("avx512_vnni", "avx_vnni", "amx_int8")


def capabilities() -> frozenset[str]:
    """What OpenVINO can compute on this processor without emulation: FP32, BF16, INT8 ..."""
    import openvino as ov

    return frozenset(ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def multiplies_bytes(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Does the processor have a dot product of bytes (VNNI, AMX, Arm's)? Yes, where nothing tells."""
    try:
        words = set(cpuinfo.read_text(encoding="utf-8").split())
    except OSError:
        return True
    return "avx2" not in words or not words.isdisjoint(_DOT_PRODUCTS)


def on_openvino(graph_or_path: Any, *, threads: int, hint: str = "f32") -> Network:
    """Run a graph, or the .xml file of one, on the CPU: `threads` streams of one thread.

    Parallel streams are the fastest arrangement measured here, and each thread decodes its next
    photos while the others compute. `hint` is INFERENCE_PRECISION_HINT, as serving gives it. The
    graph is compiled at the first call: a run that finds its features cached never does. Threads are
    not pinned, so that two processes on one machine do not meet on one core.
    """
    turn, own = threading.Lock(), threading.local()
    compiled: list[Any] = []

    def request() -> Any:
        import openvino as ov

        with turn:
            if not compiled:
                settings = {
                    "INFERENCE_PRECISION_HINT": hint,
                    "NUM_STREAMS": str(threads),
                    "INFERENCE_NUM_THREADS": str(threads),
                    "ENABLE_CPU_PINNING": False,
                }
                compiled.append(ov.Core().compile_model(graph_or_path, "CPU", settings))
        return compiled[0].create_infer_request()

    def run(pixels: Floats) -> Floats:
        if not hasattr(own, "request"):
            own.request = request()
        answer = own.request.infer({0: pixels}, share_inputs=True)
        return np.array(answer[0], np.float32)

    return run
