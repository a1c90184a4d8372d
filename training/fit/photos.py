"""Photos as the network's input, for fine-tuning: each host decodes those that it holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from serving.preprocess import Transform, cut, normalise
from training.features.feature_pass import open_photo
from training.features.survey import Survey
from training.features.table import FeatureTable
from training.features.views import KINDS, augmented
from training.fit.sampler import Share
from training.graph import Floats
from training.hosts.cluster import Cluster
from training.measure.basics import Labels


class PhotoRows:
    """The photos of a table, by row. `owners` [N] are the ranks that hold them."""

    def __init__(
        self,
        table: FeatureTable,
        survey: Survey,
        transform: Transform,
        *,
        threads: int,
        augment: str = "none",
        seed: int = 0,
    ) -> None:
        self.labels = table.labels
        self._survey, self._transform = survey, transform
        self._augment, self._seed = augment, seed
        self._pool = ThreadPoolExecutor(threads)
        place = {photo.path: n for n, photo in enumerate(survey.listing.photos)}
        owner = {place: chunk.owner for chunk in survey.chunks for place in chunk.places}
        self._places = [place[photo.path] for photo in table.photos]
        self.owners: Labels | None = np.array([owner[n] for n in self._places], np.int64)

    def mine(self, cluster: Cluster) -> list[int]:
        """The rows that this host holds."""
        return [int(n) for n in np.flatnonzero(self.owners == cluster.rank)]

    def plain(self, row: int) -> Floats:
        """One photo by the transform that serving applies, [3, crop, crop]."""
        image = open_photo(self._survey, self._places[row], self._transform)
        pixels: Floats = normalise(cut(image, self._transform), self._transform)
        return pixels

    def plain_many(self, rows: Sequence[int]) -> list[Floats]:
        """`plain` of several, on several threads."""
        return list(self._pool.map(self.plain, rows))

    def stream(self, shares: Iterable[Share], epoch: int) -> Iterator[tuple[Share, torch.Tensor]]:
        """Augmented photos, [n, 3, crop, crop]; the next batch is decoded while one is learnt."""
        waiting: list[tuple[Share, list[Future[Floats]]]] = []
        for share in shares:
            rows = [int(row) for row in share.rows] if share.counts else []
            waiting.append((share, [self._pool.submit(self._varied, r, epoch) for r in rows]))
            if len(waiting) > 1:
                yield self._ready(*waiting.pop(0))
        for share, futures in waiting:
            yield self._ready(share, futures)

    def _ready(self, share: Share, futures: list[Future[Floats]]) -> tuple[Share, torch.Tensor]:
        side = self._transform.crop
        pixels = [future.result() for future in futures] or [np.zeros((3, side, side), np.float32)]
        return share, torch.from_numpy(np.stack(pixels))

    def _varied(self, row: int, epoch: int) -> Floats:
        if self._augment not in KINDS:
            return self.plain(row)
        image = open_photo(self._survey, self._places[row], self._transform)
        chance = np.random.default_rng((self._seed, epoch, row))
        pixels: Floats = normalise(
            augmented(image, self._transform, self._augment, chance), self._transform
        )
        return pixels


def gather_rows(rows: Sequence[int], values: Floats, total: int, cluster: Cluster) -> Floats:
    """[total, K] on every host, of the rows that each computed: `values` [len(rows), K]."""
    head = json.dumps([list(rows), int(values.shape[1])]).encode() + b"\n"
    parts = [
        part.partition(b"\n") for part in cluster.gather(head + values.astype(np.float32).tobytes())
    ]
    shapes = [json.loads(text) for text, _, _ in parts]
    whole: Floats = np.zeros((total, max(width for _, width in shapes)), np.float32)
    for (places, width), (_, _, raw) in zip(shapes, parts, strict=True):
        whole[places] = np.frombuffer(raw, np.float32).reshape(len(places), width)
    return whole
