"""A rank or an agent dies or freezes: all processes go, in time, and the right one is named."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.training.builders import ROOT, clean_env, free_port

pytestmark = pytest.mark.slow

LIMIT_S = 30
SCRIPT = ROOT / "tests/training/hosts/host.py"


class Host:
    """One agent and its worker, as processes."""

    def __init__(self, rank: int, port: int, kind: str) -> None:
        self.name = f"algo-{rank + 1}"
        path = f"{ROOT}{os.pathsep}{ROOT / 'tests/training/fit'}"
        self.agent = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(rank), "2", str(port), kind],
            env=clean_env(PYTHONPATH=path),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.worker = int(self.line().split()[1])

    def line(self) -> str:
        assert self.agent.stdout is not None
        return self.agent.stdout.readline()

    def is_gone(self) -> bool:
        return self.agent.poll() is not None and not _lives(self.worker)

    def end(self) -> None:
        for pid in (self.agent.pid, self.worker):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.agent.communicate()


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@contextmanager
def two_hosts(kind: str) -> Iterator[list[Host]]:
    """Two hosts that have met."""
    port = free_port()
    hosts: list[Host] = []
    try:
        hosts = [Host(rank, port, kind) for rank in range(2)]
        assert [host.line() for host in hosts] == ["working\n"] * 2
        yield hosts
    finally:
        for host in hosts:
            host.end()


def hurt(
    whom: str, number: signal.Signals, rank: int, *, kind: str = "train", pause_s: float = 0.0
) -> tuple[float, str]:
    """Send the signal; the seconds until every process was gone, and what the other host said."""
    with two_hosts(kind) as hosts:
        time.sleep(pause_s)
        victim, other = hosts[rank], hosts[1 - rank]
        os.kill(victim.worker if whom == "rank" else victim.agent.pid, number)
        began = time.monotonic()
        while not all(host.is_gone() for host in hosts):
            assert time.monotonic() - began < LIMIT_S, f"something still runs after {LIMIT_S} s"
            time.sleep(0.02)
        return time.monotonic() - began, other.line()


CASES = {
    ("rank", signal.SIGKILL): "ended rank {rank} on host {host} (process",
    ("rank", signal.SIGSTOP): "ended rank {rank} on host {host} (process",
    ("agent", signal.SIGKILL): "ended the agent of rank {rank} on host {host} ended without a word",
    ("agent", signal.SIGSTOP): "ended the agent of rank {rank} on host {host} is silent",
}


def expected(whom: str, number: signal.Signals, rank: int) -> str:
    return CASES[whom, number].format(rank=rank, host=f"algo-{rank + 1}")


def test_whoever_dies_or_freezes_ends_all_and_is_named() -> None:
    with ThreadPoolExecutor(2) as pool:  # a frozen one takes seconds to be sure of
        frozen = pool.submit(hurt, "rank", signal.SIGSTOP, 0, kind="wait")
        agent = pool.submit(hurt, "agent", signal.SIGKILL, 1, kind="wait")
        _, said = hurt("rank", signal.SIGKILL, 1)
    assert said.startswith(expected("rank", signal.SIGKILL, 1)) and "by SIGKILL" in said
    assert agent.result()[1].startswith(expected("agent", signal.SIGKILL, 1))
    assert frozen.result()[1].startswith(expected("rank", signal.SIGSTOP, 0))
    assert "is stopped (SIGSTOP)" in frozen.result()[1]


@pytest.mark.soak
@pytest.mark.parametrize(("whom", "number"), list(CASES))
def test_twenty_of_each(whom: str, number: signal.Signals) -> None:
    rng = random.Random(f"{whom} {number}")
    seconds, wrong = [], []
    for turn in range(20):
        rank = turn % 2
        spent, said = hurt(whom, number, rank, pause_s=rng.uniform(0, 0.5))
        seconds.append(spent)
        wrong += [] if said.startswith(expected(whom, number, rank)) else [said]
    print(f"{whom} {number.name}: slowest {max(seconds):.1f} s, all gone 20/20, wrong {wrong}")
    assert wrong == []
