"""torch as the engine: eager float32, bfloat16 with channels last, compiled, or on an NVIDIA GPU.

The GPU's path was never run by its authors, who had none; its structure is tested on the CPU.
"""

from __future__ import annotations

import contextlib
import copy
import threading
from typing import Any

import numpy as np

from training.graph import Floats, Network


def on_torch(module: Any) -> Network:
    """A torch module as it is, in float32."""
    import torch

    def run(pixels: Floats) -> Floats:
        with torch.inference_mode():
            result: Floats = module(torch.from_numpy(pixels)).numpy()
        return result

    return run


def on_torch_bf16(module: Any, *, compiled: bool = False) -> Network:
    """Weights and arithmetic in bfloat16, channels last; `compiled` by torch.compile on first use."""
    import torch

    own = copy.deepcopy(module).to(torch.bfloat16, memory_format=torch.channels_last)
    network: Any = torch.compile(own, dynamic=False) if compiled else own

    def run(pixels: Floats) -> Floats:
        with torch.inference_mode():
            inputs = torch.from_numpy(pixels).to(torch.bfloat16, memory_format=torch.channels_last)
            result: Floats = network(inputs).float().numpy()
        return result

    return run


def on_device(module: Any, device: str, *, dtype: str = "bfloat16") -> Network:
    """Autocast and channels last on `device` (`cuda`, or `cpu` to test the path); one call at a time.

    Float32 stays where autocast keeps it; pinned memory makes the copy overlap the threads that
    decode.
    """
    import torch

    own = copy.deepcopy(module).to(device, memory_format=torch.channels_last)
    turn = threading.Lock()
    on_gpu = device.startswith("cuda")

    def run(pixels: Floats) -> Floats:
        with turn, torch.inference_mode(), torch.autocast(device, getattr(torch, dtype)):
            batch = torch.from_numpy(pixels)
            if on_gpu:
                batch = batch.pin_memory()
            moved = batch.to(device, non_blocking=True, memory_format=torch.channels_last)
            result: Floats = np.asarray(own(moved).float().cpu())
        return result

    return run


def has_cuda() -> bool:
    """Is there an NVIDIA GPU that this torch can use?"""
    import torch

    with contextlib.suppress(RuntimeError):
        return bool(torch.cuda.is_available())
    return False
