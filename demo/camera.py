"""What the camera adds: exposure, white balance, vignette, blur, grain and compression."""

import io

import numpy as np
from PIL import Image, ImageFilter

from demo.canvas import Picture

_USUAL_SIDE_PX = 256


def expose(picture: Picture, rng: np.random.Generator) -> Image.Image:
    """The photograph [size, size] in 8-bit RGB that a camera makes of the scene."""
    lit = _develop(picture, rng)
    image = Image.fromarray(np.ascontiguousarray(_to_bytes(lit)))
    blur_px = rng.gamma(1.4, 0.45) * image.width / _USUAL_SIDE_PX
    image = image.filter(ImageFilter.GaussianBlur(float(blur_px)))
    return _compress(_add_grain(image, rng), rng)


def _develop(picture: Picture, rng: np.random.Generator) -> Picture:
    gain = np.exp(rng.normal(0, 0.06, 3) + rng.normal(0.05, 0.20)).astype(np.float32)
    contrast, colour = np.exp(rng.normal((0, -0.08), 0.13)).astype(np.float32)
    corner = max(0.0, rng.normal(0.10, 0.12))
    line = np.linspace(-1, 1, picture.shape[1], dtype=np.float32) ** 2 * np.float32(corner)
    lens = 1 - line[:, None] - line[None, :]
    lit = _roll_off(picture * gain[:, None, None])
    grey = (lit[0] + lit[1] + lit[2]) * np.float32(1 / 3)
    middle = np.float32(0.42)
    toned: Picture = (lit - grey) * (colour * contrast) + (grey - middle) * contrast + middle
    return toned * lens


def _roll_off(picture: Picture) -> Picture:
    """Bright colours bend toward white slowly, as film does, and are not cut off."""
    bright = np.maximum(picture - np.float32(0.5), 0)
    bent: Picture = picture - bright + bright / (1 + np.float32(0.9) * bright)
    return bent


def _add_grain(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    strength = max(0.0, rng.normal(3.0, 3.0))
    size = image.size[0]
    noise = rng.standard_normal((size, size, 1), dtype=np.float32) * np.float32(strength)
    grainy = np.asarray(image, dtype=np.float32) + noise
    return Image.fromarray(np.clip(grainy, 0, 255).astype(np.uint8))


def _compress(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    quality = int(rng.integers(35, 95))
    if quality > 75:
        return image
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    compressed = Image.open(buffer)
    compressed.load()
    return compressed


def _to_bytes(picture: Picture) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return (np.clip(picture, 0, 1) * np.float32(255)).astype(np.uint8).transpose(1, 2, 0)
