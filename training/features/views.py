"""Augmented views of a photo, the same on any host and in any order.

TrivialAugment (Müller and Hutter 2021, wide) draws one operation and its strength; RandAugment
(Cubuk et al. 2020) draws two at a fixed strength. Before it a random cut of 35 to 100% of the area
and a mirror image. The operations are torchvision's; the draws are our own, because torchvision's
share one generator between all threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from PIL import Image

from serving.preprocess import Transform

NONE: Final = "none"
KINDS: Final = ("trivialaugment", "randaugment")
_LEVELS: Final = 31
_RAND_LEVEL: Final = 9
_RAND_OPERATIONS: Final = 2
_AREA: Final = (0.35, 1.0)
_ASPECT: Final = (3 / 4, 4 / 3)


def view_chance(seed: int, sha256: str, view: int) -> np.random.Generator:
    """The chance of one view of one photo: of the run's seed, the photo's bytes and the view."""
    return np.random.default_rng((seed, view, int(sha256[:32], 16)))


def augmented(
    image: Image.Image, transform: Transform, kind: str, chance: np.random.Generator
) -> Image.Image:
    """A random view of an upright RGB photo: RGB, crop x crop. `kind` is one of KINDS."""
    side = transform.crop
    box = _random_box(image.width, image.height, chance)
    square = image.resize((side, side), Image.Resampling.BILINEAR, box=box)
    if chance.random() < 0.5:
        square = square.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    names = sorted(_OPERATIONS)
    if kind == "randaugment":
        drawn = chance.choice(len(names), _RAND_OPERATIONS)
        strengths = [_RAND_LEVEL / (_LEVELS - 1)] * _RAND_OPERATIONS
    else:
        drawn = chance.choice(len(names), 1)
        strengths = [int(chance.integers(_LEVELS)) / (_LEVELS - 1)]
    for place, strength in zip(drawn, strengths, strict=True):
        sign = -1.0 if chance.random() < 0.5 else 1.0
        square = _OPERATIONS[names[int(place)]](square, strength, sign)
    return square


def _random_box(
    width: int, height: int, chance: np.random.Generator
) -> tuple[float, float, float, float]:
    """A cut as torchvision's RandomResizedCrop draws it; the middle square if ten tries fail."""
    for _ in range(10):
        area = width * height * chance.uniform(*_AREA)
        aspect = math.exp(chance.uniform(math.log(_ASPECT[0]), math.log(_ASPECT[1])))
        wide, high = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if wide <= width and high <= height:
            left, top = chance.uniform(0, width - wide), chance.uniform(0, height - high)
            return left, top, left + wide, top + high
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


Operation = Callable[[Image.Image, float, float], Image.Image]


def _affine(image: Image.Image, **change: Any) -> Image.Image:
    from torchvision.transforms.v2 import functional

    still: dict[str, Any] = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    moved: Image.Image = functional.affine(image, **{**still, **change}, fill=[0, 0, 0])
    return moved


def _named(name: str, *numbers: float | int) -> Callable[[Image.Image], Image.Image]:
    def apply(image: Image.Image) -> Image.Image:
        from torchvision.transforms.v2 import functional

        changed: Image.Image = getattr(functional, name)(image, *numbers)
        return changed

    return apply


def _enhance(name: str) -> Operation:
    return lambda image, strength, sign: _named(name, 1.0 + sign * 0.99 * strength)(image)


def _shear(axis: int) -> Operation:
    def shear(image: Image.Image, strength: float, sign: float) -> Image.Image:
        angle = math.degrees(math.atan(0.99 * strength)) * sign
        return _affine(image, shear=[angle, 0.0] if axis == 0 else [0.0, angle], center=[0, 0])

    return shear


def _translate(axis: int) -> Operation:
    def translate(image: Image.Image, strength: float, sign: float) -> Image.Image:
        far = int(32.0 * strength * sign)
        return _affine(image, translate=[far, 0] if axis == 0 else [0, far])

    return translate


_OPERATIONS: Final[Mapping[str, Operation]] = {
    "identity": lambda image, strength, sign: image,
    "shear_x": _shear(0),
    "shear_y": _shear(1),
    "translate_x": _translate(0),
    "translate_y": _translate(1),
    "rotate": lambda image, strength, sign: _affine(image, angle=135.0 * strength * sign),
    "brightness": _enhance("adjust_brightness"),
    "color": _enhance("adjust_saturation"),
    "contrast": _enhance("adjust_contrast"),
    "sharpness": _enhance("adjust_sharpness"),
    "posterize": lambda image, strength, sign: _named("posterize", 8 - round(6 * strength))(image),
    "solarize": lambda image, strength, sign: _named("solarize", 255.0 * (1 - strength))(image),
    "autocontrast": lambda image, strength, sign: _named("autocontrast")(image),
    "equalize": lambda image, strength, sign: _named("equalize")(image),
}
"""Names and ranges are those of torchvision's TrivialAugmentWide."""
