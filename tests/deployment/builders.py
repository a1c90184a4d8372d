"""What the tests of deployment are made of: runs with real archives, settings, and whole promotions."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from deployment.apply import Applied, Means, apply_proposal
from deployment.artifact.function_code import FunctionCode, pack_function
from deployment.promote import Proposal, prepare, propose
from deployment.settings import ServingSettings
from deployment.smoke import GoldenPhoto
from deployment.undo import propose_rollback
from experiments.prices import latest_book
from experiments.records import Basis, RunRecord, RunStatus
from experiments.source import ROOT
from tests.deployment.world import World

BOOK = latest_book()
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BUCKET = "pedigree-123456789012-us-east-1"
PHOTO = b"\xff\xd8\xff a photo"


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def safetensors(text: bytes = b"weights") -> bytes:
    header = json.dumps(
        {"w": {"dtype": "U8", "shape": [len(text)], "data_offsets": [0, len(text)]}}
    )
    return len(header).to_bytes(8, "little") + header.encode() + text


def model_files(run_id: str, label: str = "beagle") -> dict[str, bytes]:
    """The files that training leaves in a model folder, small."""
    files = {
        "model.xml": b"<?xml version='1.0'?><net/>",
        "model.bin": run_id.encode() * 20,
        "model.safetensors": safetensors(),
    }
    manifest = {
        "schema": 1,
        "engine": "openvino-f32",
        "classes": [label, "whippet"],
        "run_id": run_id,
        "files": {name: digest(data) for name, data in files.items()},
    }
    return {**files, "pedigree.json": json.dumps(manifest).encode()}


def tar_gz(files: Mapping[str, bytes], extra: tuple[tarfile.TarInfo, ...] = ()) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        for entry in extra:
            tar.addfile(entry)
    return gzip.compress(raw.getvalue())


def run(world: World, name: str, **more: Any) -> RunRecord:
    """A run that succeeded, with its archive in the world's bucket."""
    key = f"runs/{name}/output/model.tar.gz"
    world.objects.bodies[key] = tar_gz(model_files(name))
    return record(name, model_uri=f"s3://{BUCKET}/{key}", **more)


def record(name: str, **more: Any) -> RunRecord:
    given: dict[str, Any] = {
        "run_id": name,
        "tracker_run_id": f"tracker-{name}",
        "name": name,
        "experiment": "dogs",
        "status": RunStatus.SUCCEEDED,
        "launcher": "sagemaker",
        "instance_type": "ml.m5.large",
        "hosts": 1,
        "metrics": {"test/top1": 0.9},
        "cost_usd": Decimal("0.01"),
        "cost_basis": Basis.SIMULATED,
        "model_uri": "s3://bucket/model.tar.gz",
        "started_at": NOW,
    }
    return RunRecord(**{**given, **more})


def settings(**more: Any) -> ServingSettings:
    return ServingSettings(**{"app": "dogs", **more})


def handler(folder: Path, remark: str = "") -> FunctionCode:
    """The real handler, with a remark at its end that makes it another one."""
    for path in (ROOT / "lambda").glob("*.py"):
        (folder / path.name).write_bytes(path.read_bytes())
    source = (folder / "handler.py").read_text(encoding="utf-8")
    text = source + (f"# {remark}\n" if remark else "")
    (folder / "handler.py").write_text(text, encoding="utf-8")
    return pack_function(folder)


def means(world: World, *, label: str | None = None, **more: Any) -> Means:
    given: dict[str, Any] = {
        "cloud": world,
        "book": BOOK,
        "holder": "test",
        "report": lambda progress: None,
        "golden": GoldenPhoto(image=PHOTO, label=label),
        "clock": world.moment.clock(),
    }
    return Means(**{**given, **more})


def proposal(
    world: World,
    of: RunRecord,
    how: ServingSettings | None = None,
    code: FunctionCode | None = None,
) -> Proposal:
    ready = prepare(world, of, how or settings(), now=world.moment.now(), code=code)
    return propose(world, ready, book=BOOK)


def promote(
    world: World,
    of: RunRecord,
    how: ServingSettings | None = None,
    code: FunctionCode | None = None,
) -> Applied:
    return apply_proposal(proposal(world, of, how, code), means(world))


def rollback(world: World, to: str | None = None) -> Applied:
    return apply_proposal(propose_rollback(world, "dogs-prod", book=BOOK, to=to), means(world))
