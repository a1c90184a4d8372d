"""One dog, one photograph."""

import numpy as np
from PIL import Image

from demo.backdrop import draw_backdrop
from demo.breeds import Breed
from demo.camera import expose
from demo.dog import draw_dog
from demo.light import dapple, draw_light
from demo.props import draw_props
from demo.sitter import sit, strike_pose


def draw_portrait(breed: Breed, rng: np.random.Generator, size_px: int = 256) -> Image.Image:
    """A photograph of one dog of the breed, RGB and square; the same `rng` draws the same one."""
    sitter, pose, light = sit(breed, rng), strike_pose(rng), draw_light(rng)
    picture = draw_dog(draw_backdrop(rng, size_px), sitter, pose, light, rng)
    return expose(draw_props(dapple(picture, rng), rng), rng)
