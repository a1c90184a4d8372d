"""`python -m training`: run one training on this host and say how it ended.

This process is the host's agent; the training runs in a worker that it forks and watches. Exit
codes: 0 trained; 1 failed; 2 the arguments, the data or the weights are wrong; 130 and 143 stopped
by SIGINT and SIGTERM, with a checkpoint to go on from if the run keeps any.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from training.config import ML_DIR, TrainConfig, parse
from training.errors import ClusterError, StoppedError, TrainingError
from training.fit.stop import Stop
from training.hosts.agent import STOPS, leave, supervise
from training.hosts.cluster import Rendezvous, join, rendezvous
from training.hosts.lifeline import Lifeline
from training.hosts.verdict import Rank
from training.report import Reporter

_STOP_GRACE_S: Final = 100.0


@dataclass(frozen=True, kw_only=True)
class Host:
    """One host's part in a run, and where its failure is told to SageMaker (None elsewhere)."""

    config: TrainConfig
    meeting: Rendezvous
    name: str
    failure: Path | None

    def reporter(self, *, resume: bool = False) -> Reporter:
        """The account of this host; `resume` goes on in the worker's."""
        return Reporter(
            self.config.output_dir,
            host=self.name,
            leads=self.meeting.rank == 0,
            stream=sys.stdout,
            clock=time.time,
            resume=resume,
        )


def main(argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Returns the exit code. Events go to standard output, a failure to SageMaker's file too."""
    ml_dir = Path(env.get("SAGEMAKER_BASE_DIR") or ML_DIR)
    failure = ml_dir / "output/failure" if (ml_dir / "output").is_dir() else None
    try:
        config = parse(argv, env, ml_dir)
        meeting = rendezvous(config, env)
        config.output_dir.mkdir(parents=True, exist_ok=True)
    except TrainingError as error:
        return _refuse(ml_dir / "output/data" if failure else None, failure, error)
    except OSError as error:
        problem = TrainingError(
            f"the output folder cannot be written: {error}", fix="see its rights"
        )
        return _refuse(None, failure, problem)
    name = config.host or (socket.gethostname() if meeting.world > 1 else "algo-1")
    host = Host(config=config, meeting=meeting, name=name, failure=failure)
    return _supervise(host, under_torchrun="TORCHELASTIC_RUN_ID" in env)


def _supervise(host: Host, *, under_torchrun: bool) -> int:
    """Fork the worker and be its agent."""
    me = Rank(number=host.meeting.rank, host=host.name)
    try:
        ending = supervise(
            host.meeting,
            me,
            host.config.hosts,
            lambda lifeline: _work(host, lifeline),
            under_torchrun=under_torchrun,
        )
    except ClusterError as error:
        with host.reporter(resume=True) as report:
            return _fail(report, host.failure, error)
    if ending.cause is not None:
        cause = ClusterError(ending.cause.message, fix=ending.cause.fix)
        with host.reporter(resume=True) as report:
            _fail(report, host.failure, cause)
    return ending.code if ending.code >= 0 else 1


def _work(host: Host, lifeline: Lifeline) -> int:
    """The worker: train, and tell the agent if that fails."""
    stop = Stop()
    with host.reporter() as report:
        _stop_politely(report, host.failure, stop, lifeline)
        return _train(host, report, stop, lifeline)


def _train(host: Host, report: Reporter, stop: Stop, lifeline: Lifeline) -> int:
    meeting = host.meeting
    try:
        with report.phase("setup"):
            from training.manifest import find_photos, list_photos
            from training.weights import find_weights

            look = list_photos if meeting.world == 1 else find_photos  # which may find a share
            listing = look(host.config.data)
            find_weights(host.config.weights)
            from training.run import run  # brings torch, which takes seconds
        port = lifeline.port if meeting.world > 1 else lambda: meeting.port
        run(host.config, listing, lambda: join(replace(meeting, port=port())), report, stop)
    except StoppedError as error:
        report.result("stopped", str(error))
        lifeline.tell("stopped", str(error))
        return stop.exit_code
    except TrainingError as error:
        lifeline.tell("failed", str(error))
        return _fail(report, host.failure, error)
    except Exception as error:
        if meeting.world > 1 and _is_of_the_network(error):
            lifeline.tell("lost", f"lost another host ({type(error).__name__}: {error})")
            lifeline.await_end()
        traceback.print_exc()
        text = f"unexpected {type(error).__name__}: {str(error)[:500]}"
        unknown = TrainingError(text, fix="read the traceback in the log")
        lifeline.tell("failed", str(unknown))
        return _fail(report, host.failure, unknown)
    report.result("succeeded", "trained" if meeting.rank == 0 else "took part")
    return 0


def _is_of_the_network(error: Exception) -> bool:
    text = str(error).lower()
    return "gloo" in text or "connection" in text or "store" in text


def _refuse(folder: Path | None, failure: Path | None, error: TrainingError) -> int:
    """Say why nothing was begun."""
    with Reporter(folder, host="algo-1", leads=True, stream=sys.stdout, clock=time.time) as report:
        return _fail(report, failure, error)


def _fail(report: Reporter, failure: Path | None, error: TrainingError) -> int:
    if report.result("failed", str(error)) and failure is not None:
        with suppress(OSError):  # the event is written; a full disk must not hide it
            failure.write_text(str(error)[:1024], encoding="utf-8")
    return error.exit_code


def _stop_politely(report: Reporter, failure: Path | None, stop: Stop, lifeline: Lifeline) -> None:
    """When told to stop, let the training write a checkpoint; end at once if none is under way.

    Works even while native code holds the main thread: Python's handlers run there only, so the
    number that its C handler writes to the wake-up pipe is read by a thread of its own.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in STOPS:
        signal.signal(number, _leave_it_to_the_watcher)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)

    def watch() -> None:
        number = os.read(reading, 1)[0]
        name = signal.Signals(number).name
        stop.ask(name, 128 + number)
        if stop.attended:
            time.sleep(_STOP_GRACE_S)  # the training ends the program before this is over
        error = TrainingError(f"stopped by {name} before the run was done", fix="start it again")
        lifeline.tell("failed", str(error))
        _fail(report, failure, error)
        leave(128 + number)

    threading.Thread(target=watch, name="stop-watcher", daemon=True).start()


def _leave_it_to_the_watcher(_number: int, _frame: object) -> None:
    """In the place of the default, which would end the program without a word."""


if __name__ == "__main__":
    leave(main(sys.argv[1:], os.environ))
