"""`python -m serving`: serve the model in SM_MODEL_DIR until SIGTERM, then finish what is begun.

Exit codes: 0 stopped; 1 the model cannot be served; 2 a setting is wrong or the port is taken.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from serving.archive import ArchiveError, read_archive

_DRAIN_S = 25


class SettingError(Exception):
    """An environment variable that cannot be used; the text names the fix."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the environment asks for."""

    model_dir: Path
    bind: str
    port: int

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Settings:
        """Raises SettingError."""
        port = env.get("SAGEMAKER_BIND_TO_PORT") or "8080"
        if not port.isdecimal() or not 0 < int(port) < 65_536:
            raise SettingError(f"SAGEMAKER_BIND_TO_PORT is {port!r}; fix: use a port number")
        return cls(
            model_dir=Path(env.get("SM_MODEL_DIR") or "/opt/ml/model"),
            bind=env.get("PEDIGREE_BIND") or "0.0.0.0",  # noqa: S104  (in the image; see Dockerfile)
            port=int(port),
        )


def listen(settings: Settings) -> socket.socket:
    """A listening socket. Raises SettingError if the address or port cannot be had."""
    place = f"{settings.bind}:{settings.port}"
    try:
        return socket.create_server((settings.bind, settings.port), backlog=512)
    except OSError as error:
        raise SettingError(
            f"cannot listen on {place}: {error.strerror};"
            " fix: stop what holds it, or set SAGEMAKER_BIND_TO_PORT and PEDIGREE_BIND"
        ) from error


def serve(settings: Settings) -> None:
    """Load, warm up, answer until SIGTERM or SIGINT, drain. Raises SettingError, ArchiveError."""
    import uvicorn

    from serving.engine import Engine
    from serving.predict import Predictor
    from serving.server import App, log_line

    threads = len(os.sched_getaffinity(0))
    archive = read_archive(settings.model_dir)
    app = App(Predictor(archive=archive, engine=Engine(archive, threads=threads)), threads=threads)
    config = uvicorn.Config(
        app,
        http="h11",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_DRAIN_S,
    )
    with listen(settings) as door:
        log_line({"serving": archive.version, "port": settings.port, "threads": threads})
        uvicorn.Server(config).run(sockets=[door])


def main(env: Mapping[str, str]) -> int:
    """Returns the exit code; what is wrong goes to standard error."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave_early)
    try:
        serve(Settings.of(env))
    except SettingError as error:
        print(error, file=sys.stderr)
        return 2
    except ArchiveError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _leave_early(_number: int, _frame: object) -> None:
    """A stop while the model loads, or uvicorn's own repeat of the signal after it has drained."""
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main(os.environ))
