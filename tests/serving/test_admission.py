"""Who is let in, when the short queue begins, and when it ends."""

import pytest

from serving.errors import RequestError
from serving.http.admission import Admission, Bounds, Ticket

INF = float("inf")


class Clock:
    """A time that tests move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def made(**bounds: float) -> tuple[Admission, Clock]:
    clock = Clock()
    given = {"most": 4, "busy_most": 2, "window_s": 0.5, **bounds}
    return Admission(Bounds(**given), clock=clock), clock  # type: ignore[arg-type]


def fill(admission: Admission, count: int) -> list[Ticket]:
    return [admission.enter(1, deadline_at=INF) for _ in range(count)]


def refused(admission: Admission, photos: int = 1, deadline_at: float = INF) -> str:
    with pytest.raises(RequestError) as caught:
        admission.enter(photos, deadline_at=deadline_at)
    assert caught.value.status == 429
    return caught.value.code


def test_a_burst_is_queued_up_to_the_most() -> None:
    admission, _ = made()
    fill(admission, 4)
    assert refused(admission) == "busy"


@pytest.mark.parametrize(
    ("photo_s", "room"), [pytest.param(0.5, 8, id="slow"), pytest.param(30.0, 2, id="slowest")]
)
def test_a_slow_machine_queues_its_seconds_of_work_or_what_overload_leaves(
    photo_s: float, room: int
) -> None:
    admission, clock = made(most=32, most_s=4.0)
    first = fill(admission, 1)[0]
    clock.now += photo_s
    first.leave()
    fill(admission, room)
    assert refused(admission) == "busy"


def test_after_a_refusal_the_queue_is_short_while_too_much_is_offered() -> None:
    admission, clock = made()
    tickets = fill(admission, 4)
    assert admission.refuses()
    waits: list[float] = []
    begun = [clock.now] * 4
    for tick in range(2000):  # 10 ms a photo, one offered every millisecond
        clock.now += 0.001
        if tick % 10 == 9:
            tickets.pop(0).leave()
            waits.append(clock.now - begun.pop(0))
        if not admission.refuses():
            tickets.append(admission.enter(1, deadline_at=INF))
            begun.append(clock.now)
        assert 1 <= admission.inside <= 4
    assert admission.is_overloaded
    assert max(waits[10:]) < 0.0205  # its own 10 ms, and the one before


@pytest.mark.parametrize(
    ("every", "longest_s"), [pytest.param(1, 0.16, id="many"), pytest.param(4, 0.2, id="few")]
)
def test_where_many_come_the_next_is_let_in_late(every: int, longest_s: float) -> None:
    """100 ms a photo, one offered every 10 or 40 ms: nobody who is let in leaves the network idle."""
    admission, clock = made()
    tickets = fill(admission, 4)
    assert admission.refuses()
    begun = [clock.now] * 4
    waits: list[float] = []
    for tick in range(2000):
        clock.now += 0.01
        if tick % 10 == 9:
            tickets.pop(0).leave()
            waits.append(clock.now - begun.pop(0))
        if tick % every == 0 and not admission.refuses():
            tickets.append(admission.enter(1, deadline_at=INF))
            begun.append(clock.now)
    assert max(waits[20:]) < longest_s + 0.001
    assert len(waits) == 200


def test_it_is_long_again_within_a_second_of_the_load_going() -> None:
    admission, clock = made()
    tickets = fill(admission, 4)
    assert admission.refuses()
    for ticket in tickets:
        clock.now += 0.01
        ticket.leave()
    for _ in range(2):
        clock.now += 0.5
        admission.enter(1, deadline_at=INF).leave()
    assert not admission.is_overloaded
    fill(admission, 4)


def test_half_the_load_is_no_overload_though_arrivals_come_together() -> None:
    admission, clock = made()
    tickets = fill(admission, 4)
    assert admission.refuses()
    for ticket in tickets:
        clock.now += 0.01
        ticket.leave()
    refusals = 0
    for _ in range(60):  # two together every 40 ms, answered in 10 ms each: half of capacity
        pair = []
        for _ in range(2):
            if admission.refuses():
                refusals += 1
            else:
                pair.append(admission.enter(1, deadline_at=INF))
        for ticket in pair:
            clock.now += 0.01
            ticket.leave()
        clock.now += 0.02
    assert refusals < 20
    assert not admission.is_overloaded


def test_an_empty_server_takes_a_batch_larger_than_its_room() -> None:
    admission, _ = made()
    admission.enter(16, deadline_at=INF).leave()
    fill(admission, 1)
    assert refused(admission, photos=16) == "busy"


def test_who_would_be_late_is_told_at_once() -> None:
    admission, clock = made()
    for _ in range(3):
        ticket = admission.enter(1, deadline_at=INF)
        clock.now += 0.1
        ticket.leave()
    assert admission.photo_s == pytest.approx(0.1)
    fill(admission, 2)
    assert refused(admission, deadline_at=clock.now + 0.25) == "would_be_late"
    admission.enter(1, deadline_at=clock.now + 0.35)
    assert not admission.is_overloaded


def test_a_ticket_counts_once() -> None:
    admission, _ = made()
    (ticket,) = fill(admission, 1)
    ticket.leave()
    ticket.leave()
    assert admission.inside == 0
