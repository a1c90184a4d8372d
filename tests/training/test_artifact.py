"""The artifact is the network that the head was trained on: photo by photo, large photos too."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from serving.models.archive import read_archive
from serving.models.engine import Engine as Server
from serving.preprocess import Transform, load
from tests.training.builders import config, write_photos
from tests.training.crowd import together
from tests.training.engines.nets import SIDE, small
from tests.training.features.test_survey import share_out
from training import export
from training.backbones import Backbone
from training.engines.build import runs_here
from training.engines.engine import Engine
from training.features.artifact import artifact_logits
from training.features.from_photos import features_from_photos
from training.features.survey import Survey, survey_photos
from training.features.table import Features
from training.fit.head import Head, head_logits
from training.fit.progress import Epoch
from training.graph import Floats
from training.hosts.cluster import Cluster
from training.manifest import find_photos
from training.report import Reporter

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
ALONE = Cluster(rank=0, world=1)
TRANSFORM = Transform(resize=SIDE + 8, crop=SIDE, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
LARGE: dict[str, dict[str, Any]] = {
    "valid/blue/large.jpg": {"format": "JPEG", "quality": 90},
    "valid/red/progressive.jpg": {"format": "JPEG", "progressive": True},
}
TOLERANCE = {"f32": 1e-4, "bf16": 0.03, "int8": 0.03}
"""Of the largest logit. The head's product runs in bfloat16 or float32 when served, and in float32
in training; everything before it is the same graph with the same hint."""


def write_large(root: Path) -> None:
    """Photos of 4000 x 3000 pixels with structure at every scale."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 255, (30, 40, 3)).astype(np.uint8)
    fine = rng.integers(0, 60, (750, 1000, 1)).astype(np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    base = np.asarray(Image.fromarray(coarse).resize((4000, 3000)))
    photo = Image.fromarray(np.minimum(base.astype(np.uint16) + fine, 255).astype(np.uint8))
    for path, how in LARGE.items():
        photo.save(root / path, **how)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_photos(tmp_path_factory.mktemp("data") / "photos")
    write_large(root)
    return root


def network() -> Backbone:
    return Backbone(
        name="efficientnet_lite0",
        module=small(),
        width=16,
        transform=TRANSFORM,
        weights_digest="sha256:" + "1" * 64,
    )


def some_head() -> Head:
    rng = np.random.default_rng(3)
    epoch = Epoch(number=1, train_loss=1.0, valid_loss=1.0, valid_calibrated=1.0, valid_top1=0.5)
    weight = rng.normal(size=(3, 16)).astype(np.float32)
    return Head(weight=weight, bias=np.ones(3, np.float32), temperature=1.5, epoch=epoch)


def looked(
    root: Path, place: Path, name: str, cluster: Cluster = ALONE
) -> tuple[Survey, Engine, Features]:
    """The features of one host, computed by the engine."""
    run = config(engine=name, data=root, output_dir=place / "output", cache=str(place / "cache"))
    survey = survey_photos(find_photos(root), run, cluster, threads=1)
    report = Reporter(None, host="a", leads=cluster.leads, stream=io.StringIO(), clock=float)
    engine, features = features_from_photos(
        survey, network(), run, cluster, threads=2, report=report
    )
    return survey, engine, features


def exported(folder: Path, engine: Engine, features: Features) -> Path:
    head, backbone = some_head(), network()
    export.write_model(folder, graph=engine.graph, backbone=backbone, head=head)
    export.write_manifest(
        folder,
        config=config(run_id="run-1"),
        manifest=features.manifest,
        backbone=backbone,
        engine=engine.served,
        head=head,
        metrics={},
    )
    return folder


@pytest.mark.parametrize("name", sorted(TOLERANCE))
def test_serving_answers_what_training_computed(photos: Path, tmp_path: Path, name: str) -> None:
    if not runs_here(name):
        pytest.skip(f"this processor has no {name}")
    _, engine, features = looked(photos, tmp_path, name)
    head = some_head()
    expected = head_logits(features.valid.view(0), head.weight, head.bias)
    archive = read_archive(exported(tmp_path / "model", engine, features))
    assert archive.engine == f"openvino-{name}"
    server = Server(archive, threads=1)
    paths = [photo.path for photo in features.valid.photos]
    assert set(LARGE) < set(paths) and len(paths) == 11
    for path, row in zip(paths, expected, strict=True):
        pixels = load((photos / path).read_bytes(), archive.transform)
        found = server.logits(pixels[None])[0]
        assert np.abs(found - row).max() <= TOLERANCE[name] * np.abs(expected).max(), path


def test_hosts_with_shares_score_the_leader_s_files_as_one_host_does(tmp_path: Path) -> None:
    photos, folder = write_photos(tmp_path / "photos"), tmp_path / "model"

    def score(root: Path, place: Path, host: Cluster) -> Floats:
        survey, engine, features = looked(root, place, "f32", host)
        if host.leads:
            exported(folder, engine, features)
        return artifact_logits(
            folder if host.leads else place / "none",
            hint=engine.hint,
            survey=survey,
            features=features,
            transform=TRANSFORM,
            cluster=host,
            threads=1,
        )

    alone = score(photos, tmp_path / "alone", ALONE)
    folders = share_out(photos, tmp_path / "shares", 2)
    shared = together(2, lambda h: score(folders[h.rank], tmp_path / f"host-{h.rank}", h))
    for found in shared:
        np.testing.assert_allclose(found, alone, atol=1e-5)


def test_another_head_rate_or_batch_finds_the_features_of_the_run_before(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")

    def run(**changes: Any) -> tuple[Features, dict[str, float]]:
        settings = config(
            engine="f32", data=photos, output_dir=tmp_path / "output", cache=str(tmp_path / "kept")
        )
        changed = replace(settings, **changes)
        survey = survey_photos(find_photos(photos), changed, ALONE, threads=1)
        report = Reporter(None, host="a", leads=True, stream=io.StringIO(), clock=float)
        _, features = features_from_photos(
            survey, network(), changed, ALONE, threads=1, report=report
        )
        return features, report.metrics

    first, told = run()
    assert told["cache/computed_images"] == len(first.train) + len(first.valid)
    assert told["time/decode_s"] > 0 and told["time/backbone_s"] > 0
    again, told = run(learning_rate=0.1, batch_size=3, epochs=9, seed=4)
    assert told["cache/computed_images"] == 0
    assert again.train.digest == first.train.digest
    other, told = run(views=2)
    assert told["cache/computed_images"] > 0 and other.train.views == 2
