"""What a dataset is made of: enough to draw every photograph again, byte for byte."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from demo.breeds import BREEDS, Breed
from demo.errors import DemoDataError

SPLITS = ("train", "valid", "test")
_SIZES_PX = (32, 1024)
_MOST_PHOTOS = 99_999


@dataclass(frozen=True, kw_only=True)
class Photo:
    """One photograph to draw: its place below the dataset's root, its breed, its random seed."""

    path: str
    breed: Breed
    seed: tuple[int, int, int, int]

    def rng(self) -> np.random.Generator:
        """The photograph's own chance, whoever draws it and in whatever order."""
        return np.random.default_rng(self.seed)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The arguments of a dataset; `train`, `valid` and `test` are photographs for each breed."""

    seed: int
    breeds: int
    train: int
    valid: int
    test: int
    size_px: int

    def __post_init__(self) -> None:
        """Raises DemoDataError for a number out of its range."""
        _demand("seed", self.seed, 0, 2**32 - 1)
        _demand("breeds", self.breeds, 2, len(BREEDS))
        _demand("size_px", self.size_px, *_SIZES_PX)
        for split in SPLITS:
            _demand(split, getattr(self, split), 1, _MOST_PHOTOS)

    def photos(self) -> Iterator[Photo]:
        """Every photograph; the same seed gives the same one whatever the counts are."""
        for split_number, split in enumerate(SPLITS):
            for breed_number, breed in enumerate(BREEDS[: self.breeds]):
                for number in range(getattr(self, split)):
                    yield Photo(
                        path=f"{split}/{breed.name}/{number:04d}.jpg",
                        breed=breed,
                        seed=(self.seed, split_number, breed_number, number),
                    )

    def digest(self) -> str:
        """Names the bytes to come: the arguments, this room's code, and the libraries it uses."""
        parts = {
            "arguments": asdict(self),
            "code": _code_digest(),
            "numpy": version("numpy"),
            "pillow": version("pillow"),
        }
        text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _demand(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise DemoDataError(f"{name} is {value}", fix=f"Use a number from {least} to {most}")


@cache
def _code_digest() -> str:
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()
