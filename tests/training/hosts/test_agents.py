"""A rank or an agent dies or freezes: all processes go, in time, and the right one is named."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.training.builders import ROOT, clean_env, free_port

pytestmark = pytest.mark.slow

LIMIT_S = 30
SCRIPT = ROOT / "tests/training/hosts/host.py"


class Host:
    """One agent and its worker."""

    def __init__(self, agent: int, file: Path) -> None:
        self.agent, self._file = agent, file
        self.worker = int(self.line("worker").split()[1])

    def line(self, start: str) -> str:
        """The line of this host's account that starts so, once it is there."""
        give_up = time.monotonic() + LIMIT_S
        while time.monotonic() < give_up:
            lines = self._file.read_text().splitlines() if self._file.exists() else []
            for line in lines:
                if line.startswith(start):
                    return line
            time.sleep(0.01)
        raise AssertionError(f"no {start!r} in {lines}")

    def is_gone(self) -> bool:
        return not _lives(self.agent) and not _lives(self.worker)

    def end(self) -> None:
        for pid in (self.agent, self.worker):
            if _lives(pid):
                os.kill(pid, signal.SIGKILL)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.fixture(scope="module")
def nursery() -> Iterator["subprocess.Popen[str]"]:
    """The process that forks hosts."""
    path = f"{ROOT}{os.pathsep}{ROOT / 'tests/training/fit'}"
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT)],
        env=clean_env(PYTHONPATH=path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    yield process
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@contextmanager
def two_hosts(nursery: "subprocess.Popen[str]", folder: Path) -> Iterator[list[Host]]:
    """Two hosts that train together."""
    assert nursery.stdin is not None and nursery.stdout is not None
    port, hosts = free_port(), []
    try:
        for rank in range(2):
            file = folder / f"{port}-{rank}.txt"
            nursery.stdin.write(f"{rank} {port} {file}\n")
            nursery.stdin.flush()
            hosts.append(Host(int(nursery.stdout.readline()), file))
        for host in hosts:
            host.line("training")
        yield hosts
    finally:
        for host in hosts:
            host.end()


def hurt(hosts: list[Host], whom: str, number: signal.Signals, rank: int) -> tuple[float, str]:
    """Send the signal; the seconds until every process was gone, and what the other host said."""
    victim, other = hosts[rank], hosts[1 - rank]
    os.kill(victim.worker if whom == "rank" else victim.agent, number)
    began = time.monotonic()
    while not all(host.is_gone() for host in hosts):
        assert time.monotonic() - began < LIMIT_S, f"something still runs after {LIMIT_S} s"
        time.sleep(0.01)
    return time.monotonic() - began, other.line("ended")


CASES = {
    ("rank", signal.SIGKILL): "ended rank {rank} on host {host} (process",
    ("rank", signal.SIGSTOP): "ended rank {rank} on host {host} (process",
    ("agent", signal.SIGKILL): "ended the agent of rank {rank} on host {host} ended without a word",
    ("agent", signal.SIGSTOP): "ended the agent of rank {rank} on host {host} is silent",
}


def expected(whom: str, number: signal.Signals, rank: int) -> str:
    return CASES[whom, number].format(rank=rank, host=f"algo-{rank + 1}")


def test_whoever_dies_or_freezes_ends_all_and_is_named(
    nursery: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    cases = [("rank", signal.SIGSTOP, 0), ("agent", signal.SIGKILL, 1), ("rank", signal.SIGKILL, 1)]
    with ThreadPoolExecutor(3) as pool, ExitStack() as stack:
        hosts = [stack.enter_context(two_hosts(nursery, tmp_path)) for _ in cases]
        said = list(pool.map(lambda pair, case: hurt(pair, *case)[1], hosts, cases))
    for case, words in zip(cases, said, strict=True):
        assert words.startswith(expected(*case))
    assert "is stopped (SIGSTOP)" in said[0] and "was killed by SIGKILL" in said[2]


@pytest.mark.soak
@pytest.mark.parametrize(("whom", "number"), list(CASES))
def test_twenty_of_each(
    nursery: "subprocess.Popen[str]", tmp_path: Path, whom: str, number: signal.Signals
) -> None:
    rng = random.Random(f"{whom} {number}")
    seconds, wrong = [], []
    for turn in range(20):
        with two_hosts(nursery, tmp_path) as hosts:
            time.sleep(rng.uniform(0, 0.5))
            spent, said = hurt(hosts, whom, number, turn % 2)
        seconds.append(spent)
        wrong += [] if said.startswith(expected(whom, number, turn % 2)) else [said]
    print(f"\n{whom} {number.name}: slowest {max(seconds):.1f} s, all gone 20/20, wrong {wrong}")
    assert wrong == []
