"""One of our archives as a model: photographs in, labels with calibrated probabilities out."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

import numpy as np

from serving.calls import Call, Gate, Reply
from serving.errors import RequestError
from serving.inputs.options import Options, accepts_json, read_options
from serving.inputs.photos import FromBucket, FromWeb, Inline, Source, Wanted, read_body
from serving.models.archive import Archive
from serving.models.batching import Batcher, Network, Row, TooLate
from serving.models.engine import Logits, shares_of
from serving.preprocess import DEFAULT_LIMITS, ImageError, Limits, load

_STATUS: Final = {"empty": 400, "too_many_bytes": 413, "unsupported_format": 415}
_LARGE_BYTES: Final = 65_536
"""A JSON body over this is read in a worker: base64 of a megabyte would hold up everyone."""

_FETCHING: Final = 8
"""Requests whose photographs are being fetched, at a time."""
_FETCHED_BYTES: Final = 20_000_000


class Fetches(Protocol):
    """What brings a photograph from elsewhere. Raises RequestError."""

    def fetch(self, address: str, /) -> Awaitable[bytes]: ...


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One photograph's answer, with the seconds that decoding took and that it waited for a worker."""

    row: Row
    decode_s: float
    waited_s: float


Measure = Callable[[Seen], None]


@dataclass(kw_only=True)
class _Job:
    """The photographs of one request; `done` is set once, when all are; the first fault counts."""

    deadline_at: float
    seen: list[Seen | None]
    since: float
    done: Future[list[Seen]] = field(default_factory=Future)
    left: int = 0
    fault: Exception | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def settle(self, place: int, seen: Seen | Exception) -> None:
        with self.lock:
            self.left -= 1
            last = self.left == 0
            if isinstance(seen, Seen):
                self.seen[place] = seen
            elif self.fault is None:
                self.fault = seen
        if last and self.fault is not None:
            self.done.set_exception(self.fault)
        elif last:
            self.done.set_result([one for one in self.seen if one is not None])


