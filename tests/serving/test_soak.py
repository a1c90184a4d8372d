"""Long runs: overload, and memory over time. SOAK_SECONDS sets the latter's length (an hour)."""

import json
import os
import threading
import time
from pathlib import Path

import pytest

from benchmarks.load import Plan, Report, start
from benchmarks.overload import measure
from benchmarks.resnet50 import write
from tests.serving.builders import drawn, encoded, write_archive
from tests.serving.processes import Running, serving
from tests.serving.test_hostile import bodies

pytestmark = pytest.mark.soak


@pytest.mark.filterwarnings("ignore")  # tracing and quantising warn of their own successors
def test_ten_times_the_load(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(encoded(drawn(size=(500, 375))))
    found = measure(write(tmp_path / "model", "openvino-int8"), photo)
    missed = {name: figure for name, figure in found.figures().items() if not figure[2]}
    assert missed == {}


def annoy(server: Running, until: float) -> int:
    """Hostile bodies one after the other; how many were not answered with 4xx."""
    wrong = 0
    while time.monotonic() < until:
        for kind, body in bodies():
            status, _ = server.post(body, kind.encode("ascii", "ignore").decode())
            wrong += not 400 <= status < 500
            time.sleep(0.02)
    return wrong


def test_memory_does_not_grow(tmp_path: Path) -> None:
    length_s = float(os.environ.get("SOAK_SECONDS", "3600"))
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(encoded(drawn(size=(1600, 1200))))
    with serving(write_archive(tmp_path / "model")) as server:
        plan = Plan(url=server.url, photo=str(photo), rate=25, seconds=length_s)
        end, wrong = time.monotonic() + length_s, list[int]()
        annoyer = threading.Thread(target=lambda: wrong.append(annoy(server, end)))
        with start(plan) as load:
            annoyer.start()
            time.sleep(length_s / 10)
            early = server.memory_bytes()
            out, _ = load.communicate()
        annoyer.join()
        late = server.memory_bytes()
    report = Report(**json.loads(out))
    print(f"{length_s:g} s, {report.ok} answered, {early / 1e6:.1f} then {late / 1e6:.1f} MB")
    assert report.lost == 0 and not report.other and wrong == [0]
    assert late - early < 20_000_000
