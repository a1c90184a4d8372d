"""The feature pass alone: how near it comes to the processor's best, and what more processes gain.

Used by `benchmarks.training`; what is measured is in `benchmarks.training_roofline`, whose processes
are started here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from training.engines.build import runs_here

ENGINES: Final = ("f32", "bf16", "int8")
PASS_PHOTOS: Final = {"resnet50": 120, "efficientnet_lite0": 400}


@dataclass(frozen=True, kw_only=True)
class Yard:
    """Where the contenders run, and which engines are measured; `end` is when peers are stopped, by
    time.monotonic."""

    data: Path
    weights: Path
    scratch: Path
    threads: int
    end: float
    engines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Peaks:
    """Operations a second of the best matrix product, by precision; `pass_s` is what one pass of the
    photos takes at the best of them (EfficientNet-Lite0)."""

    by_precision: dict[str, float]
    pass_s: float


def child(*argv: str) -> list[str]:
    return [sys.executable, *argv]


def engines_here() -> list[str]:
    """The engines of OpenVINO that this processor has the arithmetic for."""
    return [name for name in ENGINES if runs_here(name)]


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


def show_roofline(yard: Yard) -> Peaks:
    """Speed times operations over the peak, for ResNet50 (random weights) and EfficientNet-Lite0."""
    resnet = yard.scratch / "resnet50.pth"
    make = (
        "import sys, torch, torchvision; torch.manual_seed(0);"
        "torch.save(torchvision.models.resnet50(weights=None).state_dict(), sys.argv[1])"
    )
    subprocess.run(child("-c", make, str(resnet)), check=True)
    peaks = _peaks(yard.threads)
    shown = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in peaks.items())
    print(f"\npeak matrix product, giga-operations a second: {shown}")
    flops = 0.0
    for backbone, weights in (("resnet50", resnet), ("efficientnet_lite0", yard.weights)):
        for engine in yard.engines:
            (found,) = pass_speed(yard, weights, backbone, engine, yard.threads)
            flops = found["flops"]
            ratio = found["images_per_s"] * flops / peaks[engine]
            print(
                f"{backbone:<20} {engine:<6} {found['images_per_s']:7.1f} images/s,"
                f" {ratio:.2f} of the {engine} peak; decoding {found['decode_share']:.0%}",
                flush=True,
            )
    photos = sum(1 for path in yard.data.glob("*/*/*") if path.is_file())
    return Peaks(by_precision=peaks, pass_s=photos * flops / max(peaks.values()))


def _peaks(threads: int) -> dict[str, float]:
    line = subprocess.run(
        child("-m", "benchmarks.training_roofline", "peak", str(threads)),
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    found: dict[str, float] = json.loads(line)
    return found


def show_processes(yard: Yard) -> None:
    """The feature pass in 1, 2 and 4 processes of one thread each."""
    print("\nprocesses of one thread, EfficientNet-Lite0")
    for engine in yard.engines:
        if engine == "int8":  # every process would quantize first
            continue
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
