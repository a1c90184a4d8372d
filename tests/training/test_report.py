"""Events: numbered lines on the stream and in the file, one result, numbers that JSON can carry."""

import io
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.report import Reporter


def reporter(
    folder: Path | None, *, leads: bool = True, host: str = "algo-1"
) -> tuple[Reporter, io.StringIO]:
    ticks = iter(range(1000, 100_000))
    stream = io.StringIO()
    clock: Callable[[], float] = lambda: float(next(ticks))  # noqa: E731
    return Reporter(folder, host=host, leads=leads, stream=stream, clock=clock), stream


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_event_is_in_the_stream_and_in_the_file(tmp_path: Path) -> None:
    report, stream = reporter(tmp_path / "out")
    with report:
        report.params({"epochs": 3})
        report.metric("valid/top1", 0.5, step=2)
        report.warning("careful")
        (tmp_path / "out/predictions.jsonl").write_text("{}\n")
        report.artifact("predictions.jsonl")
        assert report.result("succeeded", "done")
    found = events(stream.getvalue())
    assert (tmp_path / "out/events.jsonl").read_text() == stream.getvalue()
    assert [event["event"] for event in found] == [
        "params",
        "metric",
        "warning",
        "artifact",
        "result",
    ]
    assert [event["seq"] for event in found] == [1, 2, 3, 4, 5]
    assert all(event["v"] == 1 and event["host"] == "algo-1" for event in found)
    assert found[1]["value"] == 0.5 and found[1]["step"] == 2
    assert found[3]["bytes"] == 3 and found[3]["digest"].startswith("sha256:")
    assert found[4]["metrics"] == {"valid/top1": 0.5}


def test_a_phase_reports_its_seconds() -> None:
    report, stream = reporter(None)
    with report.phase("scan"):
        pass
    start, end, metric = events(stream.getvalue())
    assert (start["state"], end["state"]) == ("start", "end")
    assert metric["name"] == "time/scan_s" and metric["value"] > 0


def test_a_phase_that_fails_has_no_end() -> None:
    report, stream = reporter(None)
    with pytest.raises(ValueError), report.phase("scan"):
        raise ValueError
    assert [event["state"] for event in events(stream.getvalue())] == ["start"]


def test_a_number_that_is_not_finite_becomes_a_warning() -> None:
    report, stream = reporter(None)
    report.metric("train/loss", float("nan"), step=4)
    (event,) = events(stream.getvalue())
    assert event["event"] == "warning" and "train/loss is nan at step 4" in event["message"]


def test_only_the_first_result_counts() -> None:
    report, stream = reporter(None)
    assert report.result("failed", "stopped")
    assert not report.result("succeeded", "done")
    assert len(events(stream.getvalue())) == 1


def test_other_hosts_leave_metrics_to_the_leader(tmp_path: Path) -> None:
    report, stream = reporter(tmp_path, leads=False, host="algo-2")
    with report:
        report.params({"a": 1})
        report.metric("valid/top1", 1.0)
        report.artifact("none")
        report.result("succeeded", "took part")
    assert [event["event"] for event in events(stream.getvalue())] == ["result"]
    assert (tmp_path / "events-algo-2.jsonl").exists()


class Gone(io.StringIO):
    """A stream whose reader has left."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError


def test_a_stream_that_nobody_reads_does_not_cost_the_run(tmp_path: Path) -> None:
    with Reporter(tmp_path, host="a", leads=True, stream=Gone(), clock=lambda: 0.0) as report:
        report.metric("valid/top1", 1.0)
        report.result("succeeded", "done")
    assert len(events((tmp_path / "events.jsonl").read_text())) == 2


def test_lines_of_several_threads_stay_whole() -> None:
    report, stream = reporter(None)

    def write() -> None:
        for _ in range(50):
            report.warning("x" * 200)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event["seq"] for event in events(stream.getvalue())] == list(range(1, 201))


def test_another_program_goes_on_in_the_account_of_one_that_died(tmp_path: Path) -> None:
    with reporter(tmp_path)[0] as first:
        first.metric("valid/top1", 0.5)
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"v": 1, "event": "met')
    stream = io.StringIO()
    clock: Callable[[], float] = lambda: 7.0  # noqa: E731
    with Reporter(
        tmp_path, host="algo-1", leads=True, stream=stream, clock=clock, resume=True
    ) as second:
        assert second.result("failed", "killed")
    found = events((tmp_path / "events.jsonl").read_text())
    assert [(event["event"], event["seq"]) for event in found] == [("metric", 1), ("result", 2)]
    with Reporter(
        tmp_path, host="algo-1", leads=True, stream=stream, clock=clock, resume=True
    ) as third:
        assert not third.result("failed", "again"), "its own account stands"


def test_trials_and_checkpoints_are_events() -> None:
    report, stream = reporter(None)
    report.trial(
        3, settings={"epochs": 2}, metrics={"valid/loss": 0.5, "x": float("nan")}, best=True
    )
    report.checkpoint(12)
    trial, checkpoint = events(stream.getvalue())
    assert (trial["number"], trial["settings"], trial["best"]) == (3, {"epochs": 2}, True)
    assert trial["metrics"] == {"valid/loss": 0.5} and checkpoint["step"] == 12


def test_a_metric_of_before_keeps_its_time() -> None:
    report, stream = reporter(None)
    report.metric("valid/top1", 0.5, step=1, at=12.3456)
    assert events(stream.getvalue())[0]["t"] == 12.346
