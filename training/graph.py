"""The network as an OpenVINO graph: converted once, run over the photos, given its head, exported.

The graph that computes the training features is the one that is served, so nothing is lost between.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float32]
Network: TypeAlias = Callable[[Floats], Floats]
"""From [1, 3, H, W] to [1, K]; safe to call from several threads."""

_TRACING = threading.Lock()  # two traces at once in one process spoil each other


def convert(module: Any, crop: int) -> Any:
    """An openvino.Model of a torch module, input `image` f32 [N, 3, crop, crop]."""
    import openvino as ov
    import torch

    example = torch.zeros(1, 3, crop, crop)
    tracer: Any = torch.jit.trace
    with _TRACING, warnings.catch_warnings(), torch.inference_mode():
        # The converter needs a trace, whose end torch 2.14 announces. Traced here and unchecked, it
        # costs a third of what the converter takes to do it (it traces again to compare).
        warnings.simplefilter("ignore", FutureWarning)
        traced = tracer(module, example, check_trace=False)
        graph = ov.convert_model(traced, example_input=example, input=[-1, 3, crop, crop])
    graph.input(0).get_tensor().set_names({"image"})
    graph.output(0).get_tensor().set_names({"features"})
    return graph


def add_head(graph: Any, weight: Floats, bias: Floats) -> Any:
    """A new graph, `image` to `logits` [N, C], with weight [C, D] and bias [C]."""
    import openvino as ov
    from openvino import opset13 as ops

    body = graph.clone()
    features = body.output(0).get_node().input_value(0)
    product = ops.matmul(features, ops.constant(weight), False, True)
    logits = ops.add(product, ops.constant(bias[None, :]))
    whole = ov.Model([logits.output(0)], body.get_parameters(), "pedigree")
    whole.output(0).get_tensor().set_names({"logits"})
    return whole


def save(graph: Any, path: Path) -> None:
    """Write `path` (.xml) and its .bin in full precision."""
    import openvino as ov

    ov.save_model(graph, path, compress_to_fp16=False)
