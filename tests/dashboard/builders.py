"""Builders: a run store on a real sqlite, seeded with runs that could have been."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from experiments.events import MetricPoint
from experiments.ledger.settle import account
from experiments.prices import latest_book
from experiments.records import (
    Basis,
    Cost,
    Estimate,
    Hosts,
    LaunchPlan,
    RunRecord,
    RunStatus,
    Usage,
)
from experiments.tracking import Tracker

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
REGION = "us-east-1"
BUCKET = "pedigree-123456789012-us-east-1"
DATASET = "sha256:" + "5c" * 32


@dataclass(frozen=True, kw_only=True)
class SeedRun:
    """A run as a test thinks of it; the rest follows."""

    run_id: str
    name: str = "one-instance"
    experiment: str = "dogs-three-ways"
    launcher: str = "sagemaker"
    instance_type: str = "ml.m5.xlarge"
    hosts: int = 1
    status: RunStatus = RunStatus.SUCCEEDED
    reason: str = ""
    quality: float | None = 0.9
    billable_s: float = 60.0
    basis: Basis = Basis.SIMULATED
    epochs: int = 12
    started_at: datetime = NOW
    settings: Mapping[str, str] = field(default_factory=dict)


def plan_of(run: SeedRun) -> LaunchPlan:
    """The launch plan of a seeded run."""
    nothing = Decimal(0)
    return LaunchPlan(
        run_id=run.run_id,
        run_name=run.name,
        experiment=run.experiment,
        launcher=run.launcher,
        instance_type=run.instance_type,
        instance_count=run.hosts,
        region=REGION,
        calls=(),
        estimate=Estimate(low_usd=nothing, expected_usd=None, high_usd=nothing, why="seeded"),
        params={
            "launch/on": run.launcher,
            "launch/instance_type": run.instance_type,
            "launch/hosts": str(run.hosts),
            "launch/region": REGION,
            "launch/app": "dogs",
            "data/digest": DATASET,
            "data/images": "720",
            "code/digest": "sha256:" + "a1" * 32,
            "code/git_commit": "4f0c2d9",
            "train/epochs": str(run.epochs),
            "train/batch_size": "64",
            "train/learning_rate": "0.003",
            "train/backbone": "efficientnet_lite0",
            **run.settings,
        },
        tags={"pedigree:owner": "ada"},
        reasons=("seeded",),
        warnings=(),
        max_runtime_s=1800,
        volume_gb=60,
        output_uri="s3://bucket/out/",
    )


def curve(run: SeedRun) -> list[MetricPoint]:
    """Learning curves that end at the run's quality."""
    if run.quality is None:
        return []
    chance = random.Random(run.run_id)
    points = []
    for step in range(1, run.epochs + 1):
        left = math.exp(-3.2 * step / run.epochs)
        wobble = chance.uniform(-0.006, 0.006)
        at_ms = int((run.started_at + timedelta(seconds=4 * step)).timestamp() * 1000)
        values = {
            "valid/top1": min(1.0, run.quality - 0.62 * left + wobble),
            "valid/loss": 0.28 + 1.9 * left + (1 - run.quality) + wobble,
            "train/loss": 0.12 + 1.9 * left + wobble,
        }
        points += [MetricPoint(name=n, value=v, step=step, t_ms=at_ms) for n, v in values.items()]
    return points


def finals(run: SeedRun) -> list[MetricPoint]:
    """The figures of the exported model and the phases."""
    if run.quality is None:
        return []
    values = {
        "test/top1": run.quality,
        "test/top5": min(1.0, run.quality + 0.055),
        "test/macro_f1": run.quality - 0.011,
        "test/ece": (1 - run.quality) / 3,
        "time/total_s": run.billable_s * 0.82,
        "time/scan_s": run.billable_s * 0.06,
        "time/features_s": run.billable_s * 0.46,
        "time/head_s": run.billable_s * 0.21,
        "throughput/features_images_per_s": 720 / (run.billable_s * 0.46) * run.hosts,
        "memory/peak_mb": 912.0 + 40 * run.hosts,
    }
    at_ms = int((run.started_at + timedelta(seconds=run.billable_s)).timestamp() * 1000)
    return [MetricPoint(name=n, value=v, step=0, t_ms=at_ms) for n, v in values.items()]


def predictions(run: SeedRun) -> bytes:
    """What the model said of 120 test photos of six breeds, wrong as often as its quality says."""
    chance, sureness = random.Random(run.run_id), random.Random(f"{run.run_id} sure")
    rows = []
    for number in range(120 if run.quality is not None else 0):
        label = f"breed_{number % 6}"
        right = chance.random() < (run.quality or 0)
        said = label if right else f"breed_{(number + 1) % 6}"
        row = {
            "path": f"{label}/{number}.jpg",
            "label": label,
            "predicted": said,
            "probability": round(sureness.triangular(0.4, 1.0, 0.95 if right else 0.6), 4),
        }
        rows.append(json.dumps(row))
    return "\n".join(rows).encode()


