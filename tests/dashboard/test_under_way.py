"""A change runs beside the dashboard and is found again by whoever looks."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from dashboard import under_way
from dashboard.under_way import Kind

pytestmark = pytest.mark.slow
_LONGEST_S = 60.0


def ended(home: Path, kind: Kind = Kind.CHANGE) -> under_way.Work:
    deadline = time.monotonic() + _LONGEST_S
    while time.monotonic() < deadline:
        work = under_way.newest(home, kind)
        if work is not None and not work.running:
            return work
        time.sleep(0.1)
    pytest.fail(f"the {kind.name.lower()} did not end")


def test_none_before_the_first(tmp_path: Path) -> None:
    assert under_way.newest(tmp_path, Kind.CHANGE) is None


def test_its_words_and_its_code_are_kept(tmp_path: Path) -> None:
    under_way.start(tmp_path, Kind.CHANGE, ("rollback", "r-1", "--yes"), person="local")
    change = ended(tmp_path)
    assert change.words == ("rollback", "r-1", "--yes")
    assert change.exit_code not in (0, None)
    assert "pedigree cloud up" in change.log


def test_one_that_was_killed_says_so(tmp_path: Path) -> None:
    under_way.start(tmp_path, Kind.CHANGE, ("runs",), person="local")
    started = under_way.newest(tmp_path, Kind.CHANGE)
    assert started is not None
    os.killpg(started.group, signal.SIGKILL)
    assert ended(tmp_path).is_lost


def test_a_number_that_was_given_out_again_is_another_process(tmp_path: Path) -> None:
    """After a restart of the machine the number may belong to anybody: never to be interrupted."""
    under_way.start(tmp_path, Kind.CHANGE, ("runs",), person="local")
    ended(tmp_path)
    [path] = (tmp_path / ".pedigree" / "changes").glob("*.json")
    note = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**note, "pid": os.getpid()}), encoding="utf-8")
    path.with_suffix(".exit").unlink(missing_ok=True)
    found = under_way.newest(tmp_path, Kind.CHANGE)
    assert found is not None
    assert found.is_lost
    under_way.interrupt(found)  # would end this test


def test_changes_and_load_tests_do_not_hide_each_other(tmp_path: Path) -> None:
    under_way.start(tmp_path, Kind.CHANGE, ("runs",), person="local")
    assert under_way.newest(tmp_path, Kind.LOAD) is None
    ended(tmp_path)
