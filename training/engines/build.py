"""An engine by its name, for the backbone as it is or as fine-tuning left it."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from training.engines.engine import HINTS, SERVED, Engine, EngineError
from training.engines.on_openvino import capabilities, on_openvino
from training.engines.on_torch import has_cuda, on_device, on_torch, on_torch_bf16
from training.engines.quantize import Int8Graph
from training.graph import Network

_BATCH = 8
_GPU_BATCH = 64
_BF16 = ("bf16", "torch-bf16", "torch-compile")
"""Without the arithmetic torch emulates these slowly, and OpenVINO computes in float32."""


def build_engine(
    name: str, *, module: Any, graph: Any, threads: int, why: str, int8: Int8Graph | None = None
) -> Engine:
    """The engine `name` (a key of SERVED). Raises EngineError where it cannot run.

    `graph` is `convert(module, crop)`, in float32; the engine int8 needs `int8`, made of it.
    """
    check_runs_here(name)
    body = int8.graph if int8 else graph
    lineage = int8.lineage if int8 else ""
    library = "openvino" if name in HINTS else "torch"
    return Engine(
        name=name,
        network=_network(name, module, body, threads),
        graph=body,
        float_graph=graph,
        batch=_GPU_BATCH if name == "cuda" else _BATCH,
        digest=f"{name} {library} {version(library)} {lineage}".strip(),
        why=why,
    )


def check_runs_here(name: str) -> None:
    """Raise EngineError for an engine that this machine lacks."""
    if name not in SERVED:
        raise EngineError(f"engine is {name!r}", fix=f"use one of {', '.join(SERVED)}")
    if name in _BF16 and "BF16" not in capabilities():
        raise EngineError(
            f"engine is {name} and this processor has no bfloat16 arithmetic",
            fix="use auto, f32 or int8, or an instance with AVX-512 BF16 or AMX (c7i, m7i, c7a, m7a)",
        )
    if name == "cuda" and not has_cuda():
        raise EngineError(
            "engine is cuda and torch finds no NVIDIA GPU", fix="use auto, or a GPU instance"
        )


def runs_here(name: str) -> bool:
    """`check_runs_here` as a question."""
    try:
        check_runs_here(name)
    except EngineError:
        return False
    return True


def _network(name: str, module: Any, graph: Any, threads: int) -> Network:
    if name == "torch-f32":
        return on_torch(module)
    if name in ("torch-bf16", "torch-compile"):
        return on_torch_bf16(module, compiled=name == "torch-compile")
    if name == "cuda":
        return on_device(module, "cuda")
    return on_openvino(graph, threads=threads, hint=HINTS[name])
