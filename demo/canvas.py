"""Pixel fields, noise and ink: the small set of drawing operations the portraits are made of.

A field is float32 [rows, columns]; a picture is float32 [3, rows, columns], values about 0 to 1.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Field = npt.NDArray[np.float32]
Picture = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]
Ink = tuple[int, int, int, int]
Grid = tuple[Field, Field]
Positions = npt.NDArray[np.floating[Any]]
Window = tuple[slice, slice]

_TILE = 512
_SUPERSAMPLE = 2


@dataclass(frozen=True, kw_only=True)
class View:
    """Where the dog's units fall on a piece of the picture: x to the right, y up, z to the eye.

    `shape` is rows and columns; `centre_px` may lie outside the piece.
    """

    shape: tuple[int, int]
    centre_px: tuple[float, float]
    unit_px: float

    def grid(self) -> Grid:
        """x [1, columns] and y [rows, 1], in dog units, of the pixels' middles."""
        rows, columns = (np.arange(n, dtype=np.float32) + np.float32(0.5) for n in self.shape)
        x = (columns - np.float32(self.centre_px[0])) * np.float32(1 / self.unit_px)
        y = (np.float32(self.centre_px[1]) - rows) * np.float32(1 / self.unit_px)
        return x[None, :], y[:, None]

    def to_px(self, points: Points) -> Points:
        """Points [n, 2 or 3] in dog units -> [n, 2] in pixels."""
        x = self.centre_px[0] + points[:, 0] * self.unit_px
        y = self.centre_px[1] - points[:, 1] * self.unit_px
        return np.stack([x, y], axis=1)

    def window(self, points: Points, margin: float) -> Window:
        """The smallest part that holds the points and `margin` units around them (not empty)."""
        px = self.to_px(points)
        low = px.min(axis=0) - margin * self.unit_px
        high = px.max(axis=0) + margin * self.unit_px
        spans = []
        for first, last, length in zip(low[::-1], high[::-1], self.shape, strict=True):
            start = int(np.clip(first, 0, length - 4))
            spans.append(slice(start, int(np.clip(np.ceil(last), start + 4, length))))
        return spans[0], spans[1]

    def crop(self, window: Window) -> "View":
        """The view of that part alone."""
        rows, columns = window
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        centre = (self.centre_px[0] - columns.start, self.centre_px[1] - rows.start)
        return View(shape=shape, centre_px=centre, unit_px=self.unit_px)


class InkSheet:
    """A transparent sheet drawn on at twice the size, so that every edge comes out smooth."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._image = Image.new("RGBA", _doubled(shape))
        self._draw = ImageDraw.Draw(self._image)

    def polygon(self, points_px: Points, ink: Ink) -> None:
        """Fill a closed shape given as [n, 2] pixels of the finished picture."""
        self._draw.polygon(_flat(points_px), fill=ink)

    def line(self, points_px: Points, ink: Ink, width_px: float) -> None:
        """Stroke an open line of that width (finished pixels)."""
        width = max(1, round(width_px * _SUPERSAMPLE))
        self._draw.line(_flat(points_px), fill=ink, width=width, joint="curve")

    def over(self, picture: Picture) -> Picture:
        """The picture with the sheet laid on it."""
        image = self._image.convert("RGBa").reduce(_SUPERSAMPLE)
        sheet = from_image(image)
        laid: Picture = picture * (1 - sheet[3]) + sheet[:3]
        return laid


def from_image(image: Image.Image) -> Picture:
    """An 8-bit image -> float32 [bands, rows, columns], 0 to 1."""
    bands: Picture = np.asarray(image).transpose(2, 0, 1) * np.float32(1 / 255)
    return bands


def coverage(shape: tuple[int, int], outline_px: Points) -> Field:
    """How much of each pixel the outline covers, 0 to 1."""
    image = Image.new("L", _doubled(shape))
    ImageDraw.Draw(image).polygon(_flat(outline_px), fill=255)
    return np.asarray(image.reduce(_SUPERSAMPLE)) * np.float32(1 / 255)


def _doubled(shape: tuple[int, int]) -> tuple[int, int]:
    return shape[1] * _SUPERSAMPLE, shape[0] * _SUPERSAMPLE


def _flat(points_px: Points) -> list[float]:
    scaled: list[float] = (points_px * _SUPERSAMPLE).ravel().tolist()
    return scaled


def closed_curve(points: Points, steps: int = 6) -> Points:
    """A smooth closed line (Catmull-Rom) through points [n, d] -> [n * steps, d]."""
    before, after, beyond = (np.roll(points, shift, axis=0) for shift in (1, -1, -2))
    t = (np.arange(steps) / steps)[None, :, None]
    a, b, c, d = (p[:, None, :] for p in (before, points, after, beyond))
    linear, square, cube = c - a, 2 * a - 5 * b + 4 * c - d, 3 * b - a - 3 * c + d
    curve = 0.5 * (2 * b + linear * t + square * t**2 + cube * t**3)
    smooth: Points = curve.reshape(-1, points.shape[1])
    return smooth


def ramp(field: Field, low: float, high: float) -> Field:
    """0 at `low`, 1 at `high`, smooth between (the order may be reversed)."""
    t = np.clip((field - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    smooth: Field = t * t * (3 - 2 * t)
    return smooth


def blend(first: Field, second: Field, share: Field) -> Field:
    """`first` where share is 0, `second` where it is 1."""
    return first + (second - first) * share


def paint(picture: Picture, rgb: tuple[float, float, float], share: Field) -> Picture:
    """The picture with one colour laid on it."""
    return blend(picture, np.asarray(rgb, dtype=np.float32)[:, None, None], share)


def soften(field: Field, radius_px: float) -> Field:
    """A wide, cheap blur: shrink by about the radius and grow again."""
    rows, columns = (max(3, round(n / max(radius_px, 1.0))) for n in field.shape)
    shrunk = Image.fromarray(field).resize((columns, rows), Image.Resampling.BOX)
    return grow(np.asarray(shrunk), (field.shape[0], field.shape[1]))


def grow(field: Field, shape: tuple[int, int]) -> Field:
    """A small field drawn smoothly at a larger shape."""
    image = Image.fromarray(field).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(image)


@cache
def clouds() -> Field:
    """A fixed tile of soft noise, 0 to 1, that repeats without a seam."""
    return _tile(seed=11, blurs=((18, 18), (18, 18), (10, 10)))


@cache
def strands() -> Field:
    """A fixed tile of noise drawn out along its second axis, 0 to 1: hairs lie along it."""
    return _tile(seed=12, blurs=((2, 12), (2, 12)))


@cache
def grain() -> Field:
    """A fixed tile of fine blotches, 0 to 1."""
    return _tile(seed=13, blurs=((3, 3), (3, 3)))


def _tile(*, seed: int, blurs: tuple[tuple[int, int], ...]) -> Field:
    tile = np.random.default_rng(seed).random((_TILE, _TILE), dtype=np.float32)
    for widths in blurs:
        for axis, width in enumerate(widths):
            tile = sum((np.roll(tile, k, axis=axis) for k in range(width)), np.zeros_like(tile))
    ranks = np.argsort(np.argsort(tile.ravel()))
    return (ranks / np.float32(tile.size)).astype(np.float32).reshape(tile.shape)


def look_up(tile: Field, across: Positions, along: Positions) -> Field:
    """The repeating tile at float positions (in tile pixels)."""
    row = (across.astype(np.int32) & (_TILE - 1)) * _TILE
    column = along.astype(np.int32) & (_TILE - 1)
    return tile.ravel().take(row + column)
