"""The dog itself: body, head and ears as lit fur, laid on the picture back to front."""

from dataclasses import dataclass

import numpy as np

from demo import anatomy
from demo.canvas import (
    Field,
    Grid,
    Picture,
    Points,
    View,
    Window,
    blend,
    coverage,
    paint,
    ramp,
    soften,
)
from demo.coat import Fur, Part, colour, fur
from demo.face import Face, draw_face
from demo.light import Light, shade
from demo.props import draw_collar
from demo.relief import Ellipsoid, Relief, Stance, normals, outlines, raise_relief, rotation
from demo.sitter import Pose, Sitter

_FUR_MARGIN = 0.15
_TONGUE_MARGIN = 0.6
_INNER_EAR = (0.50, 0.33, 0.30)


@dataclass(frozen=True, kw_only=True)
class Dog:
    """One dog in one pose under one light; `seed` places the hairs."""

    sitter: Sitter
    light: Light
    view: View
    head: Stance
    body: Stance
    seed: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Something to lay on a part of the picture: its colours, and where they show (0 to 1)."""

    window: Window
    picture: Picture
    share: Field

    def over(self, picture: Picture) -> None:
        """Lay it on, in place."""
        part = (slice(None), *self.window)
        picture[part] = blend(picture[part], self.picture, self.share)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One part of the dog before light falls on it, within `window` of the picture."""

    stance: Stance
    window: Window
    view: View
    relief: Relief
    hair: Fur
    edge: Field

    def whole(self, field: Field, shape: tuple[int, int], around: float) -> Field:
        """One of this part's fields at its place in the whole picture."""
        full = np.full(shape, around, dtype=np.float32)
        full[self.window] = field
        return full


def draw_dog(
    picture: Picture, sitter: Sitter, pose: Pose, light: Light, rng: np.random.Generator
) -> Picture:
    """The picture with the dog on it."""
    dog = _stand(sitter, pose, light, picture.shape[1], rng)
    head = _head(dog)
    ears = [layer for side in (-1, 1) for layer in _ear(dog, side, head)]
    done = picture.copy()
    _body(dog, head).over(done)
    done = draw_collar(done, sitter, dog.body, dog.view, rng)
    _lit_head(dog, head, ears).over(done)
    _face(dog, head, done)
    for ear in ears:
        ear.over(done)
    return done


def _stand(sitter: Sitter, pose: Pose, light: Light, size_px: int, rng: np.random.Generator) -> Dog:
    centre = (pose.centre[0] * size_px, pose.centre[1] * size_px)
    turn = rotation(yaw_rad=pose.yaw_rad, pitch_rad=pose.pitch_rad, roll_rad=pose.roll_rad)
    lean = rotation(yaw_rad=pose.body_yaw_rad, pitch_rad=0, roll_rad=pose.roll_rad * 0.3)
    return Dog(
        sitter=sitter,
        light=light,
        view=View(shape=(size_px, size_px), centre_px=centre, unit_px=pose.unit * size_px),
        head=Stance(rotation=turn, origin=np.zeros(3)),
        body=Stance(rotation=lean, origin=np.array([-0.2 * pose.yaw_rad, 0, -0.2])),
        seed=(rng.uniform(0, 512), rng.uniform(0, 512)),
    )


def _head(dog: Dog) -> Shape:
    brow = anatomy.muzzle(dog.sitter.traits).tip + np.array([0, 0.2, 0])
    x, y, _ = dog.head.place(brow[None, :])[0]
    return _shape(dog, dog.head, anatomy.head(dog.sitter.traits), 0.22, (x, y))


def _body(dog: Dog, head: Shape) -> Layer:
    shape = _shape(dog, dog.body, anatomy.body(dog.sitter.traits), 0.5, (0.0, 0.9))
    shadow = soften(head.whole(head.edge, dog.view.shape, 0), dog.view.unit_px * 0.5)
    return _layer(dog, "body", shape, 1 - np.float32(0.55) * shadow[shape.window])


def _lit_head(dog: Dog, head: Shape, ears: list[Layer]) -> Layer:
    shadow = np.zeros(dog.view.shape, dtype=np.float32)
    for ear in ears:
        shadow[ear.window] = np.maximum(shadow[ear.window], ear.share)
    soft = soften(shadow[head.window], dog.view.unit_px * 0.2)
    return _layer(dog, "head", head, 1 - np.float32(0.35) * soft)


