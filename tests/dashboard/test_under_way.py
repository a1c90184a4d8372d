"""A change runs beside the dashboard and is found again by whoever looks."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from dashboard.promote import under_way

pytestmark = pytest.mark.slow
_LONGEST_S = 60.0


def ended(home: Path) -> under_way.Change:
    deadline = time.monotonic() + _LONGEST_S
    while time.monotonic() < deadline:
        change = under_way.newest(home)
        if change is not None and not change.running:
            return change
        time.sleep(0.1)
    pytest.fail("the change did not end")


def test_none_before_the_first(tmp_path: Path) -> None:
    assert under_way.newest(tmp_path) is None


def test_its_words_and_its_code_are_kept(tmp_path: Path) -> None:
    under_way.start(tmp_path, ("rollback", "r-1", "--yes"), person="local")
    change = ended(tmp_path)
    assert change.words == ("rollback", "r-1", "--yes")
    assert change.exit_code not in (0, None)
    assert "pedigree cloud up" in change.log


def test_one_that_was_killed_says_so(tmp_path: Path) -> None:
    name = under_way.start(tmp_path, ("runs",), person="local")
    note = tmp_path / ".pedigree" / "changes" / f"{name}.json"
    os.killpg(int(note.read_text(encoding="utf-8").split('"pid": ')[1].rstrip("}")), signal.SIGKILL)
    assert ended(tmp_path).is_lost
