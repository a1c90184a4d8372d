"""Batches form from what waits; a lone photograph never waits; every one gets its own answer."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.models.batching import Batcher, Row, TooLate
from serving.models.engine import Logits
from serving.preprocess import Pixels

INF = float("inf")


class Echo:
    """A network whose logits are the photograph's first number; `meanwhile` runs within a call."""

    def __init__(self, *, max_batch: int = 4, streams: int = 1) -> None:
        self.max_batch, self.streams = max_batch, streams
        self.batches: list[int] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def logits(self, pixels: Pixels) -> Logits:
        self.batches.append(len(pixels))
        self.meanwhile()
        return pixels.reshape(len(pixels), -1)[:, :1].astype(np.float64)


def photo(number: int) -> Pixels:
    return np.full((3, 2, 2), number, np.float32)


def answers(rows: list[Future[Row]]) -> list[int]:
    return [int(row.result(timeout=5).logits[0]) for row in rows]


def test_a_lone_photo_is_answered_before_run_returns() -> None:
    network = Echo()
    row = Batcher(network).run(photo(7), deadline_at=INF)
    assert row.done() and answers([row]) == [7] and network.batches == [1]


@settings(max_examples=50, deadline=None)
@given(waiting=st.integers(0, 20), largest=st.integers(1, 8))
def test_what_gathers_during_a_call_goes_together_in_order(waiting: int, largest: int) -> None:
    network = Echo(max_batch=largest)
    batcher = Batcher(network)
    rows: list[Future[Row]] = []

    def gather() -> None:
        network.meanwhile = lambda: None
        rows.extend(batcher.run(photo(n), deadline_at=INF) for n in range(waiting))

    network.meanwhile = gather
    first = batcher.run(photo(99), deadline_at=INF)
    assert answers([first, *rows]) == [99, *range(waiting)]
    full, rest = divmod(waiting, largest)
    assert network.batches == [1, *[largest] * full, *([rest] if rest else [])]


def test_the_first_is_told_before_the_thread_goes_on_with_others() -> None:
    network = Echo()
    batcher = Batcher(network)
    told: list[str] = []

    def others() -> None:
        told.append("second batch")

    def gather() -> None:
        network.meanwhile = others
        batcher.run(photo(1), deadline_at=INF, then=lambda _row: told.append("second"))

    network.meanwhile = gather
    batcher.run(photo(0), deadline_at=INF, then=lambda _row: told.append("first"))
    assert told == ["first", "second batch", "second"]


def test_a_failing_call_fails_its_batch_only() -> None:
    network = Echo()
    batcher = Batcher(network)

    def fail() -> None:
        network.meanwhile = lambda: None
        raise RuntimeError("no memory")

    network.meanwhile = fail
    with pytest.raises(RuntimeError, match="no memory"):
        batcher.run(photo(1), deadline_at=INF).result()
    assert answers([batcher.run(photo(2), deadline_at=INF)]) == [2]


def test_what_is_too_late_is_not_run() -> None:
    network = Echo()
    now = [10.0]
    batcher = Batcher(network, clock=lambda: now[0])
    late: list[Future[Row]] = []

    def gather() -> None:
        network.meanwhile = lambda: None
        late.append(batcher.run(photo(1), deadline_at=11.0))
        late.append(batcher.run(photo(2), deadline_at=13.0))
        now[0] = 12.0

    network.meanwhile = gather
    batcher.run(photo(0), deadline_at=INF)
    with pytest.raises(TooLate):
        late[0].result()
    assert answers(late[1:]) == [2] and network.batches == [1, 1]


@pytest.mark.parametrize("streams", [1, 2])
def test_many_threads_lose_nothing_and_mix_nothing_up(streams: int) -> None:
    network = Echo(streams=streams)
    batcher = Batcher(network)
    found: dict[int, int] = {}

    def work(start: int) -> None:
        for number in range(start, start + 200):
            found[number] = answers([batcher.run(photo(number), deadline_at=INF)])[0]

    threads = [threading.Thread(target=work, args=(at * 200,)) for at in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == {number: number for number in range(1200)}
    assert sum(network.batches) == 1200
