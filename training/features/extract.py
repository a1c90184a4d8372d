"""One pass over the photos: each is decoded and goes through the network once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from serving.preprocess import ImageError, Transform, load
from training.errors import DataError
from training.graph import Floats, Network
from training.hosts.cluster import Cluster
from training.manifest import Photo


def extract(
    photos: Sequence[Photo], root: Path, *, transform: Transform, network: Network, threads: int
) -> Floats:
    """The network's output for each photo, in order: float32 [len(photos), K].

    Each thread decodes and computes, so that decoding hides behind computing. Raises DataError for
    a photo that changed since it was inspected.
    """

    def one(photo: Photo) -> Floats:
        try:
            pixels = load((root / photo.path).read_bytes(), transform)
        except (ImageError, OSError) as error:
            raise DataError(
                f"{photo.path} could be read before and now cannot: {error}",
                fix="leave the data folder alone while a run reads it",
            ) from error
        row: Floats = network(pixels[None])[0]
        return row

    with ThreadPoolExecutor(threads) as pool:
        rows = list(pool.map(one, photos))
    return np.stack(rows) if rows else np.empty((0, 0), np.float32)


def extract_shared(
    photos: Sequence[Photo],
    root: Path,
    *,
    transform: Transform,
    network: Network,
    threads: int,
    cluster: Cluster,
) -> Floats:
    """`extract` with the photos shared out over the hosts; every host gets all rows, in order."""
    mine = extract(
        cluster.shard(photos), root, transform=transform, network=network, threads=threads
    )
    parts = [np.frombuffer(part, np.float32) for part in cluster.gather(mine.tobytes())]
    rows: Floats = np.empty((len(photos), sum(map(len, parts)) // len(photos)), np.float32)
    for rank, part in enumerate(parts):
        rows[rank :: cluster.world] = part.reshape(-1, rows.shape[1])
    if not np.isfinite(rows).all():
        worst = photos[int(np.argmin(np.isfinite(rows).all(axis=1)))]
        raise DataError(
            f"the backbone's features of {worst.path} are not finite numbers",
            fix="check the weights: they may be damaged or of another network",
        )
    return rows
