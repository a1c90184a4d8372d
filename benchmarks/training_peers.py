"""The trainings that Pedigree is held against, each in a process of its own.

    python -m benchmarks.training_peers reference|tuned|timm DATA WEIGHTS EPOCHS

Each prints one JSON line an epoch: seconds since the process began, without those spent on looking at
the test photos, and the test accuracy, which chooses nothing. `outside_s` is what a user's script
would not spend: choosing the arithmetic, and all looks at test but the last.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3


def network(weights: Path, classes: int) -> Any:
    """EfficientNet-Lite0 with its published weights and a new classifier."""
    import timm

    from training.backbones import load_backbone

    body = load_backbone(
        "efficientnet_lite0", weights=weights, weights_digest="", resize=224, crop=224
    )
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=classes)
    model.load_state_dict(body.module.state_dict(), strict=False)
    return model


Cost = tuple[float, float]
"""Seconds of the clock, and of the processors (without those of loaders' workers)."""


def reading() -> Cost:
    return time.perf_counter(), time.process_time()


def since(before: Cost) -> Cost:
    now = reading()
    return now[0] - before[0], now[1] - before[1]


class Watch:
    """The clock of one contender; it stands still while the test photos are looked at, and while the
    arithmetic is chosen, which cost `chosen_at`."""

    def __init__(self, precision: str = "f32", chosen_at: Cost = (0.0, 0.0)) -> None:
        self._precision = precision
        self._outside, self._last_look = chosen_at, (0.0, 0.0)

    def tell(self, epoch: int, top1: Callable[[], float]) -> float:
        """Print the epoch's line; returns the accuracy."""
        outside_s, outside_cpu_s = (
            one + other for one, other in zip(self._outside, self._last_look, strict=True)
        )
        self._outside = (outside_s, outside_cpu_s)
        now = reading()
        seconds = now[0] - STARTED - outside_s
        found = top1()
        self._last_look = since(now)
        line = {
            "epoch": epoch, "seconds": seconds, "top1": found, "outside_s": outside_s,
            "outside_cpu_s": outside_cpu_s, "precision": self._precision,
        }  # fmt: skip
        print(json.dumps(line), flush=True)
        return found


def fastest_precision(model: Any) -> tuple[str, Cost]:
    """`bf16` or `f32`, whichever takes a photo through the network sooner here, and what finding out
    cost. Processors without bfloat16 emulate it."""
    import torch

    began = reading()
    photos = torch.randn(1, 3, 224, 224).to(memory_format=torch.channels_last)
    took = {}
    for name, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
        own = copy.deepcopy(model).eval().to(dtype, memory_format=torch.channels_last)
        with torch.inference_mode():
            for _ in range(2):
                started = time.perf_counter()
                own(photos.to(dtype))
                took[name] = time.perf_counter() - started
    return min(took, key=lambda name: took[name]), since(began)


def accuracy(model: Callable[[Any], Any], batches: Iterable[Any]) -> float:
    """Top-1 of a model that is in evaluation mode."""
    import torch

    right = total = 0
    with torch.inference_mode():
        for inputs, targets in batches:
            right += int((model(inputs).argmax(1) == targets).sum())
            total += len(targets)
    return right / total


def loaders(data: Path, batch: int, workers: int) -> dict[str, Any]:
    """torchvision's ImageFolder with the transforms of the fine-tuning tutorial."""
    from torch.utils.data import DataLoader
    from torchvision import datasets
    from torchvision import transforms as t

    plain = [t.Resize(256), t.CenterCrop(224), t.ToTensor(), t.Normalize(MEAN, STD)]
    varied = [t.RandomResizedCrop(224), t.RandomHorizontalFlip(), *plain[2:]]
    kept = workers > 0
    return {
        split: DataLoader(
            datasets.ImageFolder(str(data / split), t.Compose(steps)),
            batch_size=batch,
            shuffle=split == "train",
            num_workers=workers,
            persistent_workers=kept,
        )
        for split, steps in (("train", varied), ("valid", plain), ("test", plain))
    }


def reference(data: Path, weights: Path, epochs: int) -> None:
    """As the script's users write it: float32, batch 32, Adam on a new head over frozen layers,
    every photo decoded and put forward in every epoch, validation after each."""
    import torch

    parts = loaders(data, 32, 0)
    model = network(weights, len(parts["train"].dataset.classes))
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.startswith("classifier.")
    optimizer = torch.optim.Adam(model.classifier.parameters(), lr=0.001)
    criterion = torch.nn.CrossEntropyLoss()
    watch = Watch()
    for epoch in range(1, epochs + 1):
        model.train()
        for inputs, targets in parts["train"]:
            optimizer.zero_grad()
            criterion(model(inputs), targets).backward()
            optimizer.step()
        model.eval()
        accuracy(model, parts["valid"])
        watch.tell(epoch, lambda: accuracy(model, parts["test"]))


def tuned(data: Path, weights: Path, epochs: int) -> None:
    """The same loop by somebody who knows torch: the frozen layers in bfloat16 where that is faster,
    channels last and without a graph, workers that decode ahead, batch 64, cosine schedule, label
    smoothing."""
    import torch

    parts = loaders(data, 64, 2)
    model = network(weights, len(parts["train"].dataset.classes)).eval()
    precision, chosen_at = fastest_precision(model)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    model = model.to(dtype, memory_format=torch.channels_last)
    head = model.classifier.float()
    model.classifier = torch.nn.Identity()
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.003)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(parts["train"]))
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=0.1)

    def whole(inputs: Any) -> Any:
        with torch.no_grad():
            shaped = inputs.to(dtype, memory_format=torch.channels_last)
            features = model(shaped).float()
        return head(features)

    watch = Watch(precision, chosen_at)
    for epoch in range(1, epochs + 1):
        for inputs, targets in parts["train"]:
            optimizer.zero_grad()
            criterion(whole(inputs), targets).backward()
            optimizer.step()
            schedule.step()
        accuracy(whole, parts["valid"])
        watch.tell(epoch, lambda: accuracy(whole, parts["test"]))