def cost_of(run: SeedRun) -> Cost:
    """What the price book says a seeded run costs."""
    usage = Usage(
        billable_s=Decimal(str(run.billable_s)), hosts=run.hosts, started_at=None, ended_at=None
    )
    hosts = Hosts(
        launcher=run.launcher,
        instance_type=run.instance_type,
        count=run.hosts,
        region=REGION,
        volume_gb=60,
    )
    return account(hosts, usage, book=latest_book(), basis=run.basis)


def seed(root: Path, runs: list[SeedRun]) -> Tracker:
    """A tracker on `root`/mlflow.db that holds these runs."""
    root.mkdir(parents=True, exist_ok=True)
    tracker = Tracker(f"sqlite:///{root / 'mlflow.db'}", root)
    for run in runs:
        _record(tracker, run)
    return tracker


def _record(tracker: Tracker, run: SeedRun) -> None:
    tracker_run_id = tracker.open_run(plan_of(run), now=run.started_at)
    tracker.log_points(tracker_run_id, [*curve(run), *finals(run)])
    tracker.log_file(tracker_run_id, predictions(run), "predictions.jsonl")
    if not run.status.settled:
        tracker.tag(tracker_run_id, {"pedigree.status": run.status.value})
        return
    cost = cost_of(run)
    succeeded = run.status is RunStatus.SUCCEEDED
    record = RunRecord(
        run_id=run.run_id,
        tracker_run_id=tracker_run_id,
        name=run.name,
        experiment=run.experiment,
        status=run.status,
        launcher=run.launcher,
        instance_type=run.instance_type,
        hosts=run.hosts,
        reason=run.reason,
        billable_s=run.billable_s,
        model_uri=f"s3://{BUCKET}/runs/{run.run_id}/model.tar.gz" if succeeded else None,
        ended_at=run.started_at + timedelta(seconds=run.billable_s),
    )
    tracker.close_run(tracker_run_id, record, cost, now=run.started_at)


def three_ways() -> list[SeedRun]:
    """The demo's three runs."""
    return [
        SeedRun(run_id="a1b2c3d4", quality=0.9417, billable_s=74.2),
        SeedRun(
            run_id="b2c3d4e5", name="two-instances", instance_type="ml.m5.large", hosts=2,
            quality=0.9333, billable_s=51.8, started_at=NOW + timedelta(minutes=3),
        ),
        SeedRun(
            run_id="c3d4e5f6", name="plain-ec2", launcher="ec2", instance_type="c5.xlarge",
            quality=0.9250, billable_s=69.0, started_at=NOW + timedelta(minutes=6),
        ),
    ]  # fmt: skip


def two_experiments() -> list[SeedRun]:
    """Twelve runs: two experiments, every launcher, every way a run can end."""
    more = [
        ("d4e5f607", "wide-head", "sagemaker", "ml.m5.4xlarge", 1, 0.9542, 41.0),
        ("e5f60718", "two-wide", "sagemaker", "ml.m5.xlarge", 2, 0.9500, 63.5),
        ("f6071829", "compute-ec2", "ec2", "c5.2xlarge", 1, 0.9458, 52.0),
        ("07182930", "small-ec2", "ec2", "c5.large", 1, 0.8917, 131.0),
        ("18293041", "four-hosts", "sagemaker", "ml.m5.large", 4, 0.9292, 44.0),
        ("29304152", "short", "ec2", "c5.xlarge", 1, 0.8625, 60.0),
    ]
    tuning = [
        SeedRun(
            run_id=run_id, name=name, experiment="dogs-tuning", launcher=launcher,
            instance_type=kind, hosts=hosts, quality=quality, billable_s=billable_s, epochs=20,
            started_at=NOW + timedelta(hours=2, minutes=7 * number),
            settings={"train/learning_rate": "0.001", "train/batch_size": "32"},
        )
        for number, (run_id, name, launcher, kind, hosts, quality, billable_s) in enumerate(more)
    ]  # fmt: skip
    return [*three_ways(), *tuning, *unlucky()]


def unlucky() -> list[SeedRun]:
    """A failed run, a refused one and one that is still running."""
    return [
        SeedRun(
            run_id="30415263", name="too-fast", experiment="dogs-tuning", quality=None,
            status=RunStatus.FAILED, reason="the loss is not a number at epoch 3",
            billable_s=22.0, started_at=NOW + timedelta(hours=3),
        ),
        SeedRun(
            run_id="41526374", name="big-gpu", experiment="dogs-tuning", quality=None,
            instance_type="ml.m5.4xlarge", status=RunStatus.REFUSED, billable_s=0.0,
            reason="ResourceLimitExceeded: the account may use 0 instances of this type",
            started_at=NOW + timedelta(hours=3, minutes=10),
        ),
        SeedRun(
            run_id="52637485", name="again", experiment="dogs-tuning", quality=None,
            status=RunStatus.RUNNING, started_at=NOW + timedelta(hours=3, minutes=20),
        ),
    ]  # fmt: skip
