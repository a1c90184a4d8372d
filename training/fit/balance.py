"""How much each class weighs in the loss."""

from __future__ import annotations

import numpy as np
import torch

from training.measure.basics import Labels


def class_weights(labels: Labels, classes: int, *, balanced: bool) -> torch.Tensor:
    """float32 [classes]: ones, or N / (classes present * n of the class), of mean 1 over the photos.

    A class without photos weighs nothing.
    """
    if not balanced:
        return torch.ones(classes)
    counts = np.bincount(labels, minlength=classes)
    present = int((counts > 0).sum())
    weights = np.where(counts > 0, len(labels) / (present * np.maximum(counts, 1)), 0.0)
    return torch.from_numpy(weights.astype(np.float32))
