"""A moving average of the weights, which is often the better model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

Tensors = dict[str, torch.Tensor]


def learning(module: torch.nn.Module) -> Tensors:
    """The weights of a module that learn, by name; not copies."""
    return {name: p.data for name, p in module.named_parameters() if p.requires_grad}


def copied(tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """A copy of each tensor in the processor's memory."""
    return {name: value.detach().to("cpu", copy=True) for name, value in tensors.items()}


def fill(module: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Set the weights of a module that learn; every name must be there."""
    for name, weight in learning(module).items():
        weight.copy_(tensors[name])


class Average:
    """The exponential moving average of the weights that learn; with `decay` 0 it keeps nothing.

    Early on the decay is less, (1 + n) / (10 + n) after n updates, so that the random start is
    forgotten soon.
    """

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self._module = module
        self._decay = decay
        self.updates = 0
        self.weights: Tensors = copied(learning(module)) if decay else {}

    def update(self) -> None:
        """Take in the weights after a step."""
        if not self._decay:
            return
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        for name, weight in learning(self._module).items():
            self.weights[name].lerp_(weight.to("cpu"), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within, the module has the averaged weights."""
        if not self._decay:
            yield
            return
        own = copied(learning(self._module))
        fill(self._module, self.weights)
        try:
            yield
        finally:
            fill(self._module, own)
