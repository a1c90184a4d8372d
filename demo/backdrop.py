"""What stands behind the dog: a studio, a park, a lawn, a room, a street, a beach."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from demo.canvas import Picture, from_image, grain, look_up, strands

_SIDE = 128
Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]


def draw_backdrop(rng: np.random.Generator, size_px: int) -> Picture:
    """A background picture [size, size, 3], blurred as by a lens."""
    scenes: tuple[Callable[[np.random.Generator], Image.Image], ...]
    scenes = (_studio, _park, _lawn, _lawn, _room, _room, _street, _beach)
    scene = scenes[rng.integers(len(scenes))](rng)
    _clutter(scene, rng)
    scene = scene.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 3.2))))
    grown = scene.resize((size_px, size_px), Image.Resampling.BICUBIC)
    return from_image(grown)


def _studio(rng: np.random.Generator) -> Image.Image:
    return _gradient(_any(rng, 40, 225), _any(rng, 25, 200))


def _park(rng: np.random.Generator) -> Image.Image:
    image = _gradient(_near(rng, (70, 105, 60), 35), _near(rng, (40, 70, 35), 25))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(12, 34)):
        draw.ellipse(_round(rng, 3, 13), fill=_near(rng, (125, 160, 85), 60))
    return image


def _lawn(rng: np.random.Generator) -> Image.Image:
    horizon = int(_SIDE * rng.uniform(0.05, 0.7))
    image = _gradient(_near(rng, (150, 180, 205), 40), _near(rng, (190, 200, 200), 35))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(0, 9)):
        left, top, right, _ = _round(rng, 8, 26)
        draw.ellipse((left, horizon - 14, right, horizon + 10), fill=_near(rng, (60, 95, 55), 30))
        draw.rectangle((left + 6, min(top, horizon), left + 9, horizon), fill=(70, 52, 40))
    grass = _near(rng, (96, 132, 62), 34)
    image.paste(_blades(rng, grass, _SIDE - horizon), (0, horizon))
    return image


def _room(rng: np.random.Generator) -> Image.Image:
    wall = _near(rng, (196, 184, 168), 48)
    image = _gradient(wall, _near(rng, wall, 14))
    draw = ImageDraw.Draw(image)
    floor = int(_SIDE * rng.uniform(0.55, 0.95))
    draw.rectangle((0, floor, _SIDE, _SIDE), fill=_near(rng, (128, 92, 62), 40))
    draw.rectangle((0, floor - 3, _SIDE, floor), fill=_near(rng, (225, 220, 212), 20))
    if rng.random() < 0.6:
        left, top = rng.uniform(0, 90), rng.uniform(0, 30)
        draw.rectangle((left, top, left + 38, top + 44), fill=_near(rng, (232, 238, 244), 16))
        draw.line((left + 19, top, left + 19, top + 44), fill=(165, 160, 150), width=2)
    if rng.random() < 0.7:
        seat, colour = rng.uniform(60, 92), _any(rng, 40, 190)
        left = rng.uniform(-30, 60)
        draw.rounded_rectangle((left, seat, left + 100, _SIDE + 20), radius=12, fill=colour)
        cushion = (left + 12, seat - 12, left + 46, seat + 16)
        draw.rounded_rectangle(cushion, radius=8, fill=_any(rng, 60, 225))
    return image


def _street(rng: np.random.Generator) -> Image.Image:
    image = _gradient(_near(rng, (176, 190, 205), 30), _near(rng, (150, 150, 150), 30))
    draw = ImageDraw.Draw(image)
    left = -10.0
    while left < _SIDE:
        width, top = rng.uniform(14, 42), rng.uniform(0, 60)
        draw.rectangle((left, top, left + width, 100), fill=_near(rng, (150, 126, 110), 50))
        for row in np.arange(top + 5, 92, 12):
            pane = (left + 4, row, left + 4 + width * 0.3, row + 6)
            draw.rectangle(pane, fill=_near(rng, (200, 195, 165), 50))
        left += width
    draw.rectangle((0, 98, _SIDE, _SIDE), fill=_near(rng, (122, 120, 118), 25))
    return image


def _beach(rng: np.random.Generator) -> Image.Image:
    image = _gradient(_near(rng, (140, 185, 222), 30), _near(rng, (205, 222, 230), 20))
    draw = ImageDraw.Draw(image)
    sea, sand = int(rng.uniform(30, 66)), int(rng.uniform(70, 110))
    draw.rectangle((0, sea, _SIDE, sand), fill=_near(rng, (70, 128, 150), 26))
    draw.rectangle((0, sand, _SIDE, _SIDE), fill=_near(rng, (208, 184, 142), 22))
    return image


def _clutter(image: Image.Image, rng: np.random.Generator) -> None:
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(0, 6)):
        colour = _any(rng, 20, 240)
        if rng.random() < 0.5:
            draw.ellipse(_round(rng, 3, 14), fill=colour)
        else:
            x, y = rng.uniform(0, _SIDE, 2)
            w, h = rng.uniform(3, 30, 2)
            draw.rectangle((x, y, x + w, y + h), fill=colour)


def _gradient(top: Colour, bottom: Colour) -> Image.Image:
    ends = Image.new("RGB", (1, 2))
    ends.putpixel((0, 0), top)
    ends.putpixel((0, 1), bottom)
    return ends.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)


def _blades(rng: np.random.Generator, colour: Colour, rows: int) -> Image.Image:
    y, x = np.mgrid[0:rows, 0:_SIDE].astype(np.float32)
    a, b = rng.uniform(0, 512, 2)
    value = look_up(strands(), x * 2 + a, y * 3 + b) * 0.6 + look_up(grain(), x + a, y + b) * 0.4
    blades = np.asarray(colour, dtype=np.float32) * (0.62 + 0.7 * value)[..., None]
    return Image.fromarray(np.clip(blades, 0, 255).astype(np.uint8))


def _round(rng: np.random.Generator, low: float, high: float) -> Box:
    x, y = rng.uniform(0, _SIDE, 2)
    radius = rng.uniform(low, high)
    return x - radius, y - radius, x + radius, y + radius


def _near(rng: np.random.Generator, colour: Colour, spread: float) -> Colour:
    level = rng.uniform(-spread, spread)
    shifts = level + rng.uniform(-spread, spread, 3) * 0.4
    red, green, blue = (int(np.clip(c + s, 0, 255)) for c, s in zip(colour, shifts, strict=True))
    return red, green, blue


def _any(rng: np.random.Generator, low: int, high: int) -> Colour:
    level = rng.uniform(low, high)
    red, green, blue = (int(np.clip(level + v, 0, 255)) for v in rng.normal(0, 26, 3))
    return red, green, blue
