"""The light of one photograph, and what it does to fur."""

from dataclasses import dataclass

import numpy as np

from demo.breeds import Rgb
from demo.canvas import Field, Picture, clouds, grow, look_up, ramp
from demo.relief import Vector

Normals = tuple[Field, Field, Field]

_SHADOW_SIDE = 64


@dataclass(frozen=True, kw_only=True)
class Light:
    """A main light from `direction` (to the light, unit length), and light from all around."""

    direction: Vector
    key: Rgb
    sky: Rgb
    ground: Rgb
    rim: float


def draw_light(rng: np.random.Generator) -> Light:
    """Sun, lamp or window: any side, soft or hard, warm or cool."""
    angle, height = rng.uniform(-2.2, 2.2), rng.uniform(0.15, 1.1)
    direction = np.array([np.sin(angle) * np.cos(height), np.sin(height), 0.0])
    direction[2] = max(0.25, np.cos(angle) * np.cos(height))
    hard = rng.uniform(0.55, 1.15)
    warm = rng.normal(0, 0.07)
    fill = rng.uniform(0.42, 0.72)
    tint = rng.normal(0, 0.05)
    return Light(
        direction=direction / np.linalg.norm(direction),
        key=(hard * (1 + warm), hard, hard * (1 - warm)),
        sky=(fill * (1 - tint), fill, fill * (1 + tint)),
        ground=(fill * 0.62 * (1 + tint), fill * 0.6, fill * 0.52),
        rim=float(rng.uniform(0.0, 0.55)),
    )


def shade(albedo: Picture, facing: Normals, strand: Field, light: Light, open_: Field) -> Picture:
    """Lit fur: `open_` is how much of the surroundings each point sees, 0 to 1."""
    nx, ny, nz = facing
    lx, ly, lz = (np.float32(v) for v in light.direction)
    toward = nx * lx + ny * ly + nz * lz
    key = np.clip(toward * np.float32(0.8) + np.float32(0.2), 0, 1) + strand * np.float32(0.35)
    key *= open_
    edge = 1 - nz
    rim = edge * edge * ramp(toward, -0.1, 0.5) * open_ * np.float32(light.rim)
    up = (ny * np.float32(0.5) + np.float32(0.5)) * open_
    hairs = 1 + strand
    lit = np.empty_like(albedo)
    for i in range(3):
        sky, ground = np.float32(light.sky[i]), np.float32(light.ground[i])
        brightness = key * np.float32(light.key[i]) + up * (sky - ground) + open_ * ground
        lit[i] = albedo[i] * (brightness * hairs + rim * np.float32(0.6)) + rim * np.float32(0.12)
    return lit


def dapple(picture: Picture, rng: np.random.Generator) -> Picture:
    """Sometimes a shadow falls over the scene: a straight edge, or leaves."""
    kind = rng.random()
    if kind > 0.34:
        return picture
    line = np.linspace(-1, 1, _SHADOW_SIDE, dtype=np.float32)
    x, y = line[None, :], line[:, None]
    if kind < 0.17:
        angle = rng.uniform(0, 2 * np.pi)
        reach = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
        lit = ramp(reach, rng.uniform(-0.6, 0.1), rng.uniform(0.15, 0.7))
    else:
        scale, shift = rng.uniform(64, 140), rng.uniform(0, 512)
        lit = ramp(look_up(clouds(), y * scale + shift, x * scale + shift), -0.1, 1.0)
    deep = np.float32(rng.uniform(0.45, 0.75))
    return picture * grow(deep + (1 - deep) * lit, picture.shape[1:])
