"""Load for an HTTP server, honest about waiting: open loop, free of coordinated omission.

The times of the requests are drawn before the run and kept whatever the server does; each latency is
counted from the time the request was due, so a server that stalls is charged for everybody who would
have waited. `clients` in place of `rate` gives the closed loop, which finds capacity.

    python -m benchmarks.load http://127.0.0.1:8080/invocations photo.jpg --rate 100 --seconds 10
    python -m benchmarks.load http://127.0.0.1:8080/invocations photo.jpg --clients 8 --core 1

prints one JSON object (the fields of `Report`). Standard library only; from Python, `run(plan)` does
the same in a process of its own, pinned to `core`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import math
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.link import Gone, Link

_NO_ANSWER_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is sent: `rate` requests a second (arrivals at random, Poisson) or `clients` in turn.

    `connections` is the most open at a time; a request that finds none free waits, and that is
    counted. `warm_s` is sent but not counted.
    """

    url: str
    photo: str
    rate: float = 0.0
    clients: int = 0
    seconds: float = 10.0
    warm_s: float = 0.0
    connections: int = 256
    content_type: str = "image/jpeg"
    headers: tuple[str, ...] = ()
    core: int | None = None
    seed: int = 1


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came back. Latencies in ms, of answers with 2xx (`ok`) and of 429 (`refused`).

    `lost` requests were sent whole on a connection and got no answer; `retried` ones met a kept
    connection that the server had closed before a byte of the answer and went out again, as HTTP
    allows; `unreachable` ones found nobody listening. `late_ms` is how far behind its own plan the
    generator was at worst: figures with more than a few ms tell of the generator, not the server.
    """

    seconds: float
    sent: int
    ok: int
    refused: int
    other: dict[str, int]
    lost: int
    retried: int
    unreachable: int
    ok_per_s: float
    ok_ms: dict[str, float]
    refused_ms: dict[str, float]
    late_ms: float
    by_second: list[int] = field(default_factory=list)


class _Load:
    """One run, in one event loop."""

    def __init__(self, plan: Plan) -> None:
        where = urlsplit(plan.url)
        self._plan = plan
        self._place = (where.hostname or "127.0.0.1", where.port or 80)
        body = Path(plan.photo).read_bytes()
        target = (where.path or "/") + (f"?{where.query}" if where.query else "")
        lines = [
            f"POST {target} HTTP/1.1",
            f"Host: {where.netloc}",
            f"Content-Type: {plan.content_type}",
            f"Content-Length: {len(body)}",
            *plan.headers,
        ]
        self._request = "\r\n".join([*lines, "", ""]).encode() + body
        self._idle: list[Link] = []
        self._free = asyncio.Semaphore(plan.connections)
        self._statuses: Counter[int] = Counter()
        self._ends: Counter[str] = Counter()
        self._latencies: dict[int, list[float]] = {}
        self._answered: list[float] = []
        self._late_s = 0.0

    async def run(self) -> Report:
        self._from = time.perf_counter() + 0.05 + self._plan.warm_s
        self._until = self._from + self._plan.seconds
        await (self._closed() if self._plan.clients else self._open())
        return self._report()

    async def _open(self) -> None:
        chance = random.Random(self._plan.seed)  # noqa: S311  (arrival times)
        due, tasks = self._from - self._plan.warm_s, set[asyncio.Task[None]]()
        while due < self._until:
            wait = due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            self._late_s = max(self._late_s, time.perf_counter() - due - 0.001)
            task = asyncio.create_task(self._one(due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            due += chance.expovariate(self._plan.rate)
        await asyncio.gather(*tasks)

    async def _closed(self) -> None:
        async def client() -> None:
            while (due := time.perf_counter()) < self._until and self._ends["unreachable"] < 100:
                await self._one(due)

        await asyncio.gather(*(client() for _ in range(self._plan.clients)))

    async def _one(self, due: float) -> None:
        async with self._free:
            end = await self._send(due)
        if due >= self._from:
            self._ends[end] += 1

    async def _send(self, due: float) -> str:
        """How the request ended: "answered", "lost" or "unreachable"."""
        while True:
            try:
                link = self._idle.pop() if self._idle else await self._connect()
                async with asyncio.timeout(_NO_ANSWER_S):
                    status, at = await link.ask(self._request)
            except Gone as gone:
                if gone.fresh or gone.begun:
                    return "lost"
                self._ends["retried"] += 1
                continue
            except TimeoutError:
                return "lost"
            except OSError:
                return "unreachable"
            if link.is_open:
                self._idle.append(link)
            if due >= self._from:
                self._count(status, due, at)
            return "answered"

    async def _connect(self) -> Link:
        _, link = await asyncio.get_running_loop().create_connection(Link, *self._place)
        return link

    def _count(self, status: int, due: float, at: float) -> None:
        self._statuses[status] += 1
        self._latencies.setdefault(status, []).append((at - due) * 1000)
        if 200 <= status < 300:
            self._answered.append(at - self._from)

    def _per_s(self, answers: int) -> float:
        """Answers a second of the plan; of clients in turn, of the time that they really waited.

        A server that answers eight at a time would else gain or lose a whole batch at the end.
        """
        waited_s = sum(map(sum, self._latencies.values())) / 1000
        if not self._plan.clients or not waited_s:
            return answers / self._plan.seconds
        return answers * self._plan.clients / waited_s

    def _report(self) -> Report:
        ok = sum(n for status, n in self._statuses.items() if 200 <= status < 300)
        other = {str(s): n for s, n in self._statuses.items() if s != 429 and not 200 <= s < 300}
        good = [ms for s, many in self._latencies.items() if 200 <= s < 300 for ms in many]
        seconds = Counter(int(at) for at in self._answered)
        ends = ("answered", "lost", "unreachable")
        return Report(
            seconds=self._plan.seconds,
            sent=sum(self._ends[end] for end in ends),
            ok=ok,
            refused=self._statuses[429],
            other=other,
            lost=self._ends["lost"],
            retried=self._ends["retried"],
            unreachable=self._ends["unreachable"],
            ok_per_s=round(self._per_s(ok), 2),
            ok_ms=percentiles(good),
            refused_ms=percentiles(self._latencies.get(429, [])),
            late_ms=round(self._late_s * 1000, 2),
            by_second=[seconds[at] for at in range(math.ceil(self._plan.seconds))],
        )


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p90, p99 and max, by the nearest rank; empty for no values."""
    if not values:
        return {}
    ranked = sorted(values)
    at = {
        name: math.ceil(q * len(ranked)) - 1
        for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
    }
    return {**{name: round(ranked[i], 3) for name, i in at.items()}, "max": round(ranked[-1], 3)}


