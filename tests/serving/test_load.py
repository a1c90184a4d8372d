"""The load generator charges a server for everybody who would have waited, and loses count of none."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from benchmarks.load import Plan, percentiles, run

pytestmark = pytest.mark.slow

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 429 Busy\r\nContent-Length: 0\r\n\r\n"


@contextlib.contextmanager
def server(
    *,
    stall_s: float = 0.0,
    each_s: float = 0.0,
    kept: int = 10**9,
    answers: tuple[bytes, ...] = (OK,),
) -> Iterator[str]:
    """A server that answers in turn, each after `each_s`, stops for `stall_s` once, and closes after
    `kept` requests."""
    ready, ports = threading.Event(), list[int]()
    loop = asyncio.new_event_loop()
    count = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            for _ in range(kept):
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(5)
                count += 1
                mine = count
                await asyncio.sleep(each_s)
                if mine == 20:
                    time.sleep(stall_s)  # the whole server, not this connection only
                writer.write(answers[mine % len(answers)])
        writer.close()

    async def serve() -> None:
        running = await asyncio.start_server(talk, "127.0.0.1", 0)
        ports.append(running.sockets[0].getsockname()[1])
        ready.set()
        with contextlib.suppress(asyncio.CancelledError):
            await running.serve_forever()

    task = loop.create_task(serve())
    thread = threading.Thread(target=lambda: loop.run_until_complete(task))
    thread.start()
    try:
        assert ready.wait(10)
        yield f"http://127.0.0.1:{ports[0]}/x"
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@pytest.fixture
def photo(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("load") / "photo"
    path.write_bytes(b"12345")
    return str(path)


def test_a_stall_is_charged_to_all_who_were_due_in_it(photo: str) -> None:
    with server(stall_s=0.5) as url:
        report = run(Plan(url=url, photo=photo, rate=100, seconds=1.5))
    assert report.ok == report.sent and report.lost == 0
    assert report.ok_ms["max"] > 450
    assert report.ok_ms["p90"] > 200  # a third of all were due while it stood still


def test_refusals_are_told_apart(photo: str) -> None:
    with server(answers=(OK, BUSY)) as url:
        report = run(Plan(url=url, photo=photo, clients=2, seconds=0.5))
    assert abs(report.ok - report.refused) <= 8 and report.ok + report.refused == report.sent


def test_clients_in_turn_are_charged_the_time_that_they_waited(photo: str) -> None:
    """Two clients get ten answers a second at the most, whatever comes in after the end."""
    with server(each_s=0.2) as url:
        report = run(Plan(url=url, photo=photo, clients=2, seconds=0.5))
    assert 4 <= report.ok <= 6 and 7 < report.ok_per_s <= 10.01


def test_a_kept_connection_that_closes_is_not_a_loss(photo: str) -> None:
    with server(kept=3) as url:
        report = run(Plan(url=url, photo=photo, clients=2, seconds=0.5))
    assert report.lost == 0 and report.retried > 0 and report.ok == report.sent


def test_nobody_listening_is_unreachable(photo: str) -> None:
    with server() as url:
        pass
    report = run(Plan(url=url, photo=photo, rate=20, seconds=0.3))
    assert report.unreachable == report.sent > 0


def test_percentiles_are_nearest_ranks() -> None:
    found = percentiles([float(n) for n in range(1, 101)])
    assert found == {"p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0}
    assert percentiles([]) == {}
