"""The model server beside others: one ResNet50, one photo, one core for the server, another for the load.

    make bench-serving ENVS=folder   # makes the peers' environments in that folder when they are missing

The network has random weights: only speed is measured. Pedigree serves the int8 archive that its own
training writes; the torch peers serve the same network in fp32, and one peer has Pedigree's own graph
inside. Servers take turns; figures are medians over the rounds. The engine is asked alone right before
and after Pedigree, and that ratio is taken within the round: shared machines change their speed in a minute.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contenders import (
    CONTENDERS,
    PEERS,
    ROOT,
    Bench,
    Contender,
    NotStarted,
    Started,
    serving,
)
from benchmarks.load import Plan, Report, run

SERVER_CORE, LOAD_CORE = 0, 1
OURS = "pedigree"


def make_envs(envs: Path) -> None:
    """The peers' environments, each from its pinned list; torch first, in its locked version."""
    lock = (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
    torch = [line for line in lock if line.startswith(("torch==", "torchvision==", "pillow=="))]
    for name in ("torchserve", "others"):
        if (envs / name / "made").exists():
            continue
        print(f"making {envs / name}: several minutes", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(envs / name)], check=True)
        pip = [str(envs / name / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *torch], check=True)
        subprocess.run([*pip, "-r", str(PEERS / f"requirements-{name}.txt")], check=True)
        (envs / name / "made").touch()


def make_bench(envs: Path, work: Path) -> Bench:
    """Draw photos, make a network with random weights, and let Pedigree train its head and export it."""
    photos, weights, archive = work / "photos", work / "resnet50.pth", work / "archive"
    if not (work / "fp32.pth").exists():
        _train(work, photos, weights, archive)
    classes = json.loads((archive / "pedigree.json").read_text(encoding="utf-8"))["classes"]
    return Bench(
        envs=envs,
        work=work,
        archive=archive,
        weights=work / "fp32.pth",
        classes=len(classes),
        photo=sorted((photos / "test").rglob("*.jpg"))[0],
        core=SERVER_CORE,
    )


def _train(work: Path, photos: Path, weights: Path, archive: Path) -> None:
    draw = ["-m", "demo", "--out", str(photos), "--breeds", "8", "--train", "8", "--valid", "2"]
    _python([*draw, "--test", "2"])
    _python(["-c", _WEIGHTS, str(weights)])
    train = ["-m", "training", "--data", str(photos), "--model-dir", str(archive)]
    train += ["--output-dir", str(work / "out"), "--weights", str(weights)]
    _python([*train, "--backbone", "resnet50", "--engine", "int8", "--epochs", "2"])
    _python(
        ["-c", _WHOLE, str(weights), str(archive / "model.safetensors"), str(work / "fp32.pth")]
    )


_WEIGHTS = """
import sys, torch, torchvision
torch.manual_seed(0)
torch.save(torchvision.models.resnet50(weights=None).state_dict(), sys.argv[1])
"""
_WHOLE = """
import sys, torch
from safetensors.torch import load_file
whole, head = torch.load(sys.argv[1], weights_only=True), load_file(sys.argv[2])
whole["fc.weight"], whole["fc.bias"] = head["head.weight"], head["head.bias"]
torch.save(whole, sys.argv[3])
"""


def _python(arguments: Sequence[str]) -> None:
    command = [sys.executable, *arguments]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def ask(started: Started, *, seconds: float, clients: int = 0, rate: float = 0.0) -> Report:
    """One measurement, from the load's own core."""
    return run(
        Plan(
            url=started.url,
            photo=str(started.body),
            content_type=started.content_type,
            clients=clients,
            rate=rate,
            seconds=seconds,
            warm_s=2.0,
            core=LOAD_CORE,
        )
    )


