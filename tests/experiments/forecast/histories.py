"""Generated histories of runs: a hidden truth that shares nothing with the predictor's model.

Time is simulated by parts: a start-up by launcher, photos decoded and passed through a backbone at a speed
by type (not proportional to its processors), Amdahl's law over hosts, epochs of a small head, and noise
with a heavy tail now and then. Recorded histories are in `recorded_runs.json`.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal

from experiments.records import Basis, RunRecord
from tests.experiments.build import record

PROCESSORS = {"m5.large": 2, "m5.xlarge": 4, "m5.4xlarge": 16, "c5.xlarge": 4, "c4.xlarge": 4}
MS_PER_PHOTO = {"efficientnet_lite0": 30.0, "resnet50": 160.0}


class Truth:
    """How fast things really are in one made-up world."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        spread = self.chance.uniform
        self.speed = {
            kind: count ** spread(0.7, 0.95) * spread(0.8, 1.25)
            for kind, count in PROCESSORS.items()
        }
        self.serial = spread(0.05, 0.25)
        self.start_up_s = {"sagemaker": spread(90, 200), "ec2": spread(40, 120)}
        self.noise = spread(0.03, 0.15)

    def run(self, at: int = 0, **fixed: object) -> RunRecord:
        """One finished run of random work; `fixed` sets some of it."""
        pick = self.chance.choice
        work: dict[str, object] = {
            "kind": pick(list(PROCESSORS)),
            "hosts": pick([1, 1, 2, 4]),
            "backbone": pick(list(MS_PER_PHOTO)),
            "images": self.chance.randint(500, 20_000),
            "epochs": pick([10, 30, 60]),
            **fixed,
        }
        kind, hosts = str(work["kind"]), int(str(work["hosts"]))
        launcher = "sagemaker" if hosts > 1 else pick(["sagemaker", "ec2"])
        images, epochs = int(str(work["images"])), int(str(work["epochs"]))
        alone_s = images * MS_PER_PHOTO[str(work["backbone"])] / 1000 / self.speed[kind]
        program = 8 + alone_s * (self.serial + (1 - self.serial) / hosts) + epochs * images * 2e-6
        program *= self.chance.lognormvariate(0, self.noise)
        start_up = self.start_up_s[launcher] * self.chance.lognormvariate(0, self.noise)
        start_up += 20 if hosts > 1 else 0
        instance_type = f"ml.{kind}" if launcher == "sagemaker" else kind
        return record(
            run_id=f"{at:08}",
            launcher=launcher,
            instance_type=instance_type,
            hosts=hosts,
            billable_s=start_up + program,
            metrics={"time/total_s": program, "test/top1": 0.9, "memory/peak_mb": 1500.0},
            params={
                "train/backbone": str(work["backbone"]),
                "train/engine": "f32",
                "train/epochs": str(epochs),
                "data/images": str(images),
            },
            cost_usd=Decimal("0.1"),
            cost_basis=Basis.ESTIMATED,
            started_at=datetime(2026, 11, 1, tzinfo=UTC),
        )

    def history(self, runs: int, **fixed: object) -> list[RunRecord]:
        """So many runs."""
        return [self.run(at, **fixed) for at in range(runs)]
