"""The order of the files: what takes longest begins first, so that workers side by side end together."""

from __future__ import annotations

import pytest

_LONGEST = (
    "journey/test_demo",
    "dashboard/test_browser",
    "journey/test_interrupted",
    "journey/test_resnet50",
    "training/test_journey",
    "journey/",
    "clients/",
    "demo/",
    "experiments/tracking/",
    "deployment/test_on_localaws",
    "dashboard/",
    "deployment/test_traffic",
)


def _rank(item: pytest.Item) -> int:
    place = item.nodeid.removeprefix("tests/")
    return next((i for i, part in enumerate(_LONGEST) if place.startswith(part)), len(_LONGEST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)  # stable: the order within a file is its own
