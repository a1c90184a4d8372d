"""What all hosts together hold, before a pixel is decoded: every photo, its digest, and who reads it.

The hosts see either all of the photos each (FullyReplicated) or disjoint shares (ShardedByS3Key);
which of the two is found out here. Classes, order and digest are those of the whole, never of a
host's own folders.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from serving.preprocess import DEFAULT_LIMITS, ImageError, check_header
from training.config import TrainConfig
from training.errors import ClusterError, DataError
from training.hosts.cluster import Cluster
from training.manifest import (
    SPLITS,
    Inspection,
    Listing,
    Manifest,
    assemble,
    check_classes,
    check_unreadable,
    dataset_digest,
    listing_of,
)

_LARGEST_CHUNK: Final = 256
_CHUNKS_PER_HOST: Final = 8


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Photos that are computed and saved together, by their places in the listing; one split's."""

    owner: int
    split: str
    places: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Survey:
    """The same on every host. `inspections` has one entry for each photo of `listing`; its faults
    are those that a header shows. `chunks` hold every photo once."""

    listing: Listing
    inspections: tuple[Inspection, ...]
    chunks: tuple[Chunk, ...]
    sharded: bool
    digest: str

    def manifest(self, faults: Mapping[int, str], *, max_unreadable_fraction: float) -> Manifest:
        """The readable photos, now that decoding has found more faults, by place. Raises DataError."""
        found = [
            Inspection(sha256=seen.sha256, fault=seen.fault or faults.get(place, ""))
            for place, seen in enumerate(self.inspections)
        ]
        return assemble(self.listing, found, max_unreadable_fraction=max_unreadable_fraction)


def survey_photos(listing: Listing, config: TrainConfig, cluster: Cluster, threads: int) -> Survey:
    """Put the hosts' listings together and hash every photo once, on the host that will read it.

    Raises DataError for data that cannot be trained on, or that is not what the run was launched
    for; ClusterError if hosts hold neither the same photos nor disjoint ones.
    """
    whole, owners = _meet(listing, cluster)
    check_classes(whole)
    chunks = plan_chunks(whole, owners, cluster.world)
    mine = [p for chunk in chunks if chunk.owner == cluster.rank for p in chunk.places]
    with ThreadPoolExecutor(threads) as pool:
        seen = pool.map(lambda p: identify(listing.root, whole.photos[p].path), mine)
        answer = [[p, i.sha256, i.fault] for p, i in zip(mine, seen, strict=True)]
    rows = sorted(row for part in _exchange(answer, cluster) for row in part)
    inspections = tuple(Inspection(sha256=sha256, fault=fault) for _, sha256, fault in rows)
    survey = Survey(
        listing=whole,
        inspections=inspections,
        chunks=chunks,
        sharded=owners is not None,
        digest=dataset_digest(
            (photo.path, i.sha256) for photo, i in zip(whole.photos, inspections, strict=True)
        ),
    )
    _check(survey, config)
    return survey


def identify(root: Path, path: str) -> Inspection:
    """Hash one file and look at its header; never raises for what is wrong with it."""
    total = hashlib.sha256()
    try:
        with (root / path).open("rb") as stream:
            data = stream.read(DEFAULT_LIMITS.max_bytes + 1)
            total.update(data)
            while more := stream.read(1 << 20):
                total.update(more)
        check_header(data)
    except ImageError as error:
        return Inspection(sha256=total.hexdigest(), fault=f"{error.code}: {error.message}")
    except OSError as error:
        return Inspection(sha256=hashlib.sha256().hexdigest(), fault=f"unreadable: {error}")
    return Inspection(sha256=total.hexdigest())


def plan_chunks(listing: Listing, owners: Sequence[int] | None, world: int) -> tuple[Chunk, ...]:
    """Every photo in one chunk. `owners` names each photo's host; None deals the chunks out."""
    chunks: list[Chunk] = []
    for split in SPLITS:
        places = [p for p, photo in enumerate(listing.photos) if photo.split == split]
        size = max(1, min(_LARGEST_CHUNK, -(-len(places) // (_CHUNKS_PER_HOST * world))))
        for rank in range(world) if owners is not None else (None,):
            own = places if owners is None else [p for p in places if owners[p] == rank]
            for start in range(0, len(own), size):
                owner = len(chunks) % world if rank is None else rank
                part = tuple(own[start : start + size])
                chunks.append(Chunk(owner=owner, split=split, places=part))
    return tuple(chunks)


def _meet(listing: Listing, cluster: Cluster) -> tuple[Listing, list[int] | None]:
    """The whole listing, and each photo's only holder; None if every host holds everything."""
    mine = {"photos": [photo.path for photo in listing.photos], "skipped": list(listing.skipped)}
    answers = _exchange(mine, cluster)
    if all(answer["photos"] == answers[0]["photos"] for answer in answers):
        return listing, None
    holder: dict[str, int] = {}
    for rank, answer in enumerate(answers):
        for path in answer["photos"]:
            if holder.setdefault(path, rank) != rank:
                raise ClusterError(
                    f"hosts {holder[path]} and {rank} both hold {path}, yet not the same photos",
                    fix="give every host all of the data (FullyReplicated), or each photo to one"
                    " host (ShardedByS3Key)",
                )
    skipped = {path for answer in answers for path in answer["skipped"]}
    whole = listing_of(listing.root, holder, skipped)
    return whole, [holder[photo.path] for photo in whole.photos]


def _exchange(mine: object, cluster: Cluster) -> list[Any]:
    packed = zlib.compress(json.dumps(mine).encode(), 1)
    return [json.loads(zlib.decompress(part)) for part in cluster.gather(packed)]


def _check(survey: Survey, config: TrainConfig) -> None:
    if config.dataset_digest and survey.digest != config.dataset_digest:
        raise DataError(
            f"the photos hash to {survey.digest}, the run was launched for {config.dataset_digest}",
            fix="launch the run again: the data changed in between, or a host has not got all of it",
        )
    pairs = zip(survey.listing.photos, survey.inspections, strict=True)
    unreadable = [(photo.path, seen.fault) for photo, seen in pairs if seen.fault]
    check_unreadable(unreadable, len(survey.listing.photos), config.max_unreadable_fraction)
