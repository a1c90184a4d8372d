"""Features of all photos on all hosts: computed in parallel, gathered, and the same everywhere."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

import numpy as np

from training.features.array_file import ArrayFile, ArrayWriter
from training.features.cache import FeatureCache, Rows, empty_rows, faults_of, places_of
from training.features.feature_pass import FeaturePass, Lens
from training.features.survey import Chunk, Survey
from training.features.table import Features, FeatureTable
from training.graph import Floats
from training.hosts.cluster import Cluster
from training.manifest import SPLITS, Manifest


def compute_features(
    survey: Survey,
    lens: Lens,
    cache: FeatureCache,
    cluster: Cluster,
    *,
    threads: int,
    max_unreadable_fraction: float,
) -> Features:
    """The tables of train and valid, from the cache or by one pass over this host's photos.

    Every host returns the same tables. Raises DataError on all hosts when too many photos cannot be
    decoded, as soon as a host has met that many.
    """
    with _alone(cache, cluster):
        tables = _tables(cache)
        done = FeaturePass(survey, lens, threads=threads)
        if not _all(cluster, tables is not None):
            if tables is not None:
                _split_again(survey, cache, cluster.rank, tables)
            faults = _faults(done, survey, cache, cluster, max_unreadable_fraction)
            survey.manifest(faults, max_unreadable_fraction=max_unreadable_fraction)
            _assemble(survey, lens, cache, cluster, faults)
            tables = _tables(cache)
            if _all(cluster, tables is not None):
                cache.drop_chunks()
    if tables is None:
        raise OSError(f"the features in {cache.folder} cannot be read back after writing")
    faults = {
        place: text for file in tables.values() for place, text in faults_of(file.about).items()
    }
    manifest = survey.manifest(faults, max_unreadable_fraction=max_unreadable_fraction)
    return Features(
        manifest=manifest,
        train=_table(manifest, "train", tables),
        valid=_table(manifest, "valid", tables),
        test=tuple(places_of(survey, "test", _all_faults(survey, faults))),
        spent=done.spent,
        kept=done.kept,
        damaged=tuple(cache.damaged),
    )


@contextmanager
def _alone(cache: FeatureCache, cluster: Cluster) -> Iterator[None]:
    """Of two runs with the same key the second waits, and finds the first one's work."""
    cache.folder.mkdir(parents=True, exist_ok=True)
    with (cache.folder / f"rank-{cluster.rank}-of-{cluster.world}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _tables(cache: FeatureCache) -> dict[str, ArrayFile] | None:
    """All splits' files, or None if one is missing."""
    found = {split: cache.table(split) for split in SPLITS}
    whole = {split: file for split, file in found.items() if file is not None}
    return whole if len(whole) == len(found) else None


def _all(cluster: Cluster, here: bool) -> bool:
    return all(answer == b"1" for answer in cluster.gather(b"1" if here else b"0"))


def _mine(survey: Survey, rank: int) -> list[Chunk]:
    """A host's chunks, test first: what only needs decoding can refuse the data soonest."""
    own = [chunk for chunk in survey.chunks if chunk.owner == rank]
    return sorted(own, key=lambda chunk: SPLITS.index(chunk.split), reverse=True)


def _faults(
    work: FeaturePass,
    survey: Survey,
    cache: FeatureCache,
    cluster: Cluster,
    allowed_fraction: float,
) -> dict[int, str]:
    """Run this host's part of the pass; returns what no host could decode, by place.

    The pass ends early once this host alone has met too many; the others learn of it here.
    """
    found: dict[int, str] = {}
    with closing(work.chunks(_mine(survey, cluster.rank), cache)) as chunks:
        for _, rows in chunks:
            found.update(rows.faults)
            if len(found) > allowed_fraction * len(survey.inspections):
                break
    answers = cluster.gather(json.dumps(found).encode())
    merged = {int(p): text for part in answers for p, text in json.loads(part).items()}
    return _all_faults(survey, merged)


def _all_faults(survey: Survey, faults: Mapping[int, str]) -> dict[int, str]:
    """Those of decoding and those that headers showed."""
    shown = {place: seen.fault for place, seen in enumerate(survey.inspections) if seen.fault}
    return {**faults, **shown}


def _assemble(
    survey: Survey, lens: Lens, cache: FeatureCache, cluster: Cluster, faults: Mapping[int, str]
) -> None:
    """Put every host's chunks together in each split's file; one chunk of each host at a time."""
    writers: dict[str, ArrayWriter] = {}
    row_of: dict[int, int] = {}
    for split in SPLITS:
        places = places_of(survey, split, faults)
        row_of.update({place: row for row, place in enumerate(places)})
        shape = (0, 0) if split == "test" else (lens.views_of(split), lens.width)
        writers[split] = cache.table_writer(split, (len(places), *shape))
    queues = [
        [chunk for chunk in _mine(survey, rank) if chunk.split != "test"]
        for rank in range(cluster.world)
    ]
    for turn in range(max(map(len, queues))):
        current = [queue[turn] if turn < len(queue) else None for queue in queues]
        mine = current[cluster.rank]
        answers = cluster.gather(_bytes_of(mine, survey, cache) if mine else b"")
        for chunk, data in zip(current, answers, strict=True):
            if chunk is not None:
                _place(chunk, data, lens, row_of, writers[chunk.split].array)
    for split, writer in writers.items():
        of_split = {
            str(place): text
            for place, text in sorted(faults.items())
            if survey.listing.photos[place].split == split
        }
        writer.finish({"faults": of_split})


def _bytes_of(chunk: Chunk, survey: Survey, cache: FeatureCache) -> bytes:
    rows = cache.chunk(chunk, survey)
    if rows is None:
        raise OSError(f"a chunk in {cache.folder} cannot be read back after writing")
    return rows.features.tobytes()


def _place(chunk: Chunk, data: bytes, lens: Lens, row_of: Mapping[int, int], table: Floats) -> None:
    shape = (len(chunk.places), lens.views_of(chunk.split), lens.width)
    rows = np.frombuffer(data, np.float32).reshape(shape)
    readable = [i for i, place in enumerate(chunk.places) if place in row_of]
    table[[row_of[chunk.places[i]] for i in readable]] = rows[readable]


def _split_again(
    survey: Survey, cache: FeatureCache, rank: int, tables: Mapping[str, ArrayFile]
) -> None:
    """Make this host's chunks of its finished tables, for hosts that have lost theirs."""
    for chunk in _mine(survey, rank):
        file = tables[chunk.split]
        faults = faults_of(file.about)
        row_of = {p: row for row, p in enumerate(places_of(survey, chunk.split, faults))}
        rows = empty_rows(len(chunk.places), *file.array.shape[1:])
        for i, place in enumerate(chunk.places):
            if place in row_of and rows.size:
                rows[i] = file.array[row_of[place]]
        own = {place: faults[place] for place in chunk.places if place in faults}
        cache.save_chunk(chunk, survey, Rows(features=rows, faults=own))


def _table(manifest: Manifest, split: str, tables: Mapping[str, ArrayFile]) -> FeatureTable:
    photos = manifest.of(split)
    number = {name: i for i, name in enumerate(manifest.classes)}
    return FeatureTable(
        features=tables[split].array,
        labels=np.array([number[photo.label] for photo in photos], np.int64),
        photos=photos,
        digest=tables[split].digest,
    )
