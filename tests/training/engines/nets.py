"""A small network with what matters for precision: convolutions, a depthwise one, pooling."""

from typing import Any

import numpy as np
import torch

from training.graph import Floats

SIDE = 32


def small() -> Any:
    """[N, 3, 32, 32] to [N, 16], the same weights each time."""
    generator = torch.Generator().manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, stride=2),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 16, 3, groups=16),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 16, 1),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
    )
    for parameter in module.parameters():
        parameter.data.normal_(0, 0.3, generator=generator)
    return module.eval().requires_grad_(False)


def pictures(count: int, seed: int = 0) -> Floats:
    """[count, 3, 32, 32], smooth enough to be photos."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(count, 3, 8, 8)).astype(np.float32)
    return np.ascontiguousarray(coarse.repeat(4, axis=2).repeat(4, axis=3))


def nearness(one: Floats, other: Floats) -> float:
    """The largest difference as a share of the largest value."""
    return float(np.abs(one - other).max() / np.abs(other).max())
