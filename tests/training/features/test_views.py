"""Augmented views: the same for the same photo, view and seed; every operation runs."""

import numpy as np
import pytest
from PIL import Image

from tests.serving.builders import COLOURS, drawn
from tests.training.features.build import TRANSFORM
from training.features.views import KINDS, augmented, view_chance

DIGEST = "ab" * 32


def photo() -> Image.Image:
    return drawn(COLOURS["red"], size=(90, 70), seed=3).convert("RGB")


def view(kind: str, number: int, seed: int = 0) -> bytes:
    return augmented(photo(), TRANSFORM, kind, view_chance(seed, DIGEST, number)).tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_view_follows_from_seed_photo_and_number(kind: str) -> None:
    assert view(kind, 1) == view(kind, 1)
    assert len({view(kind, number) for number in range(1, 30)}) > 25
    assert view(kind, 1, seed=1) != view(kind, 1, seed=2)


@pytest.mark.parametrize("kind", KINDS)
def test_every_view_is_a_square_of_the_size_that_the_network_takes(kind: str) -> None:
    for number in range(60):  # enough that every operation is drawn
        square = augmented(photo(), TRANSFORM, kind, view_chance(0, DIGEST, number))
        assert (square.mode, square.size) == ("RGB", (32, 32))


def test_views_stay_near_the_photo_on_average() -> None:
    reds = [
        np.asarray(augmented(photo(), TRANSFORM, KINDS[0], view_chance(0, DIGEST, n))).mean((0, 1))
        for n in range(40)
    ]
    plain = np.asarray(photo()).mean((0, 1))
    assert np.abs(np.mean(reds, axis=0) - plain).max() < 60