def run(plan: Plan) -> Report:
    """Send the plan from a process of its own and return what it saw."""
    with start(plan) as process:
        out, _ = process.communicate(timeout=plan.warm_s + plan.seconds + 2 * _NO_ANSWER_S)
    if process.returncode:
        raise RuntimeError(f"the load generator ended with {process.returncode}")
    return Report(**json.loads(out))


def start(plan: Plan) -> subprocess.Popen[str]:
    """Begin sending; the process prints the report as JSON at its end."""
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", "benchmarks.load", "--plan", json.dumps(asdict(plan))]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)


def _parse(arguments: Sequence[str] | None) -> Plan:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("url", nargs="?")
    parser.add_argument("photo", nargs="?")
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second, open loop")
    parser.add_argument("--clients", type=int, default=0, help="closed loop")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--warm-s", type=float, default=1.0)
    parser.add_argument("--core", type=int, help="the processor core to keep to")
    parser.add_argument("--content-type", default="image/jpeg")
    parser.add_argument("--header", action="append", default=[], help="a whole header line")
    parser.add_argument("--plan", help="all of it as JSON")
    given = parser.parse_args(arguments)
    if given.plan:
        content = json.loads(given.plan)
        return Plan(**{**content, "headers": tuple(content["headers"])})
    if not given.url or not given.photo or (given.rate > 0) == (given.clients > 0):
        parser.error("give a URL, a photo, and either --rate or --clients")
    return Plan(
        url=given.url,
        photo=given.photo,
        rate=given.rate,
        clients=given.clients,
        seconds=given.seconds,
        warm_s=given.warm_s,
        core=given.core,
        content_type=given.content_type,
        headers=tuple(given.header),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    plan = _parse(arguments)
    if plan.core is not None:
        os.sched_setaffinity(0, {plan.core})
    gc.disable()  # a pause of the generator would be charged to the server
    report = asyncio.run(_Load(plan).run())
    print(json.dumps(asdict(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
