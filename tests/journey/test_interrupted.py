"""The demo that is interrupted, killed, or begun twice leaves nothing and says what to do."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from tests.journey.house import House, small_photos

pytestmark = pytest.mark.slow


def test_a_second_demo_at_the_same_time_is_refused(house: House) -> None:
    first = house.start("pedigree", "demo")
    try:
        lock = house.root / ".pedigree" / "demo.lock"
        deadline = time.monotonic() + 20
        while not lock.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        output = house.type("pedigree", "demo", expect=3)
        assert "another `make demo` is running" in output
        assert "fix:" in output
    finally:
        os.killpg(first.pid, signal.SIGINT)
        said = first.communicate(timeout=60)
    assert first.returncode == 130, said
    assert house.none_left() == []


def test_ctrl_c_in_the_middle_stops_and_settles_everything(house: House) -> None:
    running = _begin(house)
    try:
        _until_training(house)
        assert _is_training(house), "no training process was seen"
        os.killpg(running.pid, signal.SIGINT)
        output = "".join(running.communicate(timeout=90))
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
    assert running.returncode == 130, output
    assert "fix:" in output
    assert house.none_left() == []
    rows = house.type_json("pedigree", "runs")
    assert [row["status"] for row in rows] == ["stopped"]


def _begin(house: House) -> subprocess.Popen[str]:
    """The demo with a handful of photos of its own: drawing its seven hundred is not what is asked here."""
    photos = house.root / "photos"
    small_photos(photos)
    return house.start("pedigree", "demo", "--data", str(photos))


def _until_training(house: House) -> None:
    """Wait until a training process is there, for two minutes at the most."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not _is_training(house):
        time.sleep(0.2)


def _is_training(house: House) -> bool:
    return any("-m training" in line for line in house.processes())


def test_a_crash_of_the_command_leaves_no_process(house: House) -> None:
    running = _begin(house)
    try:
        _until_training(house)
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
    assert house.none_left(within_s=30) == []
