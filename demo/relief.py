"""Rounded bodies as a height over the picture: joined ellipsoids, seen straight on."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demo.canvas import Field, Grid, View

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

_FAR = 9.0


@dataclass(frozen=True, kw_only=True)
class Ellipsoid:
    """A rounded body in head units; `tilt_rad` turns it about x (positive lowers its front)."""

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    tilt_rad: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Stance:
    """How a group of bodies stands: turned by `rotation`, then moved by `origin`."""

    rotation: Matrix
    origin: Vector

    def place(self, points: Vector) -> Vector:
        """Own points [n, 3] -> view points [n, 3]."""
        placed: Vector = points @ self.rotation.T + self.origin
        return placed

    def own(self, x: Field, y: Field, z: Field) -> tuple[Field, Field, Field]:
        """View coordinates -> the group's own coordinates, for every pixel."""
        dx, dy, dz = (v - np.float32(o) for v, o in zip((x, y, z), self.origin, strict=True))
        turn = self.rotation.astype(np.float32)
        u, v, w = ((turn[0, i] * dx + turn[1, i] * dy) + turn[2, i] * dz for i in range(3))
        return u, v, w


@dataclass(frozen=True, kw_only=True)
class Relief:
    """`height`: z of the surface; `depth`: distance inside the outline, negative outside."""

    height: Field
    depth: Field


def rotation(*, yaw_rad: float, pitch_rad: float, roll_rad: float) -> Matrix:
    """Turn left or right, then nod, then lean: a rotation of column vectors."""
    return _about(2, roll_rad) @ _about(0, pitch_rad) @ _about(1, yaw_rad)


def _about(axis: int, angle_rad: float) -> Matrix:
    first, second = [i for i in range(3) if i != axis]
    turn = np.eye(3)
    sign = -1.0 if axis == 1 else 1.0
    turn[first, first] = turn[second, second] = np.cos(angle_rad)
    turn[second, first] = sign * np.sin(angle_rad)
    turn[first, second] = -turn[second, first]
    return turn


def raise_relief(
    bodies: tuple[Ellipsoid, ...], stance: Stance, view: View, *, join: float
) -> Relief:
    """The union of the bodies, with seams rounded over a width of about `join` units."""
    height = np.full(view.shape, -_FAR, dtype=np.float32)
    depth = np.full(view.shape, -_FAR, dtype=np.float32)
    for body in bodies:
        form = _form(body, stance)
        centre = stance.place(np.array([body.centre]))[0]
        window = view.window(_reach(centre, form), join)
        next_height, next_depth = _surface(form, centre, view.crop(window).grid())
        height[window] = _smooth_max(height[window], next_height, join)
        depth[window] = _smooth_max(depth[window], next_depth, join)
    return Relief(height=height, depth=depth)


def outlines(bodies: tuple[Ellipsoid, ...], stance: Stance) -> Vector:
    """Corners [n, 2] of boxes that hold the bodies as seen."""
    centres = stance.place(np.array([body.centre for body in bodies]))
    boxes = [
        _reach(centre, _form(body, stance)) for body, centre in zip(bodies, centres, strict=True)
    ]
    return np.concatenate(boxes)


def _form(body: Ellipsoid, stance: Stance) -> Matrix:
    axes = stance.rotation @ _about(0, body.tilt_rad)
    form: Matrix = (axes / np.square(body.radii)) @ axes.T
    return form


def _reach(centre: Vector, form: Matrix) -> Vector:
    half = np.sqrt(np.diag(np.linalg.inv(form)))[:2]
    return np.stack([centre[:2] - half, centre[:2] + half])


def _surface(form: Matrix, centre: Vector, grid: Grid) -> tuple[Field, Field]:
    dx, dy = (g - np.float32(c) for g, c in zip(grid, centre[:2], strict=True))
    slope_x, slope_y = (np.float32(form[2, i] / form[2, 2]) for i in (0, 1))
    flat = form[:2, :2] - np.outer(form[:2, 2], form[2, :2]) / form[2, 2]
    a, b, c = (np.float32(v) for v in (flat[0, 0], 2 * flat[0, 1], flat[1, 1]))
    spread = np.maximum((a * dx * dx + c * dy * dy) + (b * dx) * dy, 0)
    inside = 1 - spread
    root = np.copysign(np.sqrt(np.abs(inside)), inside) * np.float32(form[2, 2] ** -0.5)
    height = root + ((np.float32(centre[2]) - slope_x * dx) - slope_y * dy)
    reach = np.float32(np.linalg.det(flat) ** -0.25)
    return height, (1 - np.sqrt(spread)) * reach


def _smooth_max(a: Field, b: Field, width: float) -> Field:
    gap = np.maximum(np.float32(width) - np.abs(a - b), 0)
    joined: Field = np.maximum(a, b) + gap * gap * np.float32(0.25 / width)
    return joined


def normals(height: Field, unit_px: float) -> tuple[Field, Field, Field]:
    """Unit normals (x, y, z) of a height given in units, on a grid of `unit_px` pixels a unit."""
    across, down = np.zeros_like(height), np.zeros_like(height)
    across[:, 1:-1] = (height[:, 2:] - height[:, :-2]) * np.float32(unit_px / 2)
    down[1:-1] = (height[2:] - height[:-2]) * np.float32(unit_px / 2)
    steep = np.sqrt(across * across + down * down + 1)
    scale = (1 / steep).astype(np.float32, copy=False)
    return -across * scale, down * scale, scale
