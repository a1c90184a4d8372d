"""How near the feature pass comes to what this processor can do.

    python -m benchmarks.training_roofline peak THREADS             best matrix products
    python -m benchmarks.training_roofline pass DATA WEIGHTS BACKBONE ENGINE PHOTOS THREADS

`peak` prints, for each precision that the processor has, the most floating (or integer) operations
a second of a matrix product by torch and by OpenVINO. `pass` waits for a line on its input, then
makes a feature pass over that many photos and prints its speed, decoding included and set-up not.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.training_passes import engines_here
from training.backbones import load_backbone
from training.config import TrainConfig
from training.engines.choose import Bench, choose_engine
from training.engines.engine import HINTS
from training.features.cache import CacheKey, FeatureCache
from training.features.feature_pass import FeaturePass, Lens
from training.features.survey import Survey, survey_photos
from training.hosts.cluster import Cluster
from training.manifest import list_photos

SIDES = (256, 512, 1024, 2048)
"""Of the square products; which of them is the fastest depends on the caches."""
LAYERS = 6


def best_rate(call: Callable[[], Any], operations: float, seconds: float = 1.0) -> float:
    """Operations a second of the fastest call within the time."""
    call()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - started)
    return operations / best


def torch_peaks(side: int) -> dict[str, float]:
    """Square products in torch: float32, bfloat16, int8."""
    found: dict[str, float] = {}
    operations = 2.0 * side**3
    for name, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
        if name not in engines_here():
            continue
        left, right = (torch.randn(side, side).to(dtype) for _ in range(2))
        found[name] = best_rate(lambda a=left, b=right: a @ b, operations)  # type: ignore[misc]
    left, right = (torch.randint(-8, 8, (side, side), dtype=torch.int8) for _ in range(2))
    found["int8"] = best_rate(lambda: torch._int_mm(left, right), operations)
    return found


def openvino_peaks(side: int, threads: int) -> dict[str, float]:
    """A chain of square products in OpenVINO; in int8 with one requantization between two."""
    import openvino as ov

    found: dict[str, float] = {}
    inputs = np.random.default_rng(0).normal(size=(side, side)).astype(np.float32)
    for name in engines_here():
        compiled = ov.Core().compile_model(
            _chain(side, quantize=name == "int8"),
            "CPU",
            {"INFERENCE_PRECISION_HINT": HINTS[name], "INFERENCE_NUM_THREADS": str(threads),
             "NUM_STREAMS": "1"},
        )  # fmt: skip
        request = compiled.create_infer_request()
        found[name] = best_rate(
            lambda r=request: r.infer({0: inputs}, share_inputs=True),  # type: ignore[misc]
            2.0 * side**3 * LAYERS,
        )
    return found


def _chain(side: int, *, quantize: bool) -> Any:
    import openvino as ov
    from openvino import opset13 as ops

    rng = np.random.default_rng(1)
    parameter: Any = ops.parameter([side, side], np.float32)
    value = parameter

    def limited(node: Any, low: float, high: float, levels: int) -> Any:
        ends = [np.float32(end) for end in (low, high, low, high)]
        return ops.fake_quantize(node, *ends, levels)

    for _ in range(LAYERS):
        weight: Any = ops.constant(rng.normal(size=(side, side)).astype(np.float32) / side**0.5)
        if quantize:
            value, weight = limited(value, 0.0, 4.0, 256), limited(weight, -0.1, 0.1, 255)
        value = ops.relu(ops.matmul(value, weight, False, True))
    return ov.Model([value], [parameter], "chain")


def flops_of(module: Any) -> float:
    """Floating operations of one forward pass of a 224-pixel photo; a multiply-add counts two."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(1, 3, 224, 224))
    return float(counter.get_total_flops())


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A pass that has only to run: what it looks at, and through what."""

    survey: Survey
    lens: Lens
    cache: FeatureCache
    flops: float


def prepare(
    data: Path, weights: Path, name: str, engine: str, scratch: Path, threads: int
) -> Ready:
    """Everything before the first photo: the survey, the network, the engine, warm."""
    backbone = load_backbone(name, weights=weights, weights_digest="", resize=224, crop=224)
    alone = Cluster(rank=0, world=1)
    survey = survey_photos(list_photos(data), TrainConfig(data=data), alone, threads)
    bench = Bench(
        backbone=backbone, survey=survey, cluster=alone, cache_root=scratch, threads=threads,
        pictures=0,
    )  # fmt: skip
    chosen = choose_engine(engine, bench)
    lens = Lens(
        transform=backbone.transform,
        network=chosen.network,
        batch=chosen.batch,
        width=backbone.width,
    )
    key = CacheKey(
        dataset_digest=survey.digest, weights_digest="", backbone=name, engine=engine, seed=0,
        transform=backbone.transform, views=1, augment="trivialaugment",
    )  # fmt: skip
    warm = np.zeros((chosen.batch, 3, 224, 224), np.float32)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(chosen.network, [warm] * 4 * threads))
    cache = FeatureCache(scratch, key)
    return Ready(survey=survey, lens=lens, cache=cache, flops=flops_of(backbone.module))


def one_pass(
    data: Path, weights: Path, name: str, engine: str, photos: int, threads: int
) -> dict[str, float]:
    """The pass of the training program itself over the first training photos."""
    with tempfile.TemporaryDirectory() as scratch:
        ready = prepare(data, weights, name, engine, Path(scratch), threads)
        chunks = [chunk for chunk in ready.survey.chunks if chunk.split == "train"]
        wanted = chunks[: max(1, round(photos / len(chunks[0].places)))]
        print("ready", flush=True)
        sys.stdin.readline()
        work = FeaturePass(ready.survey, ready.lens, threads=threads)
        started = time.perf_counter()
        for _ in work.chunks(wanted, ready.cache):
            pass
        seconds = time.perf_counter() - started
    spent = work.spent
    return {
        "images_per_s": spent.pictures / seconds,
        "decode_share": spent.decode_s / (spent.decode_s + spent.backbone_s),
        "seconds": seconds,
        "flops": ready.flops,
    }


def main(argv: list[str]) -> None:
    """Print one JSON line."""
    if argv[0] == "peak":
        threads = int(argv[1])
        torch.set_num_threads(threads)
        rates = [torch_peaks(side) for side in SIDES]
        rates += [openvino_peaks(side, threads) for side in SIDES]
        print(json.dumps({name: max(one[name] for one in rates) for name in rates[0]}))
        return
    torch.set_num_threads(1)
    _, data, weights, backbone, engine, photos, threads_ = argv
    found = one_pass(Path(data), Path(weights), backbone, engine, int(photos), int(threads_))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
