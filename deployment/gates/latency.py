"""How long the packaged artifact takes for a photo, on as many processors as the target has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from deployment.gates.gate import Gate
from deployment.gates.golden import LabelledPhoto
from deployment.gates.trial import Asks

SAMPLES = 100
WARM_UP = 5


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds of whole questions, asked one after the other."""

    p50_ms: float
    p99_ms: float
    samples: int
    failed: int


def measure(served: Asks, photos: Sequence[LabelledPhoto], samples: int = SAMPLES) -> Latency:
    """Ask with the photos in turn. The first few questions warm the server up and do not count."""
    asked = list(islice(cycle(photos), WARM_UP + samples))
    replies = [served.ask(photo.data, photo.content_type) for photo in asked][WARM_UP:]
    times = sorted(reply.ms for reply in replies)
    return Latency(
        p50_ms=quantile(times, 0.5),
        p99_ms=quantile(times, 0.99),
        samples=len(times),
        failed=sum(reply.status != 200 for reply in replies),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest of `ordered` (ascending) that at least `share` of them do not exceed."""
    place = -int(-len(ordered) * share // 1)
    return ordered[max(place, 1) - 1]


def latency_gate(
    latency: Latency | None, *, cores: int, wanted_cores: int, target: str, max_p99_ms: float
) -> Gate:
    """The p99 is within its limit and no question failed."""
    if latency is None:
        fault = "there is no photo to measure with"
        return Gate(name="latency", passed=False, evidence={"fault": fault})
    where = f"{cores} of {wanted_cores} vCPUs of {target}, this machine's processor"
    evidence = {
        "p50": f"{latency.p50_ms:.1f} ms",
        "p99": f"{latency.p99_ms:.1f} ms, at most {max_p99_ms:.0f}",
        "measured": f"{latency.samples} photos one at a time on {where}",
    }
    if latency.failed:
        evidence["failed"] = f"{latency.failed} of {latency.samples}"
    passed = latency.failed == 0 and latency.p99_ms <= max_p99_ms
    return Gate(name="latency", passed=passed, evidence=evidence)
