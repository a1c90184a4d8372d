"""`python -m serving`: serve the model in SM_MODEL_DIR until SIGTERM, then finish what is begun.

Exit codes: 0 stopped; 1 the model cannot be served; 2 a setting is wrong or the port is taken.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping

from serving.errors import ArchiveError, HandlerError, SettingError
from serving.settings import Settings

_SWITCH_S = 0.001
"""A worker that decodes would keep the event loop waiting for Python's usual 5 ms."""


def listen(settings: Settings) -> socket.socket:
    """A listening socket. Raises SettingError if the address or port cannot be had."""
    place = f"{settings.bind}:{settings.port}"
    try:
        return socket.create_server((settings.bind, settings.port), backlog=512)
    except OSError as error:
        raise SettingError(
            f"cannot listen on {place}: {error.strerror}",
            fix="stop what holds it, or set SAGEMAKER_BIND_TO_PORT and PEDIGREE_BIND",
        ) from error


def serve(env: Mapping[str, str]) -> None:
    """Load, warm up, answer until SIGTERM or SIGINT, drain.

    Raises SettingError, ArchiveError, HandlerError.
    """
    settings = Settings.of(env)
    if settings.ends_with_input:
        threading.Thread(target=_stop_when_input_ends, name="input", daemon=True).start()
    from serving.build import make_server
    from serving.http.log import log_line

    sys.setswitchinterval(_SWITCH_S)
    server = make_server(settings, env, log_line)
    with listen(settings) as door:
        server.run(sockets=[door])


def main(env: Mapping[str, str]) -> int:
    """Returns the exit code; what is wrong goes to standard error."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave_early)
    try:
        serve(env)
    except SettingError as error:
        print(error, file=sys.stderr)
        return 2
    except HandlerError as error:
        print(error.trace, error.message, sep="", file=sys.stderr)
        return 1
    except ArchiveError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _stop_when_input_ends() -> None:
    """Whoever started this holds the other end of standard input, and lets go even when it crashes."""
    with contextlib.suppress(OSError):  # closed from the start, or a terminal that hung up
        while os.read(0, 4096):
            pass
    print("standard input has ended, so this server ends", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGTERM)


def _leave_early(_number: int, _frame: object) -> None:
    """A stop while the model loads, or uvicorn's own repeat of the signal after it has drained."""
    raise SystemExit(0)


if __name__ == "__main__":
    try:
        code = main(os.environ)
    except SystemExit:  # of _leave_early
        code = 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # not held up by a thread in which a model's own code never ends