def timm_recipe(data: Path, weights: Path, epochs: int) -> None:
    """timm's training, from its own parts: dataset, loader with its augmentation, optimizer,
    schedule with a warm-up and smoothed loss, all layers learning, channels last and bfloat16 autocast
    where that is faster. The wheel holds no train.py, so the loop around the parts is ours. Stops at 96%."""
    import torch

    parts: Any = import_module("timm.data")
    losses: Any = import_module("timm.loss")
    optim: Any = import_module("timm.optim")
    scheduler: Any = import_module("timm.scheduler")
    cpu = torch.device("cpu")
    batch, size = 64, (3, 224, 224)
    common: dict[str, Any] = {
        "input_size": size, "batch_size": batch, "mean": MEAN, "std": STD, "use_prefetcher": False,
        "num_workers": 2, "device": cpu, "persistent_workers": True,
    }  # fmt: skip
    sets = {
        split: parts.create_dataset("", str(data / split)) for split in ("train", "valid", "test")
    }
    train = parts.create_loader(sets["train"], is_training=True, **common)
    valid, test = (parts.create_loader(sets[s], **common) for s in ("valid", "test"))
    classes = len({path.name for path in (data / "train").iterdir()})
    model = network(weights, classes).to(memory_format=torch.channels_last)
    precision, chosen_at = fastest_precision(model)
    optimizer = optim.create_optimizer_v2(model, opt="adamw", lr=5e-4, weight_decay=0.02)
    schedule = scheduler.CosineLRScheduler(
        optimizer, t_initial=epochs, warmup_t=1, warmup_lr_init=1e-4
    )
    criterion = losses.LabelSmoothingCrossEntropy(0.1)
    watch = Watch(precision, chosen_at)
    for epoch in range(1, epochs + 1):
        schedule.step(epoch - 1)
        model.train()
        for inputs, targets in train:
            shaped = inputs.to(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                loss = criterion(model(shaped).float(), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        accuracy(model, valid)
        if watch.tell(epoch, lambda: accuracy(model, test)) >= 0.96:
            return


PEERS: dict[str, Callable[[Path, Path, int], None]] = {
    "reference": reference,
    "tuned": tuned,
    "timm": timm_recipe,
}

if __name__ == "__main__":
    name, folder, file, count = sys.argv[1:]
    PEERS[name](Path(folder), Path(file), int(count))