class Classifier:
    """Answers with `network`; `workers` photographs are decoded at a time."""

    def __init__(
        self,
        archive: Archive,
        network: Network,
        *,
        workers: int,
        web: Fetches,
        bucket: Fetches,
        limits: Limits = DEFAULT_LIMITS,
        measure: Measure = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.version = archive.version
        self._archive = archive
        self._batcher = Batcher(network, clock=clock)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="photo")
        self._web = web
        self._bucket = bucket
        self._limits = limits
        self._measure = measure
        self._clock = clock
        self._fetching = 0

    async def answer(self, call: Call, gate: Gate) -> Reply:
        """Predictions, or a list of logits for each photograph. Raises RequestError."""
        if not accepts_json(call.accept):
            raise RequestError(
                406, "not_acceptable", "the answer is application/json", "accept application/json"
            )
        wanted = await self._read(call)
        options = read_options(call.query, call.attributes, call.accept, wanted.said)
        photos = await self._gather(wanted.sources)
        seen = await self._look(photos, call, gate)
        for one in seen:
            self._measure(one)
        return self._reply(seen, wanted, options)

    async def _read(self, call: Call) -> Wanted:
        if len(call.body) <= _LARGE_BYTES or call.content_type.startswith("image/"):
            return read_body(call.body, call.content_type)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, read_body, call.body, call.content_type)

    async def _gather(self, sources: Sequence[Source]) -> list[bytes]:
        """The photographs' bytes, one after the other, so that their sum can be limited."""
        inline = [source.data for source in sources if isinstance(source, Inline)]
        if len(inline) == len(sources):
            return inline
        if self._fetching >= _FETCHING:
            raise RequestError(
                429, "busy", "too many photos are being fetched", "try again in a second"
            )
        self._fetching += 1
        try:
            return await self._fetch_all(sources)
        finally:
            self._fetching -= 1

    async def _fetch_all(self, sources: Sequence[Source]) -> list[bytes]:
        photos: list[bytes] = []
        for source in sources:
            photos.append(await self._bytes_of(source))
            if sum(map(len, photos)) > _FETCHED_BYTES:
                raise RequestError(
                    413,
                    "too_many_bytes",
                    f"the photos of one request are over {_FETCHED_BYTES} bytes together",
                    "send fewer photos in a request",
                )
        return photos

    async def _bytes_of(self, source: Source) -> bytes:
        if isinstance(source, FromWeb):
            return await self._web.fetch(source.url)
        if isinstance(source, FromBucket):
            return await self._bucket.fetch(source.uri)
        return source.data

    async def _look(self, photos: Sequence[bytes], call: Call, gate: Gate) -> list[Seen]:
        """Wait for the workers; the place is free again only when they have really ended."""
        place = gate.enter(len(photos), deadline_at=call.deadline_at)
        job = _Job(
            deadline_at=call.deadline_at,
            seen=[None] * len(photos),
            since=self._clock(),
            left=len(photos),
        )
        waiting = asyncio.wrap_future(job.done)
        waiting.add_done_callback(partial(ended, place.leave))
        for number, photo in enumerate(photos):
            self._pool.submit(self._work, job, number, photo)
        try:
            return await asyncio.shield(waiting)
        except TooLate:
            raise too_late() from None

    def _work(self, job: _Job, number: int, photo: bytes) -> None:
        """In a worker: decode, hand to the network, and settle when the network has answered."""
        try:
            begun = self._clock()
            if begun >= job.deadline_at:
                raise TooLate
            pixels = load(photo, self._archive.transform, self._limits)
            decode_s = self._clock() - begun
        except ImageError as error:
            job.settle(number, _refusal(error, number if len(job.seen) > 1 else None))
        except Exception as error:
            job.settle(number, error)
        else:
            answered = partial(_settle, job, number, decode_s, begun - job.since)
            self._batcher.run(pixels, deadline_at=job.deadline_at, then=answered)

    def _reply(self, seen: Sequence[Seen], wanted: Wanted, options: Options) -> Reply:
        timing = {
            "decode": _ms(max(one.decode_s for one in seen)),
            "queue": _ms(max(one.waited_s + one.row.queue_s for one in seen)),
            "model": _ms(max(one.row.model_s for one in seen)),
        }
        log = {
            "photos": len(seen),
            "batch": max(one.row.batch for one in seen),
            "timing_ms": timing,
        }
        logits: Logits = np.stack([one.row.logits for one in seen])
        content: Any
        if options.output == "logits":
            content = logits.tolist()
        else:
            ranked = [{"predictions": row} for row in self.ranked(logits, options.top_k)]
            content = {"results": ranked} if wanted.is_batch else ranked[0]
            content |= {"model_version": self.version, "timing_ms": timing}
        return Reply(body=json.dumps(content).encode(), log=log)

    def ranked(self, logits: Logits, top_k: int) -> list[list[dict[str, Any]]]:
        """For each row the `top_k` likeliest classes with their calibrated probabilities."""
        shares = shares_of(logits, self._archive.temperature)
        names = self._archive.classes
        order = np.argsort(-shares, axis=1, kind="stable")[:, :top_k]
        return [
            [{"label": names[at], "probability": float(row[at])} for at in best]
            for row, best in zip(shares, order, strict=True)
        ]


def too_late() -> RequestError:
    """The refusal of a request whose deadline has passed."""
    return RequestError(
        408, "deadline_passed", "your deadline passed before the answer", "allow more time"
    )


def _settle(
    job: _Job, number: int, decode_s: float, waited_s: float, answered: Future[Row]
) -> None:
    fault = answered.exception()
    if isinstance(fault, Exception):
        job.settle(number, fault)
    else:
        job.settle(number, Seen(row=answered.result(), decode_s=decode_s, waited_s=waited_s))


def ended(leave: Callable[[], None], done: asyncio.Future[Any]) -> None:
    """Called when work is over: its place is free."""
    leave()
    if not done.cancelled():
        done.exception()  # seen, should nobody wait any more


def _refusal(error: ImageError, number: int | None) -> RequestError:
    where = "" if number is None else f"photo {number}: "
    status = _STATUS.get(error.code, 422)
    return RequestError(status, error.code, where + error.message, error.fix)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
