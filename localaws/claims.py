"""What one server claims for itself: its state folder and its port."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from localaws.wire.http_server import HttpServer


class StateTaken(Exception):
    """The state folder cannot be used: another localaws has it, or it cannot be made."""


class PortTaken(Exception):
    """Something else listens on the port."""


@contextlib.contextmanager
def state_lock(state_dir: Path) -> Iterator[Path]:
    """The folder, locked for this process. Raises `StateTaken`."""
    with (state_dir / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            text = (
                f"another localaws (pid {owner}) uses the state folder {state_dir}; "
                "stop it, or name another folder with --state-dir"
            )
            raise StateTaken(text) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield state_dir


@contextlib.contextmanager
def bound(port: int) -> Iterator[HttpServer]:
    """A server that listens on `port` and answers nothing yet. Raises `PortTaken`."""

    def not_ready(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        raise RuntimeError("a request came before the cloud was built")

    try:
        server = HttpServer(port, not_ready)
    except OSError as error:
        text = f"port {port} is in use: {error.strerror}; choose another with --port"
        raise PortTaken(text) from error
    try:
        yield server
    finally:
        server.server_close()


def write_atomically(path: Path, text: str) -> None:
    """Replace the file; a crash leaves the old or the new text."""
    draft = path.with_suffix(".draft")
    with draft.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
