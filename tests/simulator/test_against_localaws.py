"""The simulator foretells what an endpoint of localaws really does with the same arrivals.

The endpoint is real: processes with a queue each, started and ended by autoscaling, on a clock that
runs fast. Both sides get the same arrivals and the same time for a photo; what a call takes beyond it
is measured before. localaws counts a request in the minute of its answer, the simulator in that of its
arrival, so a decision that hangs on one request may differ. How long an instance takes to start is
measured too. Tolerances: MEAN_OFF instances over the
minutes, REFUSED_OFF of all requests, and P99_OFF of the p99.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator import Settings, simulate
from simulator.traffic import Mixture, Steps, Trace, Traffic, bursts
from tests.simulator.builders import fixed, open_front, question
from tests.simulator.live_endpoint import Seen, live_endpoint

SERVICE_S = 3.0
MEAN_OFF = 0.25
REFUSED_OFF = 0.04
P99_OFF = 0.25
TICK_S = 10.0
SETTINGS: Settings = open_front(
    min_instances=1,
    max_instances=3,
    target_per_minute=10,
    scale_in_cooldown_s=120,
    scale_out_cooldown_s=30,
    queue_limit=6,
    timeout_s=90.0,
    endpoint_read_timeout_s=60.0,
)


def steps(*minutes: tuple[int, float]) -> Steps:
    """So many minutes with so many arrivals a minute, one after the other."""
    ends, end = [], 0.0
    for count, _ in minutes:
        end += 60.0 * count
        ends.append(end)
    rates = tuple(rate / 60 for _, rate in minutes)
    return Steps(text="steps", ends_s=tuple(ends), rates=rates)


def wave(minutes: int, low: float, high: float) -> Steps:
    """One wave of arrivals a minute."""
    phase = 2 * np.pi * (np.arange(minutes) + 0.5) / minutes
    values = low + (high - low) * (1 - np.cos(phase)) / 2
    return steps(*((1, float(value)) for value in values))


BURST = Mixture(parts=(steps((14, 6.0)), bursts(0.0, 1.5, length_s=180.0, every_s=14 * 60.0)))
SHAPES: dict[str, tuple[Traffic, int]] = {
    "steady": (steps((10, 8.0)), 10),
    "a step up": (steps((3, 8.0), (12, 24.0)), 15),
    "up and down again": (steps((8, 26.0), (26, 4.0)), 34),
    "a burst": (BURST, 14),
    "a wave": (wave(40, 4.0, 26.0), 40),
}


def off_by(foretold: list[int], seen: tuple[int, ...], slack: int) -> float:
    """Instances between the two on average, where either may be `slack` minutes late."""
    total = 0
    for minute, count in enumerate(foretold):
        near = seen[max(0, minute - slack) : minute + slack + 1]
        total += max(0, min(near) - count, count - max(near))
    return total / len(foretold)


def compare(folder: Path, traffic: Traffic, minutes: int, speed: float, *, slack: int) -> None:
    length_s = 60.0 * minutes
    times = traffic.arrivals(0, length_s, np.random.default_rng(11))
    with live_endpoint(
        folder / "state", speed=speed, service_s=SERVICE_S, settings=SETTINGS
    ) as endpoint:
        overhead_s, start_s = endpoint.overhead_s(SERVICE_S), endpoint.start_s
        seen = endpoint.send(times.tolist(), length_s)
    foretold = simulate(
        question(
            SETTINGS,
            traffic=Trace(text="the same", times_s=tuple(times), period_s=length_s),
            service=fixed(SERVICE_S),
            length_s=length_s,
            front_ms=overhead_s * 1000,
            instance_start_s=start_s + TICK_S,
            instance_start_spread=0.0,
            alarm_delay_minutes=0,
            grows_in_cooldown=False,
            answer_timeout_s=90.0,
        )
    )
    instances = [slot.instances for slot in foretold.slots]
    told = f"{instances} foretold, {list(seen.instances)} seen, start {start_s:.0f} s"
    off = off_by(instances, seen.instances, slack)
    assert off <= MEAN_OFF, told
    assert seen.failed == foretold.sums.failed == 0
    share = seen.refused / len(times)
    assert abs(foretold.sums.refused_share - share) <= REFUSED_OFF, told
    p99_s = percentile(seen)
    assert foretold.sums.p99_ms is not None
    assert abs(foretold.sums.p99_ms / 1000 - p99_s) <= P99_OFF * p99_s, told
    print(
        f"p99 {foretold.sums.p99_ms / 1000:.2f} s foretold, {p99_s:.2f} s seen; refused"
        f" {foretold.sums.refused_share:.3f} and {share:.3f}; mean off {off:.2f} instances"
    )


def percentile(seen: Seen) -> float:
    return float(np.quantile(seen.latencies_s, 0.99, method="inverted_cdf"))


@pytest.mark.slow
def test_a_short_rush_goes_as_foretold(tmp_path: Path) -> None:
    """On a machine that is busy with other tests too: an instance may come a minute late."""
    compare(tmp_path, steps((6, 26.0)), 6, speed=40.0, slack=1)


@pytest.mark.soak
@pytest.mark.parametrize("shape", list(SHAPES))
def test_five_shapes_go_as_foretold(shape: str, tmp_path: Path) -> None:
    traffic, minutes = SHAPES[shape]
    compare(tmp_path, traffic, minutes, speed=30.0, slack=0)
