"""One portrait: repeatable, varied, and drawable for every breed at every size."""

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from demo import BREEDS, Breed, draw_portrait


def draw(breed: Breed, seed: int, size_px: int = 96) -> npt.NDArray[np.uint8]:
    return np.asarray(draw_portrait(breed, np.random.default_rng(seed), size_px))


def test_the_same_chance_draws_the_same_portrait() -> None:
    assert np.array_equal(draw(BREEDS[0], 1), draw(BREEDS[0], 1))


def test_another_chance_draws_another_photograph_of_the_breed() -> None:
    difference = np.abs(draw(BREEDS[0], 1).astype(int) - draw(BREEDS[0], 2)).mean()
    assert difference > 10


def test_breeds_differ_under_the_same_chance() -> None:
    portraits = [draw(breed, 3) for breed in BREEDS]
    for i, first in enumerate(portraits):
        for second in portraits[i + 1 :]:
            assert np.abs(first.astype(int) - second).mean() > 2


@settings(max_examples=40, deadline=None)
@given(
    breed=st.sampled_from(BREEDS),
    seed=st.integers(0, 2**32 - 1),
    size_px=st.sampled_from((32, 61, 96)),
)
def test_every_portrait_is_square_and_shows_something(
    breed: Breed, seed: int, size_px: int
) -> None:
    image = draw_portrait(breed, np.random.default_rng(seed), size_px)
    assert isinstance(image, Image.Image)
    assert (image.mode, image.size) == ("RGB", (size_px, size_px))
    assert np.asarray(image).std() > 4


def test_size_changes_the_detail_and_not_the_scene() -> None:
    """The camera's grain is drawn for each pixel, so the sizes agree only on average."""
    small, large = draw(BREEDS[3], 5, 64), draw(BREEDS[3], 5, 256)
    shrunk = np.asarray(Image.fromarray(large).resize((64, 64), Image.Resampling.BOX))
    assert np.abs(shrunk.astype(int) - small).mean() < 12


def test_no_breed_owns_a_colour() -> None:
    """Each breed shares at least two of its colour families with other breeds."""
    for breed in BREEDS:
        others = {coat for other in BREEDS if other is not breed for coat in other.coats}
        assert len(set(breed.coats) & others) >= 2, breed.name


def test_breed_names_are_distinct_and_fit_for_folders() -> None:
    names = [breed.name for breed in BREEDS]
    assert len(set(names)) == len(names) >= 8
    assert all(name.replace("_", "").isalpha() and name.isascii() for name in names)
