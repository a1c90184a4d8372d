"""An engine: a way to compute features here, and the arithmetic in which the result is served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from training.errors import TrainingError
from training.graph import Network

SERVED: Final[Mapping[str, str]] = {
    "f32": "openvino-f32",
    "bf16": "openvino-bf16",
    "int8": "openvino-int8",
    "torch-f32": "openvino-f32",
    "torch-bf16": "openvino-bf16",
    "torch-compile": "openvino-bf16",
    "cuda": "openvino-bf16",
}
"""Each engine by its option's name, and what `pedigree.json` calls the artifact that follows."""

HINTS: Final[Mapping[str, str]] = {"f32": "f32", "bf16": "bf16", "int8": "f32"}
"""OpenVINO's INFERENCE_PRECISION_HINT; an int8 graph says itself what of it is quantised."""


class EngineError(TrainingError):
    """The engine that was asked for does not run on this machine."""

    exit_code = 2


@dataclass(frozen=True, kw_only=True)
class Engine:
    """`network` takes float32 [n, 3, crop, crop], n up to `batch`, from several threads at once, to
    float32 [n, D]. `graph` is the openvino.Model that a head is joined to: the very network of the
    features for f32, bf16 and int8. `float_graph` is the same before
    quantization. `digest` is part of a feature cache's key."""

    name: str
    network: Network
    graph: Any
    float_graph: Any
    batch: int
    digest: str
    why: str

    @property
    def served(self) -> str:
        """The engine's name in `pedigree.json`."""
        return SERVED[self.name]

    @property
    def hint(self) -> str:
        """INFERENCE_PRECISION_HINT of the exported artifact."""
        return HINTS[self.served.removeprefix("openvino-")]
