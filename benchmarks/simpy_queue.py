"""The same queue in SimPy, for comparison: run by an interpreter that has SimPy.

    python simpy_queue.py ARRIVALS PER_SECOND SERVICE_S WORKERS LIMIT

Poisson arrivals, a limit on those inside, `WORKERS` servers with a constant service time; prints JSON.
"""

from __future__ import annotations

import json
import random
import sys
import time

import simpy  # type: ignore[import-not-found,unused-ignore]


def run(
    arrivals: int, per_s: float, service_s: float, workers: int, limit: int
) -> dict[str, float]:
    """Seconds taken, the mean time inside and the share refused."""
    chance, env = random.Random(1), simpy.Environment()  # noqa: S311
    servers = simpy.Resource(env, workers)
    inside = [0]
    took: list[float] = []
    refused = [0]

    def visit() -> object:
        if inside[0] >= limit:
            refused[0] += 1
            return
        inside[0] += 1
        came = env.now
        with servers.request() as turn:
            yield turn
            yield env.timeout(service_s)
        inside[0] -= 1
        took.append(env.now - came)

    def source() -> object:
        for _ in range(arrivals):
            yield env.timeout(chance.expovariate(per_s))
            env.process(visit())

    started = time.perf_counter()
    env.process(source())
    env.run()
    return {
        "seconds": time.perf_counter() - started,
        "mean_s": sum(took) / len(took),
        "refused": refused[0] / arrivals,
    }


if __name__ == "__main__":
    _, count, rate, seconds, servers, places = sys.argv
    print(json.dumps(run(int(count), float(rate), float(seconds), int(servers), int(places))))
