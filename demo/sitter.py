"""One dog of a breed, and how it holds itself for one photograph."""

from dataclasses import dataclass, replace

import numpy as np

from demo.breeds import Breed, Coat, Pattern, Rgb

_SPREAD = 0.13
_TRAITS = (
    "ear_length",
    "ear_width",
    "muzzle_length",
    "muzzle_width",
    "muzzle_depth",
    "skull_width",
    "cheeks",
    "neck_width",
    "eye_size",
)
_EYES: tuple[Rgb, ...] = ((0.26, 0.14, 0.06), (0.17, 0.09, 0.05), (0.40, 0.25, 0.09))
_NOSES: tuple[Rgb, ...] = ((0.06, 0.055, 0.06), (0.06, 0.055, 0.06), (0.22, 0.12, 0.10))


@dataclass(frozen=True, kw_only=True)
class Sitter:
    """A single dog: its breed's traits moved a little, one coat, one pattern, its own marks."""

    traits: Breed
    coat: Coat
    pattern: Pattern
    mark_seed: tuple[float, float, float]
    mark_size: float
    eye: Rgb
    nose: Rgb
    tongue: bool
    ear_lift_rad: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Head turn in radians; place and size as shares of the picture's side."""

    yaw_rad: float
    pitch_rad: float
    roll_rad: float
    body_yaw_rad: float
    centre: tuple[float, float]
    unit: float


def sit(breed: Breed, rng: np.random.Generator) -> Sitter:
    """Draw one dog of the breed."""
    moved = {name: getattr(breed, name) * float(np.exp(rng.normal(0, _SPREAD))) for name in _TRAITS}
    fur = float(np.clip(breed.fur_length + rng.normal(0, 0.15), 0.08, 1.1))
    coat = breed.coats[rng.integers(len(breed.coats))]
    return Sitter(
        traits=replace(breed, fur_length=fur, **moved),
        coat=Coat(
            ground=_shade(coat.ground, rng),
            marking=_shade(coat.marking, rng),
            pale=_shade(coat.pale, rng, tint=0.015),
        ),
        pattern=breed.patterns[rng.integers(len(breed.patterns))],
        mark_seed=(rng.uniform(0, 512), rng.uniform(0, 512), rng.uniform(0, 512)),
        mark_size=rng.uniform(0.7, 1.35),
        eye=_EYES[rng.integers(len(_EYES))],
        nose=_NOSES[rng.integers(len(_NOSES))],
        tongue=bool(rng.random() < 0.4),
        ear_lift_rad=(rng.normal(0, 0.13), rng.normal(0, 0.13)),
    )


def strike_pose(rng: np.random.Generator) -> Pose:
    """Draw how the dog is turned, and where it sits in the frame."""
    yaw = float(np.clip(rng.normal(0, 0.42), -0.85, 0.85))
    return Pose(
        yaw_rad=yaw,
        pitch_rad=float(np.clip(rng.normal(0.02, 0.16), -0.35, 0.4)),
        roll_rad=float(np.clip(rng.normal(0, 0.16), -0.42, 0.42)),
        body_yaw_rad=yaw * 0.4 + rng.normal(0, 0.25),
        centre=(0.5 + rng.normal(0, 0.075), 0.43 + rng.normal(0, 0.055)),
        unit=float(np.clip(rng.normal(0.212, 0.035), 0.14, 0.30)),
    )


def _shade(rgb: Rgb, rng: np.random.Generator, tint: float = 0.035) -> Rgb:
    level = np.exp(rng.normal(0, 4 * tint))
    red, green, blue = (
        float(np.clip(channel * level * np.exp(rng.normal(0, tint)), 0.03, 0.96)) for channel in rgb
    )
    return red, green, blue
