"""The feature pass: once for each photo, resumed after a kill, healed after damage, alike on hosts."""

from pathlib import Path

import numpy as np
import pytest

from serving.preprocess import load
from tests.training.builders import write_photos
from tests.training.crowd import together
from tests.training.features.build import TRANSFORM, Network, features
from tests.training.features.test_survey import share_out
from training.errors import DataError
from training.features.table import Features

COUNTS = {"train": 7, "valid": 3, "test": 2}
TRAIN_AND_VALID = 3 * (COUNTS["train"] + COUNTS["valid"])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", counts=COUNTS)


def files(place: Path, pattern: str) -> list[Path]:
    return sorted(place.rglob(pattern))


def test_each_photo_goes_through_the_network_once_and_a_second_run_not_at_all(
    photos: Path, tmp_path: Path
) -> None:
    network = Network()
    first = features(photos, tmp_path / "cache", network)
    assert network.pictures == first.spent.pictures == TRAIN_AND_VALID
    second = features(photos, tmp_path / "cache", network)
    assert network.pictures == TRAIN_AND_VALID and second.spent.photos == 0
    assert (first.train.digest, first.valid.digest) == (second.train.digest, second.valid.digest)
    np.testing.assert_array_equal(first.train.features, second.train.features)
    assert second.manifest == first.manifest and second.test == first.test


def test_rows_are_those_of_the_photos_as_serving_sees_them(photos: Path, tmp_path: Path) -> None:
    found = features(photos, tmp_path / "cache", Network())
    for table, split in ((found.train, "train"), (found.valid, "valid")):
        assert table.photos == found.manifest.of(split) and table.views == 1
        assert isinstance(table.features, np.memmap)
        for row, photo in enumerate(table.photos):
            pixels = load((photos / photo.path).read_bytes(), TRANSFORM)
            np.testing.assert_allclose(table.view(0)[row], Network()(pixels[None])[0], atol=1e-6)
            assert found.manifest.classes[table.labels[row]] == photo.label


def test_a_pass_that_was_killed_goes_on_where_it_stopped(photos: Path, tmp_path: Path) -> None:
    whole = features(photos, tmp_path / "other", Network())
    with pytest.raises(KeyboardInterrupt):
        features(photos, tmp_path / "cache", Network(fail_after=17))
    saved = files(tmp_path / "cache", "*.chunk")
    assert saved and not files(tmp_path / "cache", "*.table")
    network = Network()
    resumed = features(photos, tmp_path / "cache", network)
    assert 0 < network.pictures < TRAIN_AND_VALID
    assert resumed.train.digest == whole.train.digest
    assert resumed.valid.digest == whole.valid.digest
    assert not files(tmp_path / "cache", "*.chunk")


@pytest.mark.parametrize("pattern", ["train.table", "*.chunk"])
def test_damage_is_noticed_told_and_healed(photos: Path, tmp_path: Path, pattern: str) -> None:
    place = tmp_path / "cache"
    whole = features(photos, tmp_path / "other", Network())
    if pattern == "*.chunk":
        with pytest.raises(KeyboardInterrupt):
            features(photos, place, Network(fail_after=17))
    else:
        features(photos, place, Network())
    victim = files(place, pattern)[0]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 255
    victim.write_bytes(data)
    healed = features(photos, place, Network())
    assert healed.damaged == (victim.name,)
    assert healed.train.digest == whole.train.digest


def test_a_photo_that_cannot_be_decoded_is_left_out_and_named(photos: Path, tmp_path: Path) -> None:
    victim = photos / "train/green/003.jpg"
    victim.write_bytes(victim.read_bytes()[:600])
    for _ in range(2):  # the second time from the cache
        found = features(photos, tmp_path / "cache", Network(), allowed=0.1)
        assert [path for path, _ in found.manifest.unreadable] == ["train/green/003.jpg"]
        assert len(found.train) == len(found.manifest.of("train")) == 20
        assert found.train.features.any(axis=(1, 2)).all()


def test_too_many_broken_photos_end_the_pass_before_the_network_sees_all(
    photos: Path, tmp_path: Path
) -> None:
    for path in sorted((photos / "test").rglob("*.jpg")):
        path.write_bytes(path.read_bytes()[:600])
    network = Network()
    with pytest.raises(DataError, match=r"of 36 photos cannot be read, 1.00% are allowed"):
        features(photos, tmp_path / "cache", network)
    assert network.pictures < TRAIN_AND_VALID


def test_features_that_are_not_finite_are_refused_by_name(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"valid/blue/\d+\.jpg are not finite"):
        features(photos, tmp_path / "cache", lambda batch: np.full((len(batch), 6), np.nan, "f4"))


def test_a_photo_that_changes_after_it_was_hashed_is_named(photos: Path, tmp_path: Path) -> None:
    victim = photos / "train/blue/000.jpg"

    class Meddler(Network):
        def __call__(self, batch: object) -> object:  # type: ignore[override]
            victim.write_bytes(b"another")
            return super().__call__(batch)  # type: ignore[arg-type]

    with pytest.raises(DataError, match=r"train/blue/000\.jpg could be read before"):
        features(photos, tmp_path / "cache", Meddler())


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("sharded", [False, True])
def test_hosts_compute_each_photo_once_and_all_get_the_tables_of_one(
    photos: Path, tmp_path: Path, world: int, sharded: bool
) -> None:
    alone = features(photos, tmp_path / "alone", Network())
    folders = share_out(photos, tmp_path / "shares", world) if sharded else [photos] * world
    networks = [Network() for _ in range(world)]
    places = [tmp_path / f"cache-{rank}" for rank in range(world)]
    found: list[Features] = together(
        world,
        lambda host: features(folders[host.rank], places[host.rank], networks[host.rank], host),
    )
    assert sum(network.pictures for network in networks) == TRAIN_AND_VALID
    assert all(network.pictures > 0 for network in networks)
    for one in found:
        np.testing.assert_allclose(one.train.features, alone.train.features, atol=1e-6)
        np.testing.assert_array_equal(one.train.labels, alone.train.labels)
        assert one.train.photos == alone.train.photos and one.test == alone.test
        assert one.train.digest == found[0].train.digest


def test_a_host_that_lost_its_cache_gets_the_others_rows(photos: Path, tmp_path: Path) -> None:
    places = [tmp_path / "cache-0", tmp_path / "cache-1"]
    first = together(2, lambda host: features(photos, places[host.rank], Network(), host))
    for path in files(places[1], "*.table"):
        path.unlink()
    networks = [Network(), Network()]
    again = together(2, lambda host: features(photos, places[host.rank], networks[host.rank], host))
    assert networks[0].pictures == 0 and networks[1].pictures > 0
    assert again[1].train.digest == first[1].train.digest


def test_views_are_kept_apart_from_the_plain_photo_and_from_other_seeds(
    photos: Path, tmp_path: Path
) -> None:
    plain = features(photos, tmp_path / "cache", Network())
    three = features(photos, tmp_path / "cache", Network(), views=3, seed=5)
    other = features(photos, tmp_path / "cache", Network(), views=3, seed=6)
    again = features(photos, tmp_path / "fresh", Network(), views=3, seed=5)
    assert three.train.features.shape == (21, 3, 6) and three.valid.views == 1
    np.testing.assert_allclose(three.train.view(0), plain.train.view(0), atol=1e-6)
    assert (three.train.view(1) != three.train.view(2)).any()
    assert (three.train.view(1) != other.train.view(1)).any()
    assert again.train.digest == three.train.digest
