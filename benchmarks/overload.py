"""The model server under ten times its load: goodput, refusals, latency of those let in, recovery.

    python -m benchmarks.overload path/to/archive photo.jpg [--seconds 60] [--times 10]

Server and load generator are pinned to separate cores. Capacity and the unloaded latency are measured
before and after and their means taken: a shared machine's speed changes within minutes. Prints the
figures beside their goals and ends with 1 if one is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.load import Plan, Report, run

SERVER_CORE, LOAD_CORE = 0, 1
_START_S = 60.0
_CLIENTS = 8
_RECOVERY_S = 2.0
_HALF_S = 20.0
"""Arrivals come together by chance: the p99 of 8 seconds was that of sixty answers, and 2.5 times another."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A model server that answers."""

    url: str
    pid: int

    def memory_bytes(self) -> int:
        """Resident now."""
        fields = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, kw_only=True)
class Overload:
    """One measurement: one client, eight, half of what they got, ten times it, half again, and the
    first two once more."""

    alone: Report
    full: Report
    half: Report
    over: Report
    after: Report
    alone_again: Report
    full_again: Report
    grown_bytes: int

    @property
    def capacity_per_s(self) -> float:
        """Answers a second at eight clients, before and after."""
        return (self.full.ok_per_s + self.full_again.ok_per_s) / 2

    @property
    def unloaded_p99_ms(self) -> float:
        """Of one client, before and after."""
        return (self.alone.ok_ms["p99"] + self.alone_again.ok_ms["p99"]) / 2

    def figures(self) -> dict[str, tuple[float, float, bool]]:
        """Name to figure, goal, and whether it is met."""
        goodput = self.over.ok_per_s / self.capacity_per_s
        admitted = self.over.ok_ms["p99"] / self.unloaded_p99_ms
        refused = self.over.refused_ms["p99"]
        again = self.after.ok_ms["p99"] / self.half.ok_ms["p99"]
        return {
            "goodput, of capacity": (goodput, 0.9, goodput >= 0.9),
            "refusals p99, ms": (refused, 50, refused <= 50),
            "admitted p99, of unloaded p99": (admitted, 2, admitted <= 2),
            f"refused from {_RECOVERY_S:g} s after": (
                self.after.refused,
                0,
                not self.after.refused,
            ),
            "half load p99 after, of before": (again, 2, again <= 2),
            "lost": (self.over.lost, 0, not self.over.lost),
            "memory grown, MB": (self.grown_bytes / 1e6, 20, self.grown_bytes <= 20e6),
        }


@contextmanager
def serving(model: Path, core: int | None = SERVER_CORE) -> Iterator[Server]:
    """`python -m serving` on one core; ended with SIGTERM."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = int(door.getsockname()[1])
    pin = [] if core is None else ["taskset", "-c", str(core)]
    env = {
        **os.environ,
        "SM_MODEL_DIR": str(model),
        "PEDIGREE_BIND": "127.0.0.1",
        "SAGEMAKER_BIND_TO_PORT": str(port),
    }
    process = subprocess.Popen(
        [*pin, sys.executable, "-m", "serving"],
        cwd=Path(__file__).resolve().parents[1],
        env=env,
        stdout=subprocess.DEVNULL,
    )
    try:
        _await(f"http://127.0.0.1:{port}/ping", process)
        yield Server(url=f"http://127.0.0.1:{port}/invocations", pid=process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        if process.wait(60):
            raise RuntimeError(f"the server ended with {process.returncode}")


def _await(ping: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(ping, timeout=2):  # noqa: S310  (loopback)
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the server did not start")


def measure(model: Path, photo: Path, *, seconds: float = 60.0, times: float = 10.0) -> Overload:
    """One run against a server of its own."""
    with serving(model) as server:

        def load(
            *, rate: float = 0.0, clients: int = 0, length: float, warm: float = 1.0
        ) -> Report:
            plan = Plan(
                url=server.url,
                photo=str(photo),
                rate=rate,
                clients=clients,
                seconds=length,
                warm_s=warm,
                core=LOAD_CORE,
            )
            return run(plan)

        alone = load(clients=1, length=8)
        full = load(clients=_CLIENTS, length=8)
        half = load(rate=full.ok_per_s / 2, length=_HALF_S)
        before = server.memory_bytes()
        over = load(rate=full.ok_per_s * times, length=seconds)
        after = load(rate=full.ok_per_s / 2, length=_HALF_S, warm=_RECOVERY_S)
        grown = server.memory_bytes() - before
        return Overload(
            alone=alone,
            full=full,
            half=half,
            over=over,
            after=after,
            alone_again=load(clients=1, length=8),
            full_again=load(clients=_CLIENTS, length=8),
            grown_bytes=grown,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--times", type=float, default=10.0)
    parser.add_argument("--json", action="store_true", help="every report in full")
    given = parser.parse_args()
    found = measure(
        given.model.resolve(), given.photo.resolve(), seconds=given.seconds, times=given.times
    )
    if given.json:
        print(json.dumps(asdict(found)))
    print(f"capacity {found.full.ok_per_s} and {found.full_again.ok_per_s}/s, unloaded", end=" ")
    print(f"p99 {found.alone.ok_ms['p99']} and {found.alone_again.ok_ms['p99']} ms;", end=" ")
    print(f"sent {found.over.sent} in {given.seconds:g} s")
    for name, (figure, goal, is_met) in found.figures().items():
        print(f"{name:34} {figure:10.3f}  goal {goal:<6g} {'met' if is_met else 'MISSED'}")
    return 0 if all(is_met for *_, is_met in found.figures().values()) else 1


if __name__ == "__main__":
    sys.exit(main())
