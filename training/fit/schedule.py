"""The step size over a training: a linear rise, then half a cosine down to nothing."""

from __future__ import annotations

import math


def step_factor(step: int, *, steps: int, warmup: float) -> float:
    """The share of the first step size that step `step` (from 0) of `steps` takes, 0 to 1.

    `warmup` is the share of the steps over which it rises (Goyal et al. 2017); the cosine is of
    Loshchilov and Hutter (2017), without restarts.
    """
    rising = int(warmup * steps)
    if step < rising:
        return (step + 1) / (rising + 1)
    return (1 + math.cos(math.pi * (step - rising) / (steps - rising))) / 2
