"""localaws in a process of its own, with the small model server, at a clock that runs fast."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployment.clock import Clock
from experiments.aws import Address, Boto3Cloud
from experiments.foundation import observe_foundation, plan_foundation

READY = "localaws is ready on "
SERVER = Path(__file__).with_name("tiny_server.py")
SPEED = 60
"""A minute of the clock, in which a metric is counted and an alarm looks once, passes in a second."""


@contextmanager
def running(folder: Path, *, bare: bool = False, guarded: bool = False) -> Iterator[Boto3Cloud]:
    """A cloud with its foundation laid, or `bare`; ended with the block, by its process group.

    `guarded`: policies are enforced; this is the account's owner, who may do everything.
    """
    serve = shlex.join([sys.executable, str(SERVER)])
    place = ["--port", "0", "--state-dir", str(folder / "aws")]
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "localaws", *place),
            *("--serve-command", serve, "--speed", str(SPEED)),
            *(["--enforce-iam"] if guarded else []),
        ],
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert line.startswith(READY), line
            url = line.removeprefix(READY).strip()
            cloud = Boto3Cloud(Address(name="local", region="us-east-1", endpoint_url=url))
            for call in () if bare else plan_foundation(*observe_foundation(cloud)):
                cloud.perform(call)
            yield cloud
            server.send_signal(signal.SIGTERM)
            assert server.wait(20) == 0
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)


def hasty() -> Clock:
    """Patience ten times shorter than usual, for a cloud whose waits pass so much faster."""
    return Clock(
        monotonic=lambda: 10 * time.monotonic(), sleep=lambda seconds: time.sleep(seconds / 10)
    )
