"""A ResNet50 archive to measure serving with: its size and speed, not its answers.

    python -m benchmarks.resnet50 folder openvino-int8

The weights are random (no package with trained ones was found), the quantisation is calibrated on
noise: time and memory do not depend on either.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from serving.preprocess import Transform

CLASSES = 120
SIDE = 224
TRANSFORM = Transform(resize=256, crop=SIDE, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
_CALIBRATION = 16


def write(folder: Path, engine: str) -> Path:
    """An archive as training exports it, for one of serving's engines."""
    import openvino as ov

    folder.mkdir(parents=True, exist_ok=True)
    graph = _graph()
    if engine == "openvino-int8":
        graph = _quantised(graph)
    ov.save_model(graph, folder / "model.xml", compress_to_fp16=False)
    files = {}
    for name in ("model.xml", "model.bin"):
        with (folder / name).open("rb") as stream:
            files[name] = f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
    content = {
        "schema": 1,
        "backbone": "resnet50",
        "classes": [f"class_{number:03}" for number in range(CLASSES)],
        "engine": engine,
        "transform": TRANSFORM.to_dict(),
        "run_id": "resnet50",
        "temperature": 1.0,
        "files": files,
    }
    (folder / "pedigree.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def module() -> Any:
    """The same network in torch, for peers that run it there."""
    import timm
    import torch

    torch.manual_seed(0)
    return timm.create_model("resnet50", pretrained=False, num_classes=CLASSES).eval()


def _graph() -> Any:
    import warnings

    import openvino as ov
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's tracing announces its successor
        graph = ov.convert_model(
            module(),
            example_input=torch.randn(1, 3, SIDE, SIDE),
            input=[-1, 3, SIDE, SIDE],
        )
    graph.input(0).get_tensor().set_names({"image"})
    graph.output(0).get_tensor().set_names({"logits"})
    return graph


def _quantised(graph: Any) -> Any:
    import nncf

    chance = np.random.default_rng(0)
    noise = [
        chance.standard_normal((1, 3, SIDE, SIDE)).astype(np.float32) for _ in range(_CALIBRATION)
    ]
    return nncf.quantize(graph, nncf.Dataset(noise), subset_size=_CALIBRATION)


if __name__ == "__main__":
    print(write(Path(sys.argv[1]), sys.argv[2]))
