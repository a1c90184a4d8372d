"""Eyes, nose, mouth and tongue, drawn in ink on the turned head."""

from dataclasses import dataclass

import numpy as np

from demo import anatomy
from demo.breeds import Rgb
from demo.canvas import Field, Ink, InkSheet, Picture, Points, View, closed_curve
from demo.light import Light
from demo.relief import Stance
from demo.sitter import Sitter

_RING = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_DARK: Rgb = (0.05, 0.04, 0.04)


@dataclass(frozen=True, kw_only=True)
class Face:
    """What the ink needs to know: the dog, how its head stands, and where the light is."""

    sitter: Sitter
    stance: Stance
    view: View
    light: Light
    surface: Field

    def px(self, points: Points) -> Points:
        """Own points [n, 3] -> pixels [n, 2]."""
        return self.view.to_px(self.stance.place(points))

    def hidden(self, point: Points) -> bool:
        """Whether the head itself stands in front of this own point."""
        placed = self.stance.place(point[None, :])
        column, row = self.view.to_px(placed)[0].astype(int)
        rows, columns = self.view.shape
        if not (0 <= column < columns and 0 <= row < rows):
            return True
        return bool(self.surface[row, column] > placed[0, 2] + 0.22)


def draw_face(picture: Picture, face: Face) -> Picture:
    """The picture with the face's features on it."""
    sheet = InkSheet(face.view.shape)
    for eye in anatomy.eyes(face.sitter.traits):
        if not face.hidden(eye):
            _eye(sheet, face, eye)
    _mouth(sheet, face)
    _nose(sheet, face)
    return sheet.over(picture)


def _eye(sheet: InkSheet, face: Face, centre: Points) -> None:
    side = np.sign(centre[0])
    across = np.array([0.93, -0.06 * side, -0.36 * side])
    up = np.array([0.0, 0.97, -0.22])
    size = face.sitter.traits.eye_size

    def ring(scale: float, *, dx: float = 0, dy: float = 0, tall: float = 1.0) -> Points:
        middle = centre + size * (dx * across + dy * up)
        sweep = np.outer(np.cos(_RING), across) + tall * np.outer(np.sin(_RING), up)
        return face.px(middle + scale * size * sweep)

    lx, ly = face.light.direction[:2]
    sheet.polygon(ring(1.42, dx=0.06 * side, tall=0.86), _ink(_DARK, 130))
    sheet.polygon(ring(1.14, tall=0.92), _ink(_DARK))
    sheet.polygon(ring(0.92), _ink(face.sitter.eye))
    sheet.polygon(ring(0.70, dy=-0.30, tall=0.55), _ink(_lighter(face.sitter.eye, 1.5), 160))
    sheet.polygon(ring(0.62), _ink((0.03, 0.02, 0.02)))
    sheet.polygon(ring(1.02, dy=0.86, tall=0.42), _ink(_DARK, 150))
    sheet.polygon(ring(0.25, dx=0.34 * lx, dy=0.22 + 0.25 * ly), _ink((1, 1, 1), 240))
    sheet.polygon(ring(0.12, dx=-0.34 * lx, dy=-0.34), _ink((1, 1, 1), 110))


def _nose(sheet: InkSheet, face: Face) -> None:
    line = anatomy.muzzle(face.sitter.traits)
    width = 0.12 + face.sitter.traits.muzzle_width * 0.30
    top = line.tip + line.up * face.sitter.traits.muzzle_depth * 0.42 + line.forward * 0.03
    across, up = np.array([1.0, 0, 0]), line.up * 0.75 - line.forward * 0.66

    def shape(points: list[tuple[float, float]]) -> Points:
        flat = np.array(points)
        solid = top + width * (np.outer(flat[:, 0], across) + np.outer(flat[:, 1], up))
        return face.px(closed_curve(solid))

    rim = [(-0.95, 0.25), (-0.5, 0.62), (0.5, 0.62), (0.95, 0.25), (0.62, -0.42), (0.0, -0.85)]
    sheet.polygon(shape([*rim, (-0.62, -0.42)]), _ink(face.sitter.nose))
    shine = [(-0.55, 0.36), (0.0, 0.50), (0.55, 0.36), (0.0, 0.20)]
    drift = 0.22 * float(face.light.direction[0])
    bright = _lighter(face.sitter.nose, 4.5)
    sheet.polygon(shape([(x + drift, y) for x, y in shine]), _ink(bright, 170))
    for side in (-1, 1):
        hole = [(0.22, -0.10), (0.48, 0.10), (0.80, 0.0), (0.60, -0.24)]
        sheet.polygon(shape([(side * x, y) for x, y in hole]), _ink((0.01, 0.01, 0.01)))


def _mouth(sheet: InkSheet, face: Face) -> None:
    traits = face.sitter.traits
    line = anatomy.muzzle(traits)
    deep, wide, long = traits.muzzle_depth, traits.muzzle_width, traits.muzzle_length
    split = line.tip - line.up * deep * 0.48 + line.forward * 0.03
    nose = line.tip + line.up * deep * 0.30 + line.forward * 0.06
    if face.sitter.tongue:
        _tongue(sheet, face, split)
    width_px = face.view.unit_px * 0.034
    sheet.line(face.px(np.stack([nose, split])), _ink(_DARK, 210), width_px)
    for side in (-1, 1):
        steps = np.linspace(0, 1, 9)[:, None]
        sag = np.sin(steps * np.pi * 0.9) * -0.16 + steps * 0.10
        out = np.sin(steps * np.pi * 0.5) * wide * 0.98 * side
        lip = split + out * np.array([1.0, 0, 0]) + sag * line.up
        lip = lip - (steps**2) * line.forward * long * 0.42
        sheet.line(face.px(lip), _ink(_DARK, 190), width_px)


def _tongue(sheet: InkSheet, face: Face, split: Points) -> None:
    traits = face.sitter.traits
    wide = 0.10 + traits.muzzle_width * 0.36

    def shape(points: list[tuple[float, float]]) -> Points:
        flat = np.array(points)
        return face.px(closed_curve(split + np.column_stack([flat, np.zeros(len(flat))])))

    gape = [(-1.35, 0.02), (0, -0.04), (1.35, 0.02), (0.9, -0.26), (0, -0.36), (-0.9, -0.26)]
    sheet.polygon(shape([(x * wide, y) for x, y in gape]), _ink((0.16, 0.05, 0.05)))
    curl = [(-0.85, -0.04), (0.85, -0.04), (0.92, -0.34), (0.55, -0.56), (-0.55, -0.56)]
    flesh = [(x * wide, y) for x, y in [*curl, (-0.92, -0.34)]]
    sheet.polygon(shape(flesh), _ink((0.88, 0.46, 0.47)))
    crease = split + np.array([[0, -0.06, 0.0], [0.01, -0.42, 0.0]])
    sheet.line(face.px(crease), _ink((0.68, 0.29, 0.33), 200), face.view.unit_px * 0.03)


def _lighter(rgb: Rgb, factor: float) -> Rgb:
    red, green, blue = (min(1.0, channel * factor) for channel in rgb)
    return red, green, blue


def _ink(rgb: Rgb, alpha: int = 255) -> Ink:
    red, green, blue = (round(channel * 255) for channel in rgb)
    return red, green, blue, alpha
