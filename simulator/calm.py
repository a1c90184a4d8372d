"""Requests that meet nobody, all at once in arrays: the same answers as one after the other.

While fewer requests are under way than the function takes and the workers there are, no request
waits and none is refused, so every end is its arrival plus constants. Where this stops being true,
`Stream.follow` goes on. On handing over, photos in work are dealt out evenly to the instances.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.service import Times
from simulator.stream import Stream
from simulator.tally import Counts

WORTH_IT = 48
_HAND_OVERS = 12
_TOO_FEW = 8
_LONGEST_S = 60.0


def let_in(stream: Stream, times: Times, services: Times, counts: Counts) -> None:
    """Let the requests of at most a minute in, by arrays where that is exact."""
    first = 0
    for _ in range(_HAND_OVERS):
        if times.size - first < WORTH_IT or not stream.is_calm(float(times[first])):
            break
        passed = _pass_calm(stream, times[first:], services[first:], counts)
        first += passed
        if first == times.size:
            return
        if passed < _TOO_FEW:
            break
        rest = times[first : first + 4096].tolist(), services[first : first + 4096].tolist()
        first += stream.follow(*rest, counts, until_calm=True)
    stream.follow(times[first:].tolist(), services[first:].tolist(), counts, until_calm=False)


def _pass_calm(stream: Stream, times: Times, services: Times, counts: Counts) -> int:
    front, fleet = stream.front, stream.fleet
    if fleet is None or times[-1] - times[0] > _LONGEST_S or _too_fast(stream, times):
        return 0
    under_way = [end for end, _ in front.running]
    on_demand = [end for end, spilled in front.running if spilled]
    model_ends = times + stream.half_s + services
    ends = model_ends + stream.half_s
    done = np.sort(np.concatenate((under_way, ends)))
    before = len(under_way) + np.arange(times.size) - np.searchsorted(done, times, side="right")
    meets = (before >= min(front.limit, fleet.calm_below)) | (services > stream.patience_s)
    count = int(meets.argmax()) if meets.any() else times.size
    spills = np.flatnonzero(before[:count] >= front.provisioned)
    count, spilled = _spill(stream, times, ends, before, spills, count, on_demand)
    if not count:
        return 0
    last = float(times[count - 1])
    kept = [end for end in [*under_way, *ends[:count].tolist()] if end > last]
    front.resume(kept, on_demand)
    fleet.resume([end - stream.half_s for end in kept])
    front.note_calls(last, int((times[:count] >= int(last)).sum()))
    _count(counts, ends[:count] - times[:count], services[:count], spilled)
    front.peak = max(front.peak, int(before[:count].max()) + 1)
    return count


def _too_fast(stream: Stream, times: Times) -> bool:
    """Whether a second has more calls than the function's rate."""
    most = stream.front.per_second
    if times.size <= most:
        return False
    return bool((times[int(most) :] - times[: -int(most)] < 1.0).any())


def _spill(
    stream: Stream,
    times: Times,
    ends: Times,
    before: np.ndarray[tuple[int], np.dtype[np.int64]],
    spills: np.ndarray[tuple[int], np.dtype[np.int64]],
    count: int,
    on_demand: list[float],
) -> tuple[int, Sequence[int]]:
    """Give the calls beyond the provisioned environments warm ones, up to the first that finds none.

    Returns how many requests are through, and which of them ran on demand; `on_demand` gets their
    ends.
    """
    front, taken = stream.front, []
    busy = sorted(on_demand)
    for k in spills.tolist():
        now = float(times[k])
        while busy and busy[0] <= now:
            busy.pop(0)
        if before[k] - len(busy) < front.provisioned:
            continue
        level = len(busy)
        if level >= len(front.last_taken) or now - front.last_taken[level] > front.idle_s:
            count = k
            break
        front.last_taken[level] = now
        end = float(ends[k])
        busy.append(end)
        busy.sort()
        taken.append(k)
        on_demand.append(end)
    return count, taken


def _count(counts: Counts, took: Times, services: Times, spilled: Sequence[int]) -> None:
    billed = np.ceil(took * 1000 - 1e-6)
    on_demand = float(billed[spilled].sum()) if spilled else 0.0
    counts.arrivals += took.size
    counts.invocations += took.size
    counts.spilled += len(spilled)
    counts.busy_s += float(services.sum())
    counts.on_demand_billed_ms += on_demand
    counts.warm_billed_ms += float(billed.sum()) - on_demand
    counts.latency_parts.append(took)
