"""SIGKILL at random moments, also while a checkpoint is written: every run ends in the same bits."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.training.builders import ROOT, clean_env

pytestmark = pytest.mark.slow

SCRIPT = ROOT / "tests/training/fit/killed.py"
PART = "kept/.checkpoint.part"
STEPS = 24
PHOTOS = 190


class Trainer:
    """The process that forks a training for each folder."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def start(self, folder: Path) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{folder}\n")
        self._process.stdin.flush()
        return int(self._line())

    def wait(self) -> None:
        assert self._line() == "done"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def finish(self, folder: Path) -> dict[str, Any]:
        """Train to the end; the result."""
        self.start(folder)
        self.wait()
        result: dict[str, Any] = json.loads((folder / "result.json").read_text())
        return result


@contextmanager
def trainer() -> Iterator[Trainer]:
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT)],
        env=clean_env(PYTHONPATH=str(ROOT)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield Trainer(process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def kill(pid: int, folder: Path, rng: random.Random, *, writing: bool) -> None:
    """SIGKILL after a random number of batches and a random moment; with `writing`, at the next
    moment in which a checkpoint is half written."""
    batches, log = rng.randrange(STEPS - 6), folder / "samples.txt"
    while not log.exists() or log.read_bytes().count(b"\n") < batches:
        time.sleep(0.001)
    time.sleep(rng.uniform(0, 0.01))
    while writing and not (folder / PART).exists():
        pass
    os.kill(pid, signal.SIGKILL)


def check_samples(folder: Path) -> None:
    """Each epoch learnt each photo once; a batch that was learnt again, after a kill, is the same."""
    batches = (folder / "samples.txt").read_text().splitlines()
    distinct = dict.fromkeys(batches)
    for epoch in range(1, 4):
        rows = Counter(row for b in distinct if b.split()[0] == str(epoch) for row in b.split()[1:])
        assert sorted(map(int, rows)) == list(range(PHOTOS)) and set(rows.values()) == {1}


def kills(folder: Path, count: int) -> int:
    """Kill that many runs and let each go on; how many of them were killed inside a write."""
    rng, inside = random.Random(7), 0
    with trainer() as training:
        (folder / "whole").mkdir()
        whole = training.finish(folder / "whole")
        assert whole["steps"] == STEPS
        for number in range(count):
            place = folder / str(number)
            place.mkdir()
            pid = training.start(place)
            kill(pid, place, rng, writing=number % 2 == 1)
            training.wait()
            assert not (place / "result.json").exists(), "it was killed before its end"
            inside += (place / PART).exists()
            assert training.finish(place) == whole
            check_samples(place)
    return inside


def test_killed_runs_end_in_the_very_weights_of_one_that_was_not(tmp_path: Path) -> None:
    kills(tmp_path, 2)


@pytest.mark.soak
def test_fifty_kills(tmp_path: Path) -> None:
    inside = kills(tmp_path, 50)
    print(f"50 of 50 the same; {inside} were killed inside the write of a checkpoint")
    assert inside >= 10
