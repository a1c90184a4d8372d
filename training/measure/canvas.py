"""A small chart canvas on Pillow, drawn at twice its size so that lines are smooth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from training.measure.basics import Floats

Colour = tuple[int, int, int]
Point = tuple[float, float]
INK: Final = (34, 34, 34)
GREY: Final = (150, 150, 150)
FAINT: Final = (228, 228, 228)
BLUE: Final = (31, 98, 179)
ORANGE: Final = (204, 96, 0)
_WHITE: Final = (255, 255, 255)
_SCALE: Final = 2
_TEXT_PX: Final = 14


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A rectangle of the canvas (left, top, right, bottom in pixels) and the values it spans."""

    box: tuple[float, float, float, float]
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> Point:
        """Where a pair of values is on the canvas; `y[0]` is at the bottom."""
        left, top, right, bottom = self.box
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return left + across * (right - left), bottom - up * (bottom - top)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values within a range, at most about `most` of them."""
    raw = (high - low) / most
    power: float = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


class Canvas:
    """White, `width` x `height` pixels."""

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGB", (width * _SCALE, height * _SCALE), _WHITE)
        self._draw = ImageDraw.Draw(self._image)
        self._font = ImageFont.load_default(_TEXT_PX * _SCALE)

    def save(self, path: Path) -> None:
        """Write a PNG of the canvas's own size."""
        size = (self._image.width // _SCALE, self._image.height // _SCALE)
        self._image.resize(size, Image.Resampling.BOX).save(path, "PNG", optimize=True)

    def axes(self, frame: Frame, title: str, below: str) -> None:
        """The frame's grid, the numbers on both sides, a title, and what runs along the bottom."""
        left, top, right, bottom = frame.box
        for value in ticks(*frame.y):
            _, y = frame.at(frame.x[0], value)
            self._stroke([(left, y), (right, y)], FAINT, 1)
            self.text((left - 8, y), f"{value:g}", INK, anchor="rm")
        for value in ticks(*frame.x):
            x, _ = frame.at(value, frame.y[0])
            self._stroke([(x, top), (x, bottom)], FAINT, 1)
            self.text((x, bottom + 8), f"{value:g}", INK, anchor="ma")
        self._stroke([(left, top), (left, bottom), (right, bottom)], INK, 1)
        self.text((left, top - 34), title, INK)
        self.text(((left + right) / 2, bottom + 30), below, INK, anchor="ma")

    def line(self, frame: Frame, xs: Sequence[float], ys: Sequence[float], colour: Colour) -> None:
        """A line through the points; a lone point is a disc."""
        points = [frame.at(x, y) for x, y in zip(xs, ys, strict=True)]
        if len(points) == 1:
            self.disc(points[0], 3, colour)
        else:
            self._stroke(points, colour, 2)

    def disc(self, centre: Point, radius: float, colour: Colour) -> None:
        """A filled disc."""
        self._draw.circle([v * _SCALE for v in centre], radius * _SCALE, fill=colour)

    def legend(self, frame: Frame, entries: Sequence[tuple[str, Colour]]) -> None:
        """What the colours mean, in a row above the frame."""
        x, y = frame.box[0], frame.box[1] - 9
        for text, colour in entries:
            self._stroke([(x, y), (x + 16, y)], colour, 3)
            self.text((x + 22, y), text, INK, anchor="lm")
            x += 38 + self._font.getlength(text) / _SCALE

    def cells(self, frame: Frame, shares: Floats) -> None:
        """A picture of a matrix of shares 0 to 1: white to blue, with a border."""
        left, top, right, bottom = (round(v * _SCALE) for v in frame.box)
        depth = np.clip(shares, 0, 1)[..., None] ** 0.6
        tint = np.array(_WHITE) * (1 - depth) + np.array(BLUE) * depth
        picture = Image.fromarray(tint.round().astype(np.uint8))
        self._image.paste(
            picture.resize((right - left, bottom - top), Image.Resampling.NEAREST), (left, top)
        )
        self._draw.rectangle((left, top, right, bottom), outline=INK, width=_SCALE)

    def text(self, at: Point, text: str, colour: Colour, anchor: str = "la") -> None:
        """A line of text; `anchor` as Pillow names it."""
        place = (at[0] * _SCALE, at[1] * _SCALE)
        self._draw.text(place, text, fill=colour, font=self._font, anchor=anchor)

    def tall_text(self, at: Point, text: str, colour: Colour) -> None:
        """Text that runs upwards and ends below `at`."""
        wide, high = math.ceil(self._font.getlength(text)), 2 * _TEXT_PX * _SCALE
        strip = Image.new("RGB", (max(wide, 1), high), _WHITE)
        middle = (wide, high // 2)
        ImageDraw.Draw(strip).text(middle, text, fill=colour, font=self._font, anchor="rm")
        turned = strip.rotate(90, expand=True)
        place = (round(at[0] * _SCALE - high / 2), round(at[1] * _SCALE) + 2 * _SCALE)
        self._image.paste(turned, place, Image.eval(turned.convert("L"), lambda v: 255 - v))

    def _stroke(self, points: Sequence[Point], colour: Colour, width: int) -> None:
        flat = [(x * _SCALE, y * _SCALE) for x, y in points]
        self._draw.line(flat, fill=colour, width=width * _SCALE, joint="curve")
