"""Fine-tuning: the last block of the backbone, or all of it, goes on learning with the head.

It starts from the head that was trained on the frozen features (Kumar et al. 2022), every block
with a smaller step size than the one above it. Batch-norm statistics stay those of pretraining:
small batches would spoil them, and two hosts would no longer give the model of one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch

from training.backbones import Backbone
from training.config import TrainConfig
from training.fit.head import Head
from training.fit.keeper import Keeper
from training.fit.loop import Group, Lesson, Loop, read_recipe
from training.fit.photos import PhotoRows, gather_rows
from training.fit.progress import Epoch, Progress
from training.graph import Floats
from training.hosts.cluster import Cluster
from training.measure.calibration import calibrated_loss

BLOCKS: Final[Mapping[str, Sequence[tuple[str, ...]]]] = {
    "resnet50": [("conv1.", "bn1."), *((f"layer{n}.",) for n in range(1, 5))],
    "efficientnet_lite0": [
        ("conv_stem.", "bn1."),
        *((f"blocks.{n}.",) for n in range(6)),
        ("blocks.6.", "conv_head.", "bn2."),
    ],
}
"""The blocks of each backbone, the lowest first, by how the names of their weights start."""

_AT_ONCE: Final = 32


class Whole(torch.nn.Module):
    """A backbone and its head: [N, 3, H, W] to logits [N, C]."""

    def __init__(self, backbone: torch.nn.Module, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = torch.nn.Linear(head.weight.shape[1], head.weight.shape[0])
        self.head.weight.data = torch.from_numpy(head.weight.copy())
        self.head.bias.data = torch.from_numpy(head.bias.copy())

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.backbone(pixels))
        return logits


def learning_groups(whole: Whole, name: str, config: TrainConfig) -> list[Group]:
    """Set which weights learn; their groups, the head first, then block by block downwards."""
    groups = [
        Group(weights=tuple(whole.head.parameters()), learning_rate=config.deep_learning_rate)
    ]
    blocks = list(reversed(BLOCKS[name]))
    whole.backbone.requires_grad_(False)
    for depth, starts in enumerate(blocks if config.trainable == "all" else blocks[:1]):
        weights = [
            weight for n, weight in whole.backbone.named_parameters() if n.startswith(starts)
        ]
        for weight in weights:
            weight.requires_grad_(True)
        rate = config.deep_learning_rate * config.layer_decay**depth
        groups.append(Group(weights=tuple(weights), learning_rate=rate))
    return groups


def fine_tune(
    backbone: Backbone,
    head: Head,
    *,
    train: PhotoRows,
    valid: PhotoRows,
    config: TrainConfig,
    cluster: Cluster,
    threads: int,
    keeper: Keeper | None = None,
    on_epoch: Callable[[Epoch], None] = lambda _epoch: None,
) -> tuple[Head, float]:
    """Fine-tune `backbone.module` in place; the head that goes with it, and the calibrated validation
    loss of what it started from. The head's temperature is 1: calibrate it on the engine that serves.

    If no epoch has a smaller one than the start, the start is what you get back.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(threads)
    whole = Whole(backbone.module, head).eval().to(device).to(memory_format=torch.channels_last)
    groups = learning_groups(whole, backbone.name, config)
    began = {name: value.detach().clone() for name, value in whole.state_dict().items()}

    def judge() -> Floats:
        return plain_logits(whole, valid, cluster)

    before = calibrated_loss(judge(), valid.labels)
    lesson = Lesson(
        module=whole,
        groups=groups,
        source=_OnDevice(train, device),
        judge=judge,
        valid_labels=valid.labels,
        classes=len(head.bias),
    )
    recipe = read_recipe(config, deep=True)
    done = Loop(lesson, recipe, cluster=cluster, keeper=keeper, on_epoch=on_epoch).run()
    if done.best_epoch.valid_calibrated >= before:
        whole.load_state_dict(began)
    whole.to("cpu").to(memory_format=torch.contiguous_format).requires_grad_(False)
    torch.set_num_threads(1)
    return _head_of(whole, head, done, before), before


def _head_of(whole: Whole, head: Head, done: Progress, before: float) -> Head:
    if done.best_epoch.valid_calibrated >= before:
        return replace(head, temperature=1.0)
    return Head(
        weight=whole.head.weight.detach().numpy().copy(),
        bias=whole.head.bias.detach().numpy().copy(),
        temperature=1.0,
        epoch=done.best_epoch,
        history=tuple(done.history),
    )


class _OnDevice:
    """The photos of a source, moved to where the network is."""

    def __init__(self, photos: PhotoRows, device: str) -> None:
        self.labels, self.owners = photos.labels, photos.owners
        self.stream = lambda shares, epoch: (
            (share, pixels.to(device, memory_format=torch.channels_last))
            for share, pixels in photos.stream(shares, epoch)
        )


def plain_logits(whole: torch.nn.Module, photos: PhotoRows, cluster: Cluster) -> Floats:
    """Logits [N, C] of all photos by the plain transform, on every host; each computes its own."""
    device = next(whole.parameters()).device
    rows = photos.mine(cluster)
    parts = []
    with torch.inference_mode():
        for start in range(0, len(rows), _AT_ONCE):
            pixels = np.stack(photos.plain_many(rows[start : start + _AT_ONCE]))
            parts.append(whole(torch.from_numpy(pixels).to(device)).float().cpu().numpy())
    width = parts[0].shape[1] if parts else 0
    values: Floats = np.concatenate(parts) if parts else np.zeros((0, width), np.float32)
    return gather_rows(rows, values, len(photos.labels), cluster)
