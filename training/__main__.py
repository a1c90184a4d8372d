"""`python -m training`: run one training on this host and say how it ended.

Exit codes: 0 trained; 1 failed; 2 the arguments, the data or the weights are wrong;
130 and 143 stopped by SIGINT and SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from training.config import ML_DIR, TrainConfig, parse
from training.errors import ClusterError, TrainingError
from training.hosts.cluster import Rendezvous, rendezvous
from training.manifest import list_photos
from training.report import Reporter
from training.weights import find_weights

_STOPS = (signal.SIGTERM, signal.SIGINT)


def main(argv: Sequence[str], env: Mapping[str, str]) -> int:
    """Returns the exit code. Events go to standard output, a failure to SageMaker's file too."""
    ml_dir = Path(env.get("SAGEMAKER_BASE_DIR") or ML_DIR)
    failure = ml_dir / "output/failure" if (ml_dir / "output").is_dir() else None
    try:
        config = parse(argv, env, ml_dir)
        meeting = rendezvous(config, env)
        report = _reporter(config.output_dir, config.host or "algo-1", leads=meeting.rank == 0)
    except TrainingError as error:
        return _refuse(ml_dir / "output/data" if failure else None, failure, error)
    except OSError as error:
        problem = TrainingError(
            f"the output folder cannot be written: {error}", fix="see its rights"
        )
        return _refuse(None, failure, problem)
    with report:
        _stop_politely(report, failure)
        return _train(config, meeting, report, failure)


def _reporter(folder: Path | None, host: str, *, leads: bool) -> Reporter:
    return Reporter(folder, host=host, leads=leads, stream=sys.stdout, clock=time.time)


def _train(config: TrainConfig, meeting: Rendezvous, report: Reporter, failure: Path | None) -> int:
    try:
        with report.phase("setup"):
            listing = list_photos(config.data)
            find_weights(config.weights)
            from training.run import run  # brings torch, which takes seconds
        run(config, listing, meeting, report)
    except TrainingError as error:
        return _fail(report, failure, error)
    except Exception as error:
        traceback.print_exc()
        return _fail(report, failure, _explain(error, meeting))
    report.result("succeeded", "trained" if meeting.rank == 0 else "took part")
    return 0


def _explain(error: Exception, meeting: Rendezvous) -> TrainingError:
    """Name what broke where no rule of ours did."""
    text = f"{type(error).__name__}: {str(error)[:500]}"
    if meeting.world > 1 and ("gloo" in text.lower() or "connection" in text.lower()):
        return ClusterError(
            f"lost another host ({text})",
            fix="read the other hosts' logs: the first failure is there",
        )
    return TrainingError(f"unexpected {text}", fix="read the traceback in the log")


def _refuse(folder: Path | None, failure: Path | None, error: TrainingError) -> int:
    """Say why nothing was begun."""
    with _reporter(folder, "algo-1", leads=True) as report:
        return _fail(report, failure, error)


def _fail(report: Reporter, failure: Path | None, error: TrainingError) -> int:
    if report.result("failed", str(error)) and failure is not None:
        with suppress(OSError):  # the event is written; a full disk must not hide it
            failure.write_text(str(error)[:1024], encoding="utf-8")
    return error.exit_code


def _stop_politely(report: Reporter, failure: Path | None) -> None:
    """End with a failed result when told to stop, even while native code holds the main thread.

    Python's handlers run on the main thread only; the number that its C handler writes to the
    wake-up pipe is read by a thread of its own.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in _STOPS:
        signal.signal(number, _leave_it_to_the_watcher)

    def watch() -> None:
        number = os.read(reading, 1)[0]
        name = signal.Signals(number).name
        error = TrainingError(f"stopped by {name} before the run was done", fix="start it again")
        _fail(report, failure, error)
        _leave(128 + number)

    threading.Thread(target=watch, name="stop-watcher", daemon=True).start()


def _leave_it_to_the_watcher(_number: int, _frame: object) -> None:
    """In the place of the default, which would end the program without a word."""


def _leave(code: int) -> NoReturn:
    """Exit at once: at a plain exit the threads of gloo may abort a finished run."""
    with suppress(OSError):  # nobody may be reading any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _leave(main(sys.argv[1:], os.environ))
