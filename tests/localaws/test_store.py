"""Documents survive; so do the invariants of a table."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.clock import Clock, ManualClock
from localaws.store import Store

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def test_a_document_is_kept_replaced_and_deleted(tmp_path: Path) -> None:
    table = Store(tmp_path / "s.sqlite3").table("jobs")
    assert table.get("a") is None
    table.put("a", {"n": 1, "list": [1, None, "é"]})
    assert table.get("a") == {"n": 1, "list": [1, None, "é"]}
    table.put("a", {"n": 2})
    assert table.get("a") == {"n": 2}
    assert table.delete("a") is True
    assert table.delete("a") is False
    assert table.get("a") is None


def test_insert_never_replaces(tmp_path: Path) -> None:
    table = Store(tmp_path / "s.sqlite3").table("jobs")
    assert table.insert("a", {"n": 1}) is True
    assert table.insert("a", {"n": 2}) is False
    assert table.get("a") == {"n": 1}


def test_tables_are_separate_and_survive_reopening(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.sqlite3")
    store.table("jobs").put("a", {"kind": "job"})
    store.table("models").put("a", {"kind": "model"})
    store.close()
    again = Store(tmp_path / "s.sqlite3")
    assert again.table("jobs").items() == [("a", {"kind": "job"})]
    assert again.table("models").items() == [("a", {"kind": "model"})]


def test_only_one_of_many_threads_inserts(tmp_path: Path) -> None:
    table = Store(tmp_path / "s.sqlite3").table("jobs")
    barrier = threading.Barrier(8)
    won = []

    def insert(number: int) -> None:
        barrier.wait()
        if table.insert("a", {"n": number}):
            won.append(number)

    threads = [threading.Thread(target=insert, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert table.get("a") == {"n": won[0]}


@given(st.dictionaries(TEXT, st.integers(), max_size=12), TEXT)
def test_items_are_the_sorted_documents_with_the_prefix(
    tmp_path_factory: pytest.TempPathFactory, docs: dict[str, int], prefix: str
) -> None:
    table = Store(tmp_path_factory.mktemp("store") / "s.sqlite3").table("t")
    for key, value in docs.items():
        table.put(key, {"v": value})
    expected = [(k, {"v": docs[k]}) for k in sorted(docs) if k.startswith(prefix)]
    assert table.items(prefix) == expected


WRITER = """
import sys
from pathlib import Path
from localaws.store import Store
table = Store(Path(sys.argv[1])).table("t")
for number in range(1_000_000):
    table.put(f"{number:06d}", {"n": number})
    print(number, flush=True)
"""


def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert writer.stdout is not None
    with writer.stdout:
        for _ in range(20):
            writer.stdout.readline()
        os.killpg(writer.pid, signal.SIGKILL)
        answered = 20 + len(writer.stdout.read().splitlines())
    writer.wait()
    kept = Store(path).table("t").items()
    assert [doc["n"] for _, doc in kept[:answered]] == list(range(answered))


def test_clock_runs_at_its_speed_and_stops_early() -> None:
    clock = Clock(speed=1000.0)
    start = clock.now()
    stop = threading.Event()
    assert clock.sleep(5.0, stop) is False
    assert clock.now() - start >= 5.0
    stop.set()
    assert clock.sleep(1e9, stop) is True
    with pytest.raises(ValueError, match="speed"):
        Clock(speed=0)


def test_manual_clock_wakes_sleepers_when_their_time_comes() -> None:
    clock = ManualClock(start=100.0)
    woke = threading.Event()
    stop = threading.Event()

    def sleep() -> None:
        clock.sleep(10.0, stop)
        woke.set()

    thread = threading.Thread(target=sleep)
    thread.start()
    while not woke.wait(0.001):
        clock.advance(4.0)
    thread.join()
    assert clock.now() >= 110.0
    stop.set()
    assert clock.sleep(1.0, stop) is True
