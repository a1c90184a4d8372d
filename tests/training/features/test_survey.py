"""Hosts with all photos or with shares of them come to the same list, order and digest."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.builders import config, write_photos
from tests.training.crowd import together
from training.errors import ClusterError, DataError
from training.features.survey import Survey, plan_chunks, survey_photos
from training.hosts.cluster import Cluster
from training.manifest import Listing, find_photos, list_photos, listing_of, scan

ALONE = Cluster(rank=0, world=1)


def share_out(root: Path, to: Path, hosts: int) -> list[Path]:
    """What ShardedByS3Key gives: every file to one host; not by class, not by split."""
    folders = [to / f"host-{rank}" for rank in range(hosts)]
    for number, photo in enumerate(list_photos(root).photos):
        target = folders[number % hosts] / photo.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / photo.path, target)
    return folders


def surveyed(listings: list[Listing], **settings_: object) -> list[Survey]:
    run = config(**settings_)
    return together(
        len(listings), lambda host: survey_photos(listings[host.rank], run, host, threads=1)
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", counts={"train": 5, "valid": 2, "test": 2})


def test_one_host_finds_the_digest_that_the_launcher_computed(photos: Path) -> None:
    survey = survey_photos(list_photos(photos), config(), ALONE, threads=2)
    assert survey.digest == scan(photos, max_unreadable_fraction=0).digest
    assert not survey.sharded


def test_hosts_with_shares_agree_with_one_host_that_has_everything(
    photos: Path, tmp_path: Path
) -> None:
    alone = survey_photos(list_photos(photos), config(), ALONE, threads=2)
    folders = share_out(photos, tmp_path, 3)
    shared = surveyed([find_photos(folder) for folder in folders])
    for rank, survey in enumerate(shared):
        assert survey.sharded and survey.listing.root == folders[rank]
        assert survey.digest == alone.digest and survey.inspections == alone.inspections
        assert survey.listing.photos == alone.listing.photos
        assert survey.listing.classes == ("blue", "green", "red")
        assert survey.chunks == shared[0].chunks
        for chunk in survey.chunks:
            paths = [survey.listing.photos[place].path for place in chunk.places]
            assert all((folders[chunk.owner] / path).is_file() for path in paths)


def test_hosts_that_all_hold_everything_share_the_reading(photos: Path) -> None:
    listing = list_photos(photos)
    one, other = surveyed([listing, listing])
    assert one == other and not one.sharded
    assert {chunk.owner for chunk in one.chunks} == {0, 1}


def test_a_host_without_any_photo_takes_part(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = surveyed([list_photos(photos), find_photos(tmp_path / "empty")])
    assert found[0].digest == found[1].digest == scan(photos, max_unreadable_fraction=0).digest


def test_hosts_with_overlapping_shares_are_refused(photos: Path) -> None:
    whole = list_photos(photos)
    part = listing_of(photos, [photo.path for photo in whole.photos[:5]])
    with pytest.raises(ClusterError, match="ShardedByS3Key"):
        surveyed([whole, part])


def test_a_share_that_did_not_arrive_is_noticed_by_the_digest(photos: Path, tmp_path: Path) -> None:
    digest = scan(photos, max_unreadable_fraction=0).digest
    folders = share_out(photos, tmp_path, 2)
    next(folders[1].rglob("test/*/*.jpg")).unlink()
    with pytest.raises(DataError, match="has not got all of it"):
        surveyed([find_photos(folder) for folder in folders], dataset_digest=digest)


def test_what_a_header_shows_is_refused_before_anything_is_decoded(photos: Path) -> None:
    for path in sorted(photos.rglob("*.jpg"))[:3]:
        path.write_bytes(b"no photo at all")
    with pytest.raises(DataError, match=r"3 of 27 photos cannot be read.*unsupported_format"):
        survey_photos(list_photos(photos), config(), ALONE, threads=1)


@given(counts=st.tuples(*[st.integers(0, 40)] * 3), world=st.integers(1, 5), shared=st.booleans())
@settings(deadline=None)
def test_every_photo_is_in_one_chunk_of_one_split(
    counts: tuple[int, int, int], world: int, shared: bool
) -> None:
    paths = [
        f"{split}/a/{number}.jpg"
        for split, count in zip(("train", "valid", "test"), counts, strict=True)
        for number in range(count)
    ]
    listing = listing_of(Path(), paths)
    owners = [number % world for number in range(len(paths))] if shared else None
    chunks = plan_chunks(listing, owners, world)
    places = [place for chunk in chunks for place in chunk.places]
    assert sorted(places) == list(range(len(paths)))
    for chunk in chunks:
        assert {listing.photos[place].split for place in chunk.places} == {chunk.split}
        assert 0 <= chunk.owner < world
        assert owners is None or {owners[place] for place in chunk.places} == {chunk.owner}