def engine_limit(bench: Bench) -> dict[str, float]:
    """Photos a second of the network alone, and with decoding, with no server around it."""
    command = ["taskset", "-c", str(bench.core), sys.executable, "-m", "benchmarks.engine_alone"]
    done = subprocess.run(
        [*command, str(bench.archive), str(bench.photo)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    limits: dict[str, float] = json.loads(done.stdout)
    return limits


def measure(bench: Bench, contenders: Sequence[Contender], *, rounds: int, seconds: float) -> None:
    """Print each server's figures, then the goals."""
    eight: dict[str, list[Report]] = {c.name: [] for c in contenders}
    one: dict[str, list[Report]] = {c.name: [] for c in contenders}
    alone: list[dict[str, float]] = []
    of_limit: list[float] = []
    for _ in range(rounds):
        for contender in contenders:
            is_ours = contender.name == OURS
            if is_ours:
                alone.append(engine_limit(bench))
            try:
                with serving(bench, contender) as started:
                    eight[contender.name].append(ask(started, clients=8, seconds=seconds))
                    one[contender.name].append(ask(started, clients=1, seconds=seconds / 2))
            except NotStarted as why:
                print(f"{contender.name} is missing in this round: {why}", flush=True)
                continue
            _say(contender.name, eight[contender.name][-1], one[contender.name][-1])
            if is_ours:
                alone.append(engine_limit(bench))
                around = statistics.mean(limit["network"] for limit in alone[-2:])
                of_limit.append(eight[OURS][-1].ok_per_s / around)
    eight = {name: found for name, found in eight.items() if found}
    contenders = [contender for contender in contenders if contender.name in eight]
    rates = {n: statistics.median(r.ok_per_s for r in found) for n, found in eight.items()}
    print("\nmedians: requests/s at eight clients, p50 and p99 there, p50 at one client")
    for name, rate in rates.items():
        p50, p99 = (statistics.median(r.ok_ms[p] for r in eight[name]) for p in ("p50", "p99"))
        lone = statistics.median(r.ok_ms["p50"] for r in one[name])
        print(f"  {name:22} {rate:7.1f}/s  {p50:7.1f} ms  {p99:7.1f} ms  {lone:7.1f} ms")
    limits = {k: statistics.median(a[k] for a in alone) for k in alone[0]}
    print("  the engine alone:", ", ".join(f"{k} {v:.1f}/s" for k, v in limits.items()))
    _goals(bench, contenders, rates, statistics.median(of_limit), seconds)


def _say(name: str, eight: Report, one: Report) -> None:
    print(
        f"{name:22} {eight.ok_per_s:7.1f}/s at 8 clients, p99 {eight.ok_ms['p99']:7.1f} ms,"
        f" p50 at one {one.ok_ms['p50']:6.1f} ms, {eight.other or 'all answered'}",
        flush=True,
    )


def _goals(
    bench: Bench,
    contenders: Sequence[Contender],
    rates: dict[str, float],
    of_limit: float,
    seconds: float,
) -> None:
    best = max((c for c in contenders if c.torch_fp32), key=lambda c: rates[c.name])
    ours = rates[OURS]
    print(f"throughput against {best.name}: {ours / rates[best.name]:.2f}x (goal 5)")
    same = rates.get("litserve-same-engine")
    if same:
        print(f"throughput against the same engine elsewhere: {ours / same:.2f}x (goal 1)")
    print(f"of the engine's own limit: {of_limit:.2f} (goal 0.75)")
    rate = 0.9 * rates[best.name]
    p99 = {}
    for contender in (best, contenders[0]):
        with serving(bench, contender) as started:
            report = ask(started, rate=rate, seconds=6 * seconds)
            p99[contender.name] = report.ok_ms["p99"]
    print(
        f"open loop at {rate:.1f}/s, nine tenths of {best.name}'s highest:"
        f" p99 {p99[best.name]:.1f} ms there, {p99[OURS]:.1f} ms here:"
        f" {p99[OURS] / p99[best.name]:.3f} of it (goal 0.25)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--envs", type=Path, required=True, help="folder of the peers' environments"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--only", nargs="*", help="names of contenders")
    parser.add_argument("--work", type=Path, help="keep the models there, and take them again")
    asked = parser.parse_args()
    if not shutil.which("taskset") or (os.cpu_count() or 1) < 2:
        raise SystemExit("taskset (util-linux) and two cores are needed")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the servers too
    make_envs(asked.envs.resolve())
    chosen = [c for c in CONTENDERS if not asked.only or c.name in (OURS, *asked.only)]
    with tempfile.TemporaryDirectory() as name:
        began = time.monotonic()
        work = (asked.work or Path(name)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        bench = make_bench(asked.envs.resolve(), work)
        measure(bench, chosen, rounds=asked.rounds, seconds=asked.seconds)
        print(f"{time.monotonic() - began:.0f} s in all")


if __name__ == "__main__":
    main()
