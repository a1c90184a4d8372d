"""Long runs: overload, and memory over time.

SOAK_SECONDS sets the latter's length (an hour), SOAK_RATE its photographs a second (25).
"""

import json
import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.load import Plan, Report, run, start
from benchmarks.overload import measure
from benchmarks.resnet50 import write
from tests.serving.builders import drawn, encoded, write_archive
from tests.serving.processes import Running, serving
from tests.serving.test_hostile import bodies

pytestmark = pytest.mark.soak
SAMPLES = 40
WIDTH, HEIGHT = 1600, 1200


@pytest.mark.filterwarnings("ignore")  # tracing and quantising warn of their own successors
def test_ten_times_the_load(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(encoded(drawn(size=(500, 375))))
    found = measure(write(tmp_path / "model", "openvino-int8"), photo)
    missed = {name: figure for name, figure in found.figures().items() if not figure[2]}
    assert missed == {}


def annoy(server: Running, until: float, pause_s: float) -> int:
    """Hostile bodies one after the other; how many were not answered with 4xx."""
    wrong = 0
    while True:
        for kind, body in bodies():
            if time.monotonic() >= until:
                return wrong
            status, _ = server.post(body, kind.encode("ascii", "ignore").decode())
            wrong += not 400 <= status < 500
            time.sleep(pause_s)


def crowd(server: Running, photo: Path, until: float) -> int:
    """Once a minute 64 clients for a second, more than are let in; how many got no right answer."""
    wrong = 0
    while (next_at := time.monotonic() + 60) < until:
        report = run(Plan(url=server.url, photo=str(photo), clients=64, seconds=1))
        wrong += report.lost + sum(report.other.values())
        time.sleep(max(0.0, next_at - time.monotonic()))
    return wrong


def test_memory_does_not_grow(tmp_path: Path) -> None:
    length_s = float(os.environ.get("SOAK_SECONDS", "3600"))
    rate = float(os.environ.get("SOAK_RATE", "25"))
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(encoded(drawn(size=(WIDTH, HEIGHT))))
    with serving(write_archive(tmp_path / "model")) as server:
        end, wrong = time.monotonic() + length_s, list[int]()
        others: tuple[Callable[[], int], ...] = (
            lambda: annoy(server, end, 0.5 / rate),
            lambda: crowd(server, photo, end),
        )
        threads = [threading.Thread(target=lambda o=one: wrong.append(o())) for one in others]
        with start(Plan(url=server.url, photo=str(photo), rate=rate, seconds=length_s)) as load:
            for thread in threads:
                thread.start()
            held = [sampled(server, length_s / SAMPLES) for _ in range(SAMPLES)]
            out, _ = load.communicate()
        for thread in threads:
            thread.join()
    report = Report(**json.loads(out))
    print(f"{length_s:g} s at {rate:g}/s, {report.ok} answered; MB resident over time:")
    print(" ".join(f"{each / 1e6:.1f}" for each in held))
    assert report.lost == 0 and not report.other and wrong == [0, 0]
    tenth = SAMPLES // 10
    early, late = (statistics.median(part) for part in (held[tenth : 2 * tenth], held[-tenth:]))
    # The allocator may keep the room of one decoded photograph that it took in a busy moment: seen as a
    # single step, after a quarter and after five sixths of an hour, level before and behind it.
    assert late - early < 3 * WIDTH * HEIGHT + 1_000_000


def sampled(server: Running, every_s: float) -> int:
    """Resident bytes after a while."""
    time.sleep(every_s)
    return server.memory_bytes()
