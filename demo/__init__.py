"""Drawn dogs of invented breeds: a dataset that needs no download and is not trivial to learn."""

from demo.breeds import BREEDS, Breed
from demo.dataset import DatasetSummary, default_test_photo, draw_dataset
from demo.errors import DemoDataError
from demo.portraits import draw_portrait

__all__ = [
    "BREEDS",
    "Breed",
    "DatasetSummary",
    "DemoDataError",
    "default_test_photo",
    "draw_dataset",
    "draw_portrait",
]
