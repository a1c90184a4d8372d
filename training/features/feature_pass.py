"""The pass itself: each photo is read, decoded and put through the network once, in chunks.

Each thread decodes a few photos and then runs the network on them, so that decoding hides behind
computing; a chunk that is whole goes to the cache, and a pass that was killed goes on after it.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from PIL import Image

from serving.preprocess import ImageError, Transform, cut, decode, normalise
from training.errors import DataError
from training.features.cache import FeatureCache, Rows, empty_rows
from training.features.survey import Chunk, Survey
from training.features.views import augmented, view_chance
from training.graph import Floats, Network

_KEPT_BYTES: Final = 512_000_000
_TOGETHER: Final = 64


@dataclass(frozen=True, kw_only=True)
class Lens:
    """How photos are looked at. `batch` is the most pictures in one call of the network; `width`
    is D; `seed` and `augment` (one of views.KINDS) shape views 1 and up of the train split."""

    transform: Transform
    network: Network
    batch: int
    width: int
    views: int = 1
    augment: str = "trivialaugment"
    seed: int = 0

    def views_of(self, split: str) -> int:
        """Only train is augmented."""
        return self.views if split == "train" else 1


@dataclass
class Spent:
    """Seconds of this host's threads, and pictures through the network."""

    decode_s: float = 0.0
    backbone_s: float = 0.0
    pictures: int = 0
    photos: int = 0

    def add(self, other: Spent) -> None:
        self.decode_s += other.decode_s
        self.backbone_s += other.backbone_s
        self.pictures += other.pictures
        self.photos += other.photos


@dataclass
class KeptSquares:
    """The decoded squares of test photos, so that scoring the artifact decodes nothing again.

    Up to half a gigabyte; photos beyond it are decoded a second time.
    """

    squares: dict[int, Image.Image] = field(default_factory=dict)
    _bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, place: int, square: Image.Image) -> None:
        """Hold on to it if there is room. Safe from several threads."""
        size = 4 * square.width * square.height
        with self._lock:
            if self._bytes + size <= _KEPT_BYTES:
                self._bytes += size
                self.squares[place] = square


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What one thread did: rows [n, V, D] and faults by place."""

    rows: Floats
    faults: Mapping[int, str]
    spent: Spent


def read_square(survey: Survey, place: int, transform: Transform) -> Image.Image:
    """A photo's middle square by way of `open_photo`."""
    return cut(open_photo(survey, place, transform), transform)


def open_photo(survey: Survey, place: int, transform: Transform) -> Image.Image:
    """Decode a photo that this host holds, as `serving.preprocess.load` does.

    Raises ImageError for one that cannot be decoded, DataError for one that is not what it was when
    it was hashed.
    """
    photo = survey.listing.photos[place]
    try:
        data = (survey.listing.root / photo.path).read_bytes()
        if hashlib.sha256(data).hexdigest() != survey.inspections[place].sha256:
            raise OSError("its bytes changed")
    except OSError as error:
        raise DataError(
            f"{photo.path} could be read before and now cannot: {error}",
            fix="leave the data folder alone while a run reads it",
        ) from error
    return decode(data, short_side=transform.resize)


class FeaturePass:
    """Computes this host's chunks. `spent` and `kept` fill as it goes."""

    def __init__(self, survey: Survey, lens: Lens, *, threads: int) -> None:
        self.spent = Spent()
        self.kept = KeptSquares()
        self._survey, self._lens, self._threads = survey, lens, threads

    def chunks(
        self, chunks: Sequence[Chunk], cache: FeatureCache
    ) -> Generator[tuple[Chunk, Rows], None, None]:
        """Each chunk's rows, in order, from the cache or computed and saved there.

        Raises DataError for features that are not finite, and for a photo that changed. Close the
        iterator to stop early: what has not begun is dropped.
        """
        with ThreadPoolExecutor(self._threads) as pool:
            try:
                begun = [(chunk, self._begin(chunk, cache, pool.submit)) for chunk in chunks]
                for chunk, rows in begun:
                    yield chunk, rows if isinstance(rows, Rows) else self._end(chunk, rows, cache)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _begin(
        self, chunk: Chunk, cache: FeatureCache, submit: Callable[..., Future[_Part]]
    ) -> Rows | list[Future[_Part]]:
        done = cache.chunk(chunk, self._survey)
        if done is not None:
            return done
        size = max(1, min(_TOGETHER, self._lens.batch))
        parts = (chunk.places[at : at + size] for at in range(0, len(chunk.places), size))
        return [submit(self._compute, part, chunk.split) for part in parts]

    def _end(self, chunk: Chunk, parts: Sequence[Future[_Part]], cache: FeatureCache) -> Rows:
        results = [part.result() for part in parts]
        for result in results:
            self.spent.add(result.spent)
        rows = Rows(
            features=np.concatenate([result.rows for result in results]),
            faults={place: text for r in results for place, text in r.faults.items()},
        )
        self._check_finite(chunk, rows.features)
        cache.save_chunk(chunk, self._survey, rows)
        return rows

    def _check_finite(self, chunk: Chunk, features: Floats) -> None:
        fine = np.isfinite(features).all(axis=(1, 2))
        if fine.all():
            return
        worst = self._survey.listing.photos[chunk.places[int(np.argmin(fine))]]
        raise DataError(
            f"the backbone's features of {worst.path} are not finite numbers",
            fix="check the weights: they may be damaged or of another network",
        )

    def _compute(self, places: Sequence[int], split: str) -> _Part:
        started = time.perf_counter()
        pictures: list[Floats] = []
        at: list[int] = []
        faults: dict[int, str] = {}
        for row, place in enumerate(places):
            try:
                seen = self._look(place, split)
            except ImageError as error:
                faults[place] = f"{error.code}: {error.message}"
                continue
            at.append(row)
            pictures.extend(seen)
        decoded = time.perf_counter()
        rows = self._rows(len(places), at, pictures, split)
        spent = Spent(
            decode_s=decoded - started,
            backbone_s=time.perf_counter() - decoded,
            pictures=len(pictures),
            photos=len(places),
        )
        return _Part(rows=rows, faults=faults, spent=spent)

    def _look(self, place: int, split: str) -> list[Floats]:
        """The views of one photo as the network takes them; none of test, whose square is kept."""
        known = self._survey.inspections[place]
        if known.fault:
            code, _, message = known.fault.partition(": ")
            raise ImageError(code, message, "replace the photo")
        lens, transform = self._lens, self._lens.transform
        photo = open_photo(self._survey, place, transform)
        plain = cut(photo, transform)
        if split == "test":
            self.kept.keep(place, plain)
            return []
        views = [normalise(plain, transform)]
        for number in range(1, lens.views_of(split)):
            chance = view_chance(lens.seed, known.sha256, number)
            views.append(normalise(augmented(photo, transform, lens.augment, chance), transform))
        return views

    def _rows(
        self, photos: int, at: Sequence[int], pictures: Sequence[Floats], split: str
    ) -> Floats:
        lens = self._lens
        if split == "test":
            return empty_rows(photos, 0, 0)
        views = lens.views_of(split)
        rows = empty_rows(photos, views, lens.width)
        if pictures:
            outputs = [
                lens.network(np.stack(pictures[start : start + lens.batch]))
                for start in range(0, len(pictures), lens.batch)
            ]
            rows[list(at)] = np.concatenate(outputs).reshape(len(at), views, lens.width)
        return rows
