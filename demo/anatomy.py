"""Where the parts of a dog are, in head units: x to its left, y up, z out of its face."""

from dataclasses import dataclass

import numpy as np

from demo.breeds import Breed
from demo.canvas import Points, closed_curve
from demo.relief import Ellipsoid

_MUZZLE_TILT_RAD = 0.62
_MUZZLE_ROOT = np.array([0.0, -0.10, 0.45])


@dataclass(frozen=True, kw_only=True)
class Muzzle:
    """The muzzle's line: from its root in the face to its tip."""

    tip: Points
    forward: Points
    up: Points


def muzzle(traits: Breed) -> Muzzle:
    """Where the muzzle points and ends, each a vector [3]."""
    sine, cosine = np.sin(_MUZZLE_TILT_RAD), np.cos(_MUZZLE_TILT_RAD)
    forward = np.array([0.0, -sine, cosine])
    up = np.array([0.0, cosine, sine])
    return Muzzle(tip=_MUZZLE_ROOT + forward * traits.muzzle_length, forward=forward, up=up)


def head(traits: Breed) -> tuple[Ellipsoid, ...]:
    """Skull, brows, cheeks, muzzle, lips and chin."""
    line = muzzle(traits)
    long, wide, deep = traits.muzzle_length, traits.muzzle_width, traits.muzzle_depth
    middle = line.tip - line.forward * long * 0.55
    lips = line.tip - line.forward * min(0.34, long * 0.4) - line.up * deep * 0.35
    chin = line.tip - line.forward * min(0.5, long * 0.55) - line.up * deep * 0.95
    skull = traits.skull_width
    bodies = [
        Ellipsoid(centre=(0, 0.22, -0.05), radii=(skull, 0.80, 0.82)),
        _at(middle, (wide, deep, long * 0.62), _MUZZLE_TILT_RAD),
        _at(chin, (wide * 0.62, deep * 0.55, 0.34), _MUZZLE_TILT_RAD),
    ]
    for side in (-1, 1):
        cheek = (side * (skull - traits.cheeks * 0.72), -0.20, 0.18)
        brow = (side * 0.34, 0.40, 0.58)
        lip = lips + np.array([side * wide * 0.48, 0, 0])
        bodies += [
            Ellipsoid(centre=cheek, radii=(traits.cheeks, 0.46, 0.46)),
            Ellipsoid(centre=brow, radii=(0.24, 0.15, 0.18)),
            _at(lip, (wide * 0.62, deep * 0.72, 0.32), _MUZZLE_TILT_RAD),
        ]
    if traits.beard:
        beard = chin - line.up * 0.22
        bodies.append(_at(beard, (wide * 0.9, 0.25 + traits.beard * 0.4, 0.34), 0.2))
    return tuple(bodies)


def body(traits: Breed) -> tuple[Ellipsoid, ...]:
    """Neck, chest and two shoulders, below the head's middle."""
    wide = traits.neck_width
    return (
        Ellipsoid(centre=(0, -0.75, -0.55), radii=(wide * 0.92, 1.1, 0.75)),
        Ellipsoid(centre=(0, -3.1, -0.55), radii=(wide * 1.35, 2.2, 0.95)),
        Ellipsoid(centre=(-wide * 0.95, -3.6, -0.75), radii=(wide * 0.80, 2.2, 0.80)),
        Ellipsoid(centre=(wide * 0.95, -3.6, -0.75), radii=(wide * 0.80, 2.2, 0.80)),
    )


def eyes(traits: Breed) -> tuple[Points, Points]:
    """The middles of the two eyes, each a vector [3]."""
    across = 0.31 + 0.10 * traits.skull_width
    level = np.array([across, 0.20, 0.735])
    return level * np.array([-1, 1, 1]), level


