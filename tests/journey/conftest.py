from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.journey.house import House, free_port


@pytest.fixture
def house(tmp_path: Path) -> House:
    if sys.platform != "linux":
        pytest.skip("the journey looks for processes in /proc")
    return House(root=tmp_path, port=free_port())
