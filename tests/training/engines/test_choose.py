"""auto: measured on the leading host, followed by all, kept for the next run."""

import json
from pathlib import Path
from typing import Any

import pytest

from serving.preprocess import Transform
from tests.training.builders import write_photos
from tests.training.crowd import together
from tests.training.engines.nets import SIDE, small
from tests.training.features.build import survey
from training.backbones import Backbone
from training.engines.choose import Bench, choose_engine
from training.engines.engine import Engine
from training.hosts.cluster import Cluster

pytestmark = pytest.mark.slow


def bench(photos: Path, cache: Path, host: Cluster, pictures: int) -> Bench:
    transform = Transform(resize=SIDE, crop=SIDE, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    backbone = Backbone(
        name="small", module=small(), width=16, transform=transform, weights_digest="sha256:1"
    )
    return Bench(
        backbone=backbone,
        survey=survey(photos, host),
        cluster=host,
        cache_root=cache,
        threads=1,
        pictures=pictures,
    )


def chosen(photos: Path, cache: Path, pictures: int, world: int = 1) -> list[Engine]:
    return together(world, lambda host: choose_engine("auto", bench(photos, cache, host, pictures)))


def test_few_pictures_are_not_worth_a_measurement(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    (engine,) = chosen(photos, tmp_path / "cache", 10)
    assert engine.name == "f32"
    assert "not tried: bf16" in engine.why and "int8" in engine.why


def test_hosts_follow_the_leader_s_choice_and_keep_it(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    one, other = chosen(photos, tmp_path / "cache", 20_000, world=2)
    assert (one.name, one.why, one.digest) == (other.name, other.why, other.digest)
    assert "images/s" in one.why
    (kept,) = (tmp_path / "cache").glob("engine-*.json")
    content: dict[str, Any] = json.loads(kept.read_text())
    kept.write_text(json.dumps({**content, "name": "torch-f32", "why": "kept"}))
    (again,) = chosen(photos, tmp_path / "cache", 20_000)
    assert (again.name, again.why) == ("torch-f32", "kept")


def test_a_kept_choice_that_cannot_run_here_is_made_again(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    chosen(photos, tmp_path / "cache", 10)
    (kept,) = (tmp_path / "cache").glob("engine-*.json")
    kept.write_text('{"name": "tpu", "why": "kept", "int8_may_pay": false}')
    (engine,) = chosen(photos, tmp_path / "cache", 10)
    assert engine.name == "f32"
