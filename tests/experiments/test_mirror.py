"""How often a run's log is written to the tracker: soon when little is said, seldom when much is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from experiments.events import metric_line
from experiments.following.mirror import Mirror
from experiments.following.output import Cursor
from experiments.following.run_log import Intent, RunLog
from tests.experiments.build import NOW, plan, told
from tests.experiments.fake_tracker import FakeTracker

POLL_S = 0.5


@pytest.mark.parametrize(
    ("values_per_s", "writes", "stalest_s"),
    [(2, 60, 1.0), (17, 60, 1.0), (100, 60, 1.0), (167, 14, 5.0), (800, 12, 5.0)],
)
def test_a_fast_run_is_written_less_often_and_never_more_than_five_seconds_late(
    tmp_path: Path, values_per_s: int, writes: int, stalest_s: float
) -> None:
    now, tracker = NOW, FakeTracker()
    log = RunLog.create(tmp_path, Intent(plan=plan(), cloud="local", opened_at=NOW))
    mirror = Mirror(log=log, tracker=tracker, now=lambda: now, tell=print)
    mirror.catch_up()
    done, oldest, stalest = 0, NOW, timedelta(0)
    each = int(values_per_s * POLL_S)
    for poll in range(120):
        lines = [
            metric_line("train/loss", n, t=NOW.timestamp() + poll + n / 1e3, host="algo-1")
            for n in range(each)
        ]
        log.keep(lines, Cursor())
        now += timedelta(seconds=POLL_S)
        if mirror.catch_up():
            done, stalest, oldest = done + 1, max(stalest, now - oldest), now
    assert done <= writes + 1
    assert stalest <= timedelta(seconds=stalest_s + POLL_S)
    assert mirror.catch_up(at_once=True)
    (run,) = tracker.tracked.values()
    assert len(run.points) == 120 * each


def test_after_a_power_cut_the_tracker_gets_everything_again_and_has_it_once(
    tmp_path: Path,
) -> None:
    tracker = FakeTracker()
    log = RunLog.create(tmp_path, Intent(plan=plan(), cloud="local", opened_at=NOW))
    log.keep(told(), Cursor(read_bytes=7))
    assert Mirror(log=log, tracker=tracker, now=lambda: NOW, tell=print).catch_up()
    (log.folder / "mirrored.json").write_bytes(b"")
    (log.folder / "cursor.json").write_bytes(b"")
    assert log.cursor() == Cursor()
    log.keep(told(), Cursor(read_bytes=7))  # read anew from its start
    assert Mirror(log=log, tracker=tracker, now=lambda: NOW, tell=print).catch_up()
    (run,) = tracker.tracked.values()
    assert len(run.points) == 3