def _face(dog: Dog, head: Shape, picture: Picture) -> None:
    bounds = outlines(anatomy.head(dog.sitter.traits), dog.head)
    window = dog.view.window(bounds, _TONGUE_MARGIN)
    surface = head.whole(head.relief.height, dog.view.shape, -9)[window]
    face = Face(
        sitter=dog.sitter,
        stance=dog.head,
        view=dog.view.crop(window),
        light=dog.light,
        surface=surface,
    )
    part = (slice(None), *window)
    picture[part] = draw_face(picture[part], face)


def _ear(dog: Dog, side: int, head: Shape) -> list[Layer]:
    traits = dog.sitter.traits
    lift = dog.sitter.ear_lift_rad[(side + 1) // 2]
    head_height = head.whole(head.relief.height, dog.view.shape, -9)
    head_edge = head.whole(head.edge, dog.view.shape, 0)
    layers = []
    for order, outline in enumerate(anatomy.ear_flaps(traits, side, lift)):
        shape, thick = _flap(dog, dog.head.place(outline))
        before = ramp(shape.relief.height - head_height[shape.window], -0.12, 0.06)
        share = shape.edge * (1 - head_edge[shape.window] * (1 - before))
        layer = _layer(dog, "ear", shape, np.float32(0.72) + np.float32(0.28) * thick)
        lit = layer.picture
        if order and traits.ears == "pricked":
            lit = paint(lit, _INNER_EAR, np.float32(0.6) * thick) * np.float32(0.82)
        layers.append(Layer(window=shape.window, picture=lit, share=share))
    return layers


def _flap(dog: Dog, outline: Points) -> tuple[Shape, Field]:
    window = dog.view.window(outline, _FUR_MARGIN)
    view = dog.view.crop(window)
    hair = _hair(dog, view, (outline[0, 0], outline[0, 1] + 0.5))
    mask = coverage(view.shape, view.to_px(outline))
    thick = soften(mask, view.unit_px * 0.16)
    frayed = mask + hair.ragged * thick * (1 - thick) * np.float32(30)
    height = _plane(outline, view.grid()) + np.float32(0.22) * thick
    shape = Shape(
        stance=dog.head,
        window=window,
        view=view,
        relief=Relief(height=height, depth=thick),
        hair=hair,
        edge=np.clip(frayed, 0, 1),
    )
    return shape, thick


def _plane(points: Points, grid: Grid) -> Field:
    flat = np.column_stack([points[:, :2], np.ones(len(points))])
    slope_x, slope_y, level = np.linalg.lstsq(flat, points[:, 2], rcond=None)[0]
    x, y = grid
    return (x * np.float32(slope_x) + np.float32(level)) + y * np.float32(slope_y)


def _shape(
    dog: Dog,
    stance: Stance,
    bodies: tuple[Ellipsoid, ...],
    join: float,
    source: tuple[float, float],
) -> Shape:
    window = dog.view.window(outlines(bodies, stance), _FUR_MARGIN)
    view = dog.view.crop(window)
    relief = raise_relief(bodies, stance, view, join=join)
    hair = _hair(dog, view, source)
    out = (relief.depth + hair.ragged) * np.float32(view.unit_px) + np.float32(0.5)
    return Shape(
        stance=stance,
        window=window,
        view=view,
        relief=relief,
        hair=hair,
        edge=np.clip(out, 0, 1),
    )


def _hair(dog: Dog, view: View, source: tuple[float, float]) -> Fur:
    x, y = (g - np.float32(s) for g, s in zip(view.grid(), source, strict=True))
    return fur(dog.sitter, x, y, dog.seed)


def _layer(dog: Dog, part: Part, shape: Shape, open_: Field) -> Layer:
    own = shape.stance.own(*shape.view.grid(), shape.relief.height)
    albedo = colour(dog.sitter, part, own)
    facing = normals(shape.relief.height, shape.view.unit_px)
    lit = shade(albedo, facing, shape.hair.strand, dog.light, open_)
    return Layer(window=shape.window, picture=lit, share=shape.edge)
