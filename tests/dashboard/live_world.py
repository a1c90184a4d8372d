"""A real localaws with a release that deployment itself made live; only the model is a stand-in."""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import sys
import tarfile
from collections.abc import Iterator, Sequence
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


def model_archive(home: Path) -> bytes:
    """What the stand-in knows: the classes, and each test photo's own class."""
    photos = sorted((home / ".pedigree" / "demo-data" / "test").glob("*/*.jpg"))
    known = {
        "classes": sorted({path.parent.name for path in photos}) or list(CLASSES),
        "photos": {hashlib.sha256(p.read_bytes()).hexdigest(): p.parent.name for p in photos},
    }
    data = json.dumps(known).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        entry = tarfile.TarInfo("answers.json")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def make_live(
    cloud: Boto3Cloud, home: Path, settings: ServingSettings, release_id: str = FIRST
) -> Release:
    """Promote the stand-in: the gates are left out, everything after them is the real thing."""
    foundation = Foundation(account_id=cloud.account_id, region=cloud.region)
    for call in bucket_calls(foundation):
        cloud.perform(call)
    model, handler = model_archive(home), pack_function()
    digest = f"sha256:{hashlib.sha256(model).hexdigest()}"
    release = Release(
        release_id=release_id,
        settings=settings,
        run_id="a1b2c3d4",
        tracker_run_id="",
        run_name="one-instance",
        source_uri="",
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
