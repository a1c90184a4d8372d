"""The invented breeds: what every dog of a breed has in common.

Lengths are in head units: a skull is about two units wide. Colour families are shared between
breeds on purpose, so that no breed can be told by its colour alone.
"""

from dataclasses import dataclass
from typing import Literal

Rgb = tuple[float, float, float]
Pattern = Literal["solid", "patches", "brindle", "ticked", "saddle", "mask", "blaze"]
Ears = Literal["drop", "pricked", "rose", "half"]


@dataclass(frozen=True, kw_only=True)
class Coat:
    """A colour family (red, green, blue; 0 to 1): ground, markings on it, pale parts."""

    ground: Rgb
    marking: Rgb
    pale: Rgb


@dataclass(frozen=True, kw_only=True)
class Breed:
    """The traits of one breed. `coats` and `patterns` are drawn evenly; repeat one to favour it."""

    name: str
    coats: tuple[Coat, ...]
    patterns: tuple[Pattern, ...]
    ears: Ears
    ear_length: float
    ear_width: float
    muzzle_length: float
    muzzle_width: float
    muzzle_depth: float
    skull_width: float
    cheeks: float
    neck_width: float
    fur_length: float
    curl: float = 0.0
    beard: float = 0.0
    eye_size: float = 0.13


_PALE = (0.90, 0.86, 0.79)
_WHITE = (0.93, 0.92, 0.89)
_BLACK = (0.085, 0.08, 0.085)

GOLD = Coat(ground=(0.78, 0.55, 0.29), marking=(0.40, 0.24, 0.11), pale=_PALE)
RED = Coat(ground=(0.60, 0.31, 0.14), marking=(0.27, 0.13, 0.07), pale=_PALE)
LIVER = Coat(ground=(0.35, 0.20, 0.12), marking=(0.19, 0.10, 0.06), pale=_PALE)
BLACK = Coat(ground=(0.155, 0.145, 0.15), marking=_BLACK, pale=_WHITE)
GREY = Coat(ground=(0.47, 0.48, 0.51), marking=(0.21, 0.21, 0.23), pale=_WHITE)
CREAM = Coat(ground=(0.86, 0.77, 0.62), marking=(0.57, 0.42, 0.26), pale=_WHITE)
FAWN = Coat(ground=(0.70, 0.53, 0.36), marking=(0.16, 0.12, 0.10), pale=_PALE)
TAN = Coat(ground=(0.62, 0.40, 0.20), marking=(0.11, 0.095, 0.09), pale=_PALE)

BREEDS: tuple[Breed, ...] = (
    Breed(
        name="Amber_setter",
        coats=(GOLD, RED, CREAM, LIVER),
        patterns=("solid", "solid", "blaze"),
        ears="drop",
        ear_length=0.78,
        ear_width=0.50,
        muzzle_length=1.02,
        muzzle_width=0.36,
        muzzle_depth=0.33,
        skull_width=0.86,
        cheeks=0.40,
        neck_width=0.74,
        fur_length=0.75,
    ),
    Breed(
        name="Bramble_terrier",
        coats=(TAN, GREY, FAWN, BLACK),
        patterns=("saddle", "saddle", "solid"),
        ears="half",
        ear_length=0.52,
        ear_width=0.58,
        muzzle_length=0.80,
        muzzle_width=0.46,
        muzzle_depth=0.44,
        skull_width=0.80,
        cheeks=0.36,
        neck_width=0.66,
        fur_length=0.9,
        curl=0.8,
        beard=0.7,
        eye_size=0.11,
    ),
    Breed(
        name="Cinder_mastiff",
        coats=(FAWN, RED, GREY, TAN),
        patterns=("mask", "mask", "brindle"),
        ears="drop",
        ear_length=0.36,
        ear_width=0.46,
        muzzle_length=0.62,
        muzzle_width=0.52,
        muzzle_depth=0.46,
        skull_width=1.04,
        cheeks=0.58,
        neck_width=1.05,
        fur_length=0.18,
        eye_size=0.115,
    ),
    Breed(
        name="Copper_shepherd",
        coats=(TAN, RED, GOLD, GREY),
        patterns=("saddle", "mask", "solid"),
        ears="pricked",
        ear_length=0.86,
        ear_width=0.56,
        muzzle_length=1.02,
        muzzle_width=0.37,
        muzzle_depth=0.34,
        skull_width=0.86,
        cheeks=0.42,
        neck_width=0.86,
        fur_length=0.55,
    ),
    Breed(
        name="Frost_spitz",
        coats=(CREAM, GREY, RED, BLACK),
        patterns=("solid", "blaze", "mask"),
        ears="pricked",
        ear_length=0.56,
        ear_width=0.46,
        muzzle_length=0.72,
        muzzle_width=0.33,
        muzzle_depth=0.29,
        skull_width=0.95,
        cheeks=0.60,
        neck_width=1.12,
        fur_length=1.0,
    ),
    Breed(
        name="Harbour_spaniel",
        coats=(LIVER, BLACK, RED, GOLD),
        patterns=("patches", "patches", "blaze"),
        ears="drop",
        ear_length=1.02,
        ear_width=0.62,
        muzzle_length=0.74,
        muzzle_width=0.39,
        muzzle_depth=0.37,
        skull_width=0.88,
        cheeks=0.42,
        neck_width=0.74,
        fur_length=0.8,
        curl=0.45,
        eye_size=0.15,
    ),
    Breed(
        name="Marsh_pointer",
        coats=(LIVER, BLACK, GOLD, TAN),
        patterns=("ticked", "ticked", "patches"),
        ears="drop",
        ear_length=0.68,
        ear_width=0.50,
        muzzle_length=0.98,
        muzzle_width=0.43,
        muzzle_depth=0.42,
        skull_width=0.88,
        cheeks=0.40,
        neck_width=0.72,
        fur_length=0.2,
    ),
    Breed(
        name="Slate_wolfhound",
        coats=(GREY, CREAM, FAWN, BLACK),
        patterns=("solid", "brindle", "solid"),
        ears="rose",
        ear_length=0.50,
        ear_width=0.44,
        muzzle_length=1.26,
        muzzle_width=0.34,
        muzzle_depth=0.33,
        skull_width=0.78,
        cheeks=0.33,
        neck_width=0.70,
        fur_length=0.95,
        curl=0.55,
        beard=0.2,
        eye_size=0.115,
    ),
    Breed(
        name="Pebble_bulldog",
        coats=(FAWN, BLACK, RED, CREAM),
        patterns=("patches", "brindle", "blaze"),
        ears="rose",
        ear_length=0.40,
        ear_width=0.42,
        muzzle_length=0.46,
        muzzle_width=0.56,
        muzzle_depth=0.44,
        skull_width=1.02,
        cheeks=0.62,
        neck_width=1.15,
        fur_length=0.15,
    ),
    Breed(
        name="Thistle_lurcher",
        coats=(GREY, TAN, CREAM, BLACK),
        patterns=("brindle", "blaze", "solid"),
        ears="half",
        ear_length=0.56,
        ear_width=0.46,
        muzzle_length=1.14,
        muzzle_width=0.31,
        muzzle_depth=0.29,
        skull_width=0.76,
        cheeks=0.34,
        neck_width=0.58,
        fur_length=0.2,
    ),
)