def ear_flaps(traits: Breed, side: int, lift_rad: float) -> tuple[Points, ...]:
    """Outlines [n, 3] of one ear's flaps, back to front; `side` is -1 or 1."""
    long, wide = traits.ear_length, traits.ear_width
    shapes = {"drop": _drop, "pricked": _pricked, "half": _half, "rose": _rose}
    root = np.array([traits.skull_width * 0.72, 0.66, 0.0])
    flaps = []
    for outline in shapes[traits.ears](long, wide):
        turned = _lift(np.array(outline, dtype=np.float64), lift_rad) + root
        flaps.append(closed_curve(turned * np.array([side, 1, 1])))
    return tuple(flaps)


Outline = list[tuple[float, float, float]]


def _drop(long: float, wide: float) -> tuple[Outline, ...]:
    low = -0.35 - long
    return (
        [
            (-0.20, 0.10, 0.42),
            (0.12, 0.14, 0.30),
            (0.14 + wide * 0.35, -0.12, 0.22),
            (0.12 + wide * 0.58, -0.35 - long * 0.40, 0.26),
            (0.12 + wide * 0.50, low + 0.16, 0.34),
            (0.12 + wide * 0.12, low, 0.42),
            (0.10 - wide * 0.22, low + long * 0.30, 0.48),
            (0.02, -0.42, 0.50),
        ],
    )


def _pricked(long: float, wide: float) -> tuple[Outline, ...]:
    outer = [
        (-wide * 0.62, 0.02, 0.16),
        (-wide * 0.42, long * 0.55, 0.10),
        (wide * 0.04, long * 1.02, 0.0),
        (wide * 0.16, long * 1.04, 0.0),
        (wide * 0.50, long * 0.55, -0.02),
        (wide * 0.60, -0.30, 0.04),
        (0.0, -0.30, 0.12),
    ]
    inner = [(x * 0.60 + 0.02, y * 0.80 + 0.02, z + 0.03) for x, y, z in outer]
    return outer, inner


def _half(long: float, wide: float) -> tuple[Outline, ...]:
    top = long * 0.62
    shaft = [
        (-wide * 0.62, -0.05, 0.18),
        (-wide * 0.42, top * 0.8, 0.14),
        (wide * 0.05, top * 1.08, 0.08),
        (wide * 0.62, top * 0.85, 0.02),
        (wide * 0.66, -0.25, 0.02),
        (0.0, -0.30, 0.14),
    ]
    fold = [
        (-wide * 0.46, top * 0.78, 0.30),
        (wide * 0.05, top * 1.06, 0.26),
        (wide * 0.66, top * 0.82, 0.22),
        (wide * 0.68, top * 0.30, 0.30),
        (wide * 0.46, top - long * 0.98, 0.48),
        (wide * 0.30, top - long * 0.96, 0.50),
        (wide * 0.0, top * 0.25, 0.40),
    ]
    return shaft, fold


def _rose(long: float, wide: float) -> tuple[Outline, ...]:
    flap = [
        (-wide * 0.40, 0.02, 0.30),
        (wide * 0.10, 0.20, 0.24),
        (wide * 0.85, 0.16, 0.10),
        (wide * 0.62 + long * 0.75, -0.10, -0.06),
        (wide * 0.50 + long * 0.72, -0.22, -0.04),
        (wide * 0.62, -0.34, 0.16),
        (wide * 0.10, -0.26, 0.34),
    ]
    fold = [(x * 0.62 + 0.04, y * 0.5 - 0.06, z + 0.05) for x, y, z in flap]
    return flap, fold


def _lift(outline: Points, angle_rad: float) -> Points:
    sine, cosine = np.sin(angle_rad), np.cos(angle_rad)
    x, y = outline[:, 0], outline[:, 1]
    return np.stack([cosine * x - sine * y, sine * x + cosine * y, outline[:, 2]], axis=1)


def _at(centre: Points, radii: tuple[float, float, float], tilt_rad: float) -> Ellipsoid:
    x, y, z = (float(v) for v in centre)
    return Ellipsoid(centre=(x, y, z), radii=radii, tilt_rad=tilt_rad)
