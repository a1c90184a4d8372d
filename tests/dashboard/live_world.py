"""A real localaws with a release that deployment itself made live; only the model is a stand-in."""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from deployment.apply import Means, apply_proposal
from deployment.artifact.function_code import pack_function
from deployment.promote import Prepared, propose
from deployment.release import Release, StoredFile
from deployment.settings import ServingSettings
from deployment.state.desired import function_key, model_key, serving_image
from experiments.aws import Address, Boto3Cloud
from experiments.foundation import Foundation, bucket_calls
from experiments.prices import latest_book
from localaws.server import open_cloud

CLASSES = ("amber_pointer", "basset", "curly_spitz", "dune_hound", "ember_terrier", "fen_setter")
FIRST = "r-20261120-5eed5eed"
_MORE = 250
_SERVER = Path(__file__).with_name("stand_in_model.py")


def draw_photos(home: Path, classes: Sequence[str] = CLASSES, each: int = 2) -> None:
    """Plain test photos, one colour each, where the demo keeps its own."""
    for number, label in enumerate(classes):
        folder = home / ".pedigree" / "demo-data" / "test" / label
        folder.mkdir(parents=True)
        for turn in range(each):
            colour = (40 * number % 255, 90 + 60 * turn, 210 - 30 * number)
            Image.new("RGB", (160, 120), colour).save(folder / f"{label}_{turn}.jpg")


@contextmanager
def cloud_of(home: Path, speed: float = 1.0) -> Iterator[Boto3Cloud]:
    """A localaws that keeps its state where the dashboard of this home looks for it."""
    state = home / ".pedigree" / "cloud"
    command = shlex.join([sys.executable, str(_SERVER)])
    with open_cloud(
        state_dir=state, port=0, serve_command=shlex.split(command), speed=speed
    ) as cloud:
        address = {"url": cloud.url, "pid": 0, "port": int(cloud.url.rsplit(":", 1)[1])}
        (state / "address.json").write_text(json.dumps(address), encoding="utf-8")
        yield Boto3Cloud(Address(name="local", region="us-east-1", endpoint_url=cloud.url))


def model_archive(home: Path, run_id: str = "a1b2c3d4") -> bytes:
    """What the stand-in knows: the classes, and each test photo's own class.

    A whole archive: it passes the integrity gate, and the real serving program serves it by its script.
    """
    photos = sorted((home / ".pedigree" / "demo-data" / "test").glob("*/*.jpg"))
    files = {"model.xml": b"<?xml version='1.0'?><net/>", "model.bin": run_id.encode()}
    manifest = {
        "schema": 1,
        "engine": "openvino-f32",
        "run_id": run_id,
        "temperature": 1.0,
        "transform": {"resize": 32, "crop": 32, "mean": [0.5] * 3, "std": [0.5] * 3},
        "classes": sorted({path.parent.name for path in photos}) or list(CLASSES),
        "photos": {hashlib.sha256(p.read_bytes()).hexdigest(): p.parent.name for p in photos},
        "files": {name: _digest(data) for name, data in files.items()},
    }
    script = Path(__file__).with_name("stand_in_script.py").read_bytes()
    return tar_gz(
        {**files, "pedigree.json": json.dumps(manifest).encode(), "code/inference.py": script}
    )


def tar_gz(files: Mapping[str, bytes]) -> bytes:
    """An archive of these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def lay_foundation(cloud: Boto3Cloud) -> str:
    """Make what runs and releases need of the account; the name of the bucket."""
    foundation = Foundation(account_id=cloud.account_id, region=cloud.region)
    for call in bucket_calls(foundation):
        cloud.perform(call)
    return foundation.bucket


def leave_model(cloud: Boto3Cloud, home: Path, run_id: str, dataset: str) -> str:
    """What a run leaves in the bucket: its archive, what it said of the test photos, and those.

    Returns the archive's URI.
    """
    bucket = lay_foundation(cloud)
    test = home / ".pedigree" / "demo-data" / "test"
    photos = sorted(test.glob("*/*.jpg"))
    said = [
        {"path": f"test/{path.relative_to(test)}", "label": path.parent.name,
         "predicted": path.parent.name, "probability": 0.871}
        for path in photos
    ]  # fmt: skip
    # As many as the significance gate wants to see; none of them is the surest of its class.
    more = [
        {"path": f"test/more/{number}.jpg", "label": photos[0].parent.name,
         "predicted": photos[0].parent.name, "probability": 0.6}
        for number in range(_MORE)
    ]  # fmt: skip
    lines = "\n".join(json.dumps(row) for row in [*said, *more]).encode()
    bodies = {
        f"runs/{run_id}/model.tar.gz": model_archive(home, run_id),
        f"runs/{run_id}/output.tar.gz": tar_gz({"predictions.jsonl": lines}),
        **{
            f"datasets/{dataset.removeprefix('sha256:')[:16]}/{row['path']}": path.read_bytes()
            for row, path in zip(said, photos, strict=True)
        },
    }
    for key, body in bodies.items():
        cloud.ask("s3", "put_object", Bucket=bucket, Key=key, Body=body)
    return f"s3://{bucket}/runs/{run_id}/model.tar.gz"


def make_live(
    cloud: Boto3Cloud,
    home: Path,
    settings: ServingSettings,
    release_id: str = FIRST,
    *,
    source_uri: str = "",
) -> Release:
    """Promote the stand-in: the gates are left out, everything after them is the real thing."""
    lay_foundation(cloud)
    foundation = Foundation(account_id=cloud.account_id, region=cloud.region)
    model, handler = model_archive(home), pack_function()
    digest = _digest(model)
    release = Release(
        release_id=release_id,
        settings=settings,
        run_id="a1b2c3d4",
        tracker_run_id="",
        run_name="one-instance",
        source_uri=source_uri,
        model_digest=digest,
        model=StoredFile(key=model_key(settings, release_id), digest=digest, size_bytes=len(model)),
        function=StoredFile(
            key=function_key(settings, handler.digest),
            digest=handler.digest,
            size_bytes=len(handler.data),
        ),
        image=serving_image(foundation),
        created_at=datetime(2026, 11, 20, 9, 30, tzinfo=UTC),
        metrics={"test/top1": 0.9417},
    )
    bodies = {release.model.key: model, release.function.key: handler.data}
    proposal = propose(cloud, Prepared(release=release, bodies=bodies), book=latest_book())
    means = Means(cloud=cloud, book=latest_book(), holder="tests", report=lambda progress: None)
    apply_proposal(proposal, means)
    return release
