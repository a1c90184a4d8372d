"""The colour of the fur at every pixel: a breed's pattern laid over the dog's own surface."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from demo.canvas import Field, Picture, clouds, grain, grow, look_up, paint, ramp, strands
from demo.sitter import Sitter

Part = Literal["head", "body", "ear"]
Place = tuple[Field, Field, Field]

_COARSE = 6


@dataclass(frozen=True, kw_only=True)
class Fur:
    """`strand`: light and dark hairs around 0; `ragged`: how far hairs stick out (units)."""

    strand: Field
    ragged: Field


def fur(sitter: Sitter, x: Field, y: Field, seed: tuple[float, float]) -> Fur:
    """Hairs that run away from the point (0, 0), for x [1, columns] and y [rows, 1]."""
    traits = sitter.traits
    wave = np.float32(40 + 20 * traits.curl)
    coarse = look_up(clouds(), y[::_COARSE] * wave + seed[0], x[:, ::_COARSE] * wave + seed[1])
    warp = grow(coarse, (y.shape[0], x.shape[1])) - np.float32(0.5)
    around = np.arctan2(y, x) + warp * np.float32(0.10 + 0.06 * traits.curl)
    out = np.sqrt(x * x + y * y)
    length = (0.35 + traits.fur_length) / (1 + 1.2 * traits.curl)
    fine = np.float32(512 / 6.2832)
    strand = look_up(
        strands(), around * fine * 2 + seed[0], out * np.float32(46 / length) + seed[1]
    )
    strand = strand - np.float32(0.5)
    return Fur(
        strand=strand * np.float32(0.16 + 0.34 * traits.fur_length),
        ragged=strand * np.float32(0.015 + 0.11 * traits.fur_length),
    )


def colour(sitter: Sitter, part: Part, place: Place) -> Picture:
    """The coat's colour before light falls on it, at own coordinates of that part."""
    u, v, w = place
    a, b, c = sitter.mark_seed
    scale = np.float32(68 / sitter.mark_size)
    blotch = look_up(clouds(), (u + 0.7 * w) * scale + a, (v - 0.5 * w) * scale + b)
    ground = np.asarray(sitter.coat.ground, dtype=np.float32)[:, None, None]
    drift = look_up(clouds(), u * 46 + c, v * 46 + a) - np.float32(0.5)
    picture = ground * (1 + np.float32(0.28) * drift)
    marked = _MARKS[sitter.pattern](sitter, part, place, blotch, picture)
    return _pale_chest(sitter, part, place, marked)


def _solid(sitter: Sitter, part: Part, place: Place, blotch: Field, picture: Picture) -> Picture:
    share = np.float32(0.30) * ramp(blotch, 0.5, 0.9)
    if part == "ear":
        share = share + np.float32(0.25)
    return paint(picture, sitter.coat.marking, share)


def _mask(sitter: Sitter, part: Part, place: Place, blotch: Field, picture: Picture) -> Picture:
    if part == "ear":
        return paint(picture, sitter.coat.marking, np.full_like(blotch, 0.75))
    if part == "body":
        return picture
    _, v, w = place
    reach = w - v * np.float32(0.55) + (blotch - 0.5) * np.float32(0.35)
    edge = 1.12 - 0.22 * sitter.mark_size
    return paint(picture, sitter.coat.marking, ramp(reach, edge - 0.12, edge + 0.14) * 0.92)


def _saddle(sitter: Sitter, part: Part, place: Place, blotch: Field, picture: Picture) -> Picture:
    u, v, w = place
    if part == "ear":
        share = np.full_like(u, 0.55)
    elif part == "head":
        share = ramp(v + (blotch - 0.5) * 0.45 - 0.25 * w, 0.28, 0.55) * np.float32(0.85)
        share = np.maximum(share, ramp(w + 0.3 * v, 1.16, 1.32) * np.float32(0.5))
    else:
        share = ramp(np.abs(u) + (blotch - 0.5) * 0.5, 0.50, 0.78) * np.float32(0.92)
    return paint(picture, sitter.coat.marking, share)


def _brindle(sitter: Sitter, part: Part, place: Place, blotch: Field, picture: Picture) -> Picture:
    u, v, w = place
    a, b, _ = sitter.mark_seed
    wave = np.sin(v * np.float32(25) + np.abs(u) * 9 - w * 6 + blotch * 7)
    broken = look_up(clouds(), u * 140 + b, v * 190 + a)
    share = ramp(wave + 3 * broken - 1.5, -0.3, 1.4) * np.float32(0.7)
    return paint(picture, sitter.coat.marking, share)


def _patches(sitter: Sitter, part: Part, place: Place, blotch: Field, picture: Picture) -> Picture:
    u, _, w = place
    if part == "ear":
        return paint(picture, sitter.coat.marking, np.full_like(u, 0.3))
    field = blotch + np.float32(0.35) * (np.abs(u) - 0.38) if part == "head" else blotch
    field = field - np.float32(0.25) * np.maximum(w - 0.65, 0)
    return paint(picture, sitter.coat.pale, ramp(field, 0.54, 0.46))


def _ticked(sitter: Sitter, part: Part, place: Place, blotch: Field, picture: Picture) -> Picture:
    u, v, w = place
    if part == "ear":
        return picture
    a, b, _ = sitter.mark_seed
    speck = look_up(grain(), (u + 0.6 * w) * 72 + a, v * 72 + b)
    solid = blotch + (np.float32(0.45) * (np.abs(u) - 0.40) if part == "head" else -0.25)
    plain = ramp(solid, 0.62, 0.52) * ramp(speck, 0.84, 0.72)
    return paint(picture, sitter.coat.pale, plain)


def _blaze(sitter: Sitter, part: Part, place: Place, blotch: Field, picture: Picture) -> Picture:
    u, v, w = place
    if part != "head":
        return picture
    width = 0.13 * sitter.mark_size + 0.30 * np.maximum(w - 0.75, 0) + (blotch - 0.5) * 0.10
    width = width - 0.12 * np.maximum(v - 0.45, 0)
    return paint(picture, sitter.coat.pale, ramp(width - np.abs(u), -0.05, 0.07))


def _pale_chest(sitter: Sitter, part: Part, place: Place, picture: Picture) -> Picture:
    if part != "body" or sitter.pattern not in ("blaze", "solid", "mask", "brindle"):
        return picture
    u, v, w = place
    bib = ramp(w - np.abs(u) * 1.2 + (v + 2.2) * 0.35, 0.20, 0.42)
    strength = 0.85 if sitter.pattern == "blaze" else 0.22
    return paint(picture, sitter.coat.pale, bib * np.float32(strength))


_MARKS = {
    "solid": _solid,
    "mask": _mask,
    "saddle": _saddle,
    "brindle": _brindle,
    "patches": _patches,
    "ticked": _ticked,
    "blaze": _blaze,
}
