"""Things in front of the dog: a collar, a ball, a hand, leaves."""

import numpy as np

from demo.canvas import Ink, InkSheet, Picture, Points, View, closed_curve
from demo.relief import Stance
from demo.sitter import Sitter

_RING = np.linspace(0, 2 * np.pi, 40, endpoint=False)


def draw_collar(
    picture: Picture, sitter: Sitter, stance: Stance, view: View, rng: np.random.Generator
) -> Picture:
    """Sometimes a collar around the neck, with or without a tag."""
    if rng.random() > 0.45:
        return picture
    sheet = InkSheet(view.shape)
    colour = _vivid(rng)
    level, deep = -1.18 - rng.uniform(0, 0.15), rng.uniform(0.10, 0.2)
    turn = np.linspace(-1.7, 1.7, 24)
    wide = sitter.traits.neck_width * 1.06
    upper = np.column_stack(
        [np.sin(turn) * wide, level - 0.34 * np.cos(turn), np.cos(turn) * 0.5 - 0.3]
    )
    lower = upper - np.array([0, deep, 0])
    band = np.concatenate([upper, lower[::-1]])
    sheet.polygon(view.to_px(stance.place(band)), colour)
    sheet.line(view.to_px(stance.place(lower)), (0, 0, 0, 90), view.unit_px * 0.03)
    if rng.random() < 0.6:
        middle = lower[len(lower) // 2] - np.array([0, 0.10, 0])
        disc = np.column_stack([np.cos(_RING), np.sin(_RING), np.zeros_like(_RING)]) * 0.11
        sheet.polygon(view.to_px(stance.place(disc + middle)), (214, 186, 96, 255))
    return sheet.over(picture)


def draw_props(picture: Picture, rng: np.random.Generator) -> Picture:
    """Sometimes something between the camera and the dog."""
    kind = rng.random()
    if kind > 0.42:
        return picture
    side = picture.shape[1]
    sheet = InkSheet((side, side))
    if kind < 0.14:
        _ball(sheet, side, rng)
    elif kind < 0.26:
        _hand(sheet, side, rng)
    else:
        _leaves(sheet, side, rng)
    return sheet.over(picture)


def _ball(sheet: InkSheet, side: int, rng: np.random.Generator) -> None:
    middle = np.array([rng.uniform(0.1, 0.9), rng.uniform(0.62, 0.98)]) * side
    radius = rng.uniform(0.07, 0.15) * side
    colour = _vivid(rng)
    ring = np.column_stack([np.cos(_RING), np.sin(_RING)])
    sheet.polygon(middle + ring * radius, _scaled(colour, 0.62))
    sheet.polygon(middle + radius * (ring * 0.88 + [-0.08, -0.09]), colour)
    sheet.polygon(middle + radius * (ring * 0.30 + [-0.32, -0.38]), (255, 255, 255, 90))
    bend = np.linspace(-1.1, 1.1, 12)
    seam = np.column_stack([0.45 * np.cos(bend) - 0.75, np.sin(bend) * 0.86])
    sheet.line(middle + seam * radius, (250, 250, 245, 210), radius * 0.09)


def _hand(sheet: InkSheet, side: int, rng: np.random.Generator) -> None:
    skin = ((232, 190, 160), (198, 146, 110), (142, 96, 68), (92, 60, 44))[rng.integers(4)]
    left = rng.random() < 0.5
    angle = rng.uniform(-0.5, 0.5)
    reach = rng.uniform(0.14, 0.3) * side
    root = np.array([0.0 if left else side, rng.uniform(0.35, 0.95) * side])
    forward = np.array([np.cos(angle) * (1 if left else -1), np.sin(angle)])
    across = np.array([-forward[1], forward[0]])
    thick = 0.085 * side

    def shape(points: list[tuple[float, float]]) -> Points:
        flat = np.array(points)
        return closed_curve(root + np.outer(flat[:, 0], forward) + np.outer(flat[:, 1], across))

    ink = (*skin, 255)
    arm = [(-thick, -thick), (reach, -thick), (reach * 1.2, 0), (reach, thick), (-thick, thick)]
    sheet.polygon(shape(arm), _scaled(ink, 0.94))
    for finger in range(4):
        y = (finger - 1.5) * thick * 0.52
        tip = reach + thick * (1.5 - 0.22 * abs(finger - 1.4))
        half = thick * 0.25
        digit = [(reach * 0.8, y - half), (tip, y - half), (tip + half, y), (tip, y + half)]
        sheet.polygon(shape([*digit, (reach * 0.8, y + half)]), _scaled(ink, 0.9 + 0.05 * finger))


def _leaves(sheet: InkSheet, side: int, rng: np.random.Generator) -> None:
    hue = (rng.integers(50, 190), rng.integers(95, 165), rng.integers(25, 70))
    corner = np.array([rng.integers(0, 2), rng.integers(0, 2)]) * side
    for _ in range(rng.integers(4, 13)):
        middle = corner + rng.normal(0, 0.2, 2) * side
        angle, long = rng.uniform(0, 2 * np.pi), rng.uniform(0.06, 0.15) * side
        forward = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-forward[1], forward[0]])
        flat = np.array([(-1, 0), (-0.3, 0.36), (0.4, 0.26), (1, 0), (0.4, -0.26), (-0.3, -0.36)])
        leaf = np.outer(flat[:, 0], forward) + np.outer(flat[:, 1], across)
        level = rng.uniform(0.6, 1.2)
        ink = _scaled((int(hue[0]), int(hue[1]), int(hue[2]), 255), level)
        sheet.polygon(closed_curve(middle + leaf * long), ink)
        stalk = np.stack([middle - forward * long, middle + forward * long * 0.8])
        sheet.line(stalk, _scaled(ink, 0.75), side * 0.004)


def _vivid(rng: np.random.Generator) -> Ink:
    red, green, blue = (int(v) for v in rng.integers(25, 235, 3))
    return red, green, blue, 255


def _scaled(ink: Ink, level: float) -> Ink:
    red, green, blue = (min(255, int(channel * level)) for channel in ink[:3])
    return red, green, blue, ink[3]
