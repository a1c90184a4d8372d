from __future__ import annotations

from pathlib import Path

import pytest

from tests.journey.house import House, free_port


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(root=tmp_path, port=free_port())
