"""OpenVINO's graph computes what torch computes, with and without the head, from memory and from disk."""

from pathlib import Path

import numpy as np
import pytest
import torch

from serving.preprocess import Transform, load
from tests.training.builders import write_photos
from training.errors import DataError
from training.features import extract, extract_shared
from training.graph import Floats, Network, add_head, convert, on_openvino, on_torch, save
from training.hosts.cluster import Cluster
from training.manifest import Photo, list_photos

pytestmark = pytest.mark.slow

TRANSFORM = Transform(resize=40, crop=32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


@pytest.fixture(scope="module")
def small() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
    ).eval()


def pixels(seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=(1, 3, 32, 32)).astype(np.float32)


def test_both_engines_give_the_same_features(small: torch.nn.Module) -> None:
    one, other = on_openvino(convert(small, 32), threads=1), on_torch(small)
    for seed in range(3):
        np.testing.assert_allclose(one(pixels(seed)), other(pixels(seed)), atol=1e-5)


def test_the_head_is_joined_to_the_graph_and_survives_the_disk(
    small: torch.nn.Module, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    weight, bias = rng.normal(size=(5, 8)).astype(np.float32), rng.normal(size=5).astype(np.float32)
    graph = convert(small, 32)
    save(add_head(graph, weight, bias), tmp_path / "model.xml")
    features = on_openvino(graph, threads=1)(pixels())
    logits = on_openvino(tmp_path / "model.xml", threads=1)(pixels())
    np.testing.assert_allclose(logits, features @ weight.T + bias, atol=1e-5)


def test_the_exported_graph_has_the_agreed_names_and_takes_any_batch(
    small: torch.nn.Module, tmp_path: Path
) -> None:
    import openvino as ov

    whole = add_head(convert(small, 32), np.zeros((5, 8), np.float32), np.zeros(5, np.float32))
    save(whole, tmp_path / "model.xml")
    read = ov.Core().read_model(tmp_path / "model.xml")
    assert read.input(0).get_names() == {"image"} and read.output(0).get_names() == {"logits"}
    assert str(read.input(0).partial_shape) == "[?,3,32,32]"
    answer = ov.Core().compile_model(read, "CPU")({"image": np.zeros((4, 3, 32, 32), np.float32)})
    assert answer["logits"].shape == (4, 5)


def channel_means(batch: Floats) -> Floats:
    means: Floats = batch.mean(axis=(2, 3))
    return means


def test_features_come_in_the_order_of_the_photos(tmp_path: Path) -> None:
    root = write_photos(tmp_path)
    photos = list_photos(root).photos
    rows = extract(photos, root, transform=TRANSFORM, network=channel_means, threads=3)
    expected = [load((root / p.path).read_bytes(), TRANSFORM).mean(axis=(1, 2)) for p in photos]
    np.testing.assert_allclose(rows, expected, atol=1e-6)


def test_hosts_share_the_photos_and_all_get_all_rows(tmp_path: Path) -> None:
    root = write_photos(tmp_path, counts={"train": 2, "valid": 1, "test": 1})
    photos = list_photos(root).photos[:7]
    alone = extract(photos, root, transform=TRANSFORM, network=channel_means, threads=1)

    class Pair(Cluster):
        """This host is the second of two; the other's answer is computed on the spot."""

        def gather(self, data: bytes) -> list[bytes]:
            first = Cluster(rank=0, world=2).shard(photos)
            other = extract(first, root, transform=TRANSFORM, network=channel_means, threads=1)
            return [other.tobytes(), data]

    rows = extract_shared(
        photos,
        root,
        transform=TRANSFORM,
        network=channel_means,
        threads=1,
        cluster=Pair(rank=1, world=2),
    )
    np.testing.assert_array_equal(rows, alone)


def shared_rows(root: Path, photos: tuple[Photo, ...], network: Network) -> Floats:
    return extract_shared(
        photos,
        root,
        transform=TRANSFORM,
        network=network,
        threads=1,
        cluster=Cluster(rank=0, world=1),
    )


def test_features_that_are_not_finite_are_refused_by_name(tmp_path: Path) -> None:
    root = write_photos(tmp_path)
    photos = list_photos(root).photos

    def broken(batch: Floats) -> Floats:
        return np.full((1, 3), np.nan, np.float32)

    with pytest.raises(DataError, match=photos[0].path):
        shared_rows(root, photos, broken)


def test_a_photo_that_vanishes_in_between_is_named(tmp_path: Path) -> None:
    root = write_photos(tmp_path)
    photos = list_photos(root).photos
    (root / photos[3].path).unlink()
    with pytest.raises(DataError, match=photos[3].path):
        shared_rows(root, photos, channel_means)
