"""What mirroring a run into MLflow while it trains costs the machine: `python -m benchmarks.mirroring`.

One minute of a run, polled every half second as on this machine: 120 times its new lines are kept in its log
(fsync) and mirrored into a fresh sqlite store. Counted is the launcher's own CPU time, which is what it takes
from a training on the same machine; on AWS the launcher is another machine and takes nothing. The share is
of that minute on one core; half of it is of two.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from experiments.events import metric_line
from experiments.following.mirror import Mirror
from experiments.following.output import Cursor
from experiments.following.run_log import Intent, RunLog
from experiments.records import Estimate, LaunchPlan
from experiments.tracking import Tracker

POLLS, MINUTE_S = 120, 60.0
RATES = {
    "the demo: 30 epochs x 3 metrics and 12 more": 102,
    "1,000 values a minute": 1_000,
    "10,000 values a minute": 10_000,
}


def plan(run_id: str) -> LaunchPlan:
    """A run to open in the tracker."""
    nothing = Estimate(low_usd=Decimal(0), expected_usd=None, high_usd=Decimal(0), why="")
    return LaunchPlan(
        run_id=run_id,
        run_name="mirrored",
        experiment="benchmark",
        launcher="sagemaker",
        instance_type="ml.m5.xlarge",
        instance_count=1,
        region="us-east-1",
        calls=(),
        estimate=nothing,
        params={"data/digest": "sha256:00"},
        tags={},
        reasons=(),
        warnings=(),
        max_runtime_s=60,
        volume_gb=30,
        output_uri="s3://bucket/runs/mirrored/output/",
    )


def one_minute(folder: Path, tracker: Tracker, values: int, run_id: str) -> float:
    """CPU seconds of the launcher for a minute in which a run says `values` values."""
    now = datetime.now(tz=UTC)
    opened = Intent(plan=plan(run_id), cloud="local", opened_at=now)
    log = RunLog.create(folder / "runs", opened)
    clock = [now]
    mirror = Mirror(log=log, tracker=tracker, now=lambda: clock[0], tell=print)
    mirror.catch_up()  # the run is open: what follows is the live part
    began, said = time.process_time(), 0
    for poll in range(1, POLLS + 1):
        until = values * poll // POLLS
        lines = [
            metric_line(f"train/m{n % 5}", n / 7, t=now.timestamp() + n / 1000, host="algo-1")
            for n in range(said, until)
        ]
        said = until
        if lines:
            log.keep(lines, Cursor(read_bytes=until))
        clock[0] += timedelta(seconds=MINUTE_S / POLLS)
        mirror.catch_up()
    assert mirror.catch_up(at_once=True)
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tracker = Tracker(f"sqlite:///{folder / 'mlflow.db'}", folder)
        one_minute(folder, tracker, 10, "warm")
        print(f"{'a minute of':46} {'CPU s':>8} {'of one core':>12} {'of two':>8}")
        for name, values in RATES.items():
            found = [
                one_minute(folder, tracker, values, f"{values}-{repeat}")
                for repeat in range(repeats)
            ]
            cpu_s = statistics.median(found)
            share = cpu_s / MINUTE_S
            print(f"{name:46} {cpu_s:8.2f} {share:12.2%} {share / 2:8.2%}")


if __name__ == "__main__":
    main()
