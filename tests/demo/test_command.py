"""`python -m demo` as a person uses it, with real processes and real signals."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.__main__ import main

ROOT = Path(__file__).parents[2]
WAIT_S = 30.0


@contextmanager
def drawing(out: Path) -> Iterator[subprocess.Popen[str]]:
    """A command at work in a process group of its own, which is gone afterwards."""
    command = [sys.executable, "-m", "demo", "--out", str(out), "--workers", "2"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if group(process.pid):
                os.killpg(process.pid, signal.SIGKILL)


def group(number: int) -> list[int]:
    """Living processes of that group, by Linux's /proc."""
    members = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            state, _, its_group = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_group) == number and state != "Z":
            members.append(int(folder.name))
    return members


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def some_photo_is_written(folder: Path) -> Callable[[], bool]:
    return lambda: next(folder.glob(".dogs.partial/train/*/*.jpg"), None) is not None


def test_it_draws_then_finds_what_it_drew(tmp_path: Path) -> None:
    small = ["--breeds", "2", "--train", "1", "--valid", "1", "--test", "1", "--size-px", "32"]
    arguments = ["--out", str(tmp_path / "dogs"), *small, "--workers", "1"]
    assert main(arguments) == 0
    assert main(arguments) == 0
    assert (tmp_path / "dogs" / "dataset.json").exists()


def test_bad_input_is_one_message_and_exit_code_2(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "demo", "--out", str(tmp_path / "dogs"), "--breeds", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr == "error: breeds is 1. Use a number from 2 to 10\n"
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_every_process_and_leaves_nothing(tmp_path: Path) -> None:
    with drawing(tmp_path / "dogs") as process:
        until(some_photo_is_written(tmp_path))
        assert len(group(process.pid)) >= 3
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=WAIT_S)
        assert process.returncode == 130
        assert errors.strip() == "stopped; nothing was left half-written"
        until(lambda: not group(process.pid))
    assert list(tmp_path.iterdir()) == []


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    with drawing(tmp_path / "dogs") as process:
        until(some_photo_is_written(tmp_path))
        process.kill()
        until(lambda: not group(process.pid))
    assert not (tmp_path / "dogs").exists()
