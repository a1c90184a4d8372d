"""`python -m localaws`: AWS on this machine until Ctrl-C.

Exit codes: 0 ended by SIGTERM or Ctrl-C, 1 something did not end in time, 2 wrong arguments,
3 the state folder is in use, 4 the port is in use.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localaws.server import BuildServices

EXIT_STUCK = 1
EXIT_STATE_TAKEN = 3
EXIT_PORT_TAKEN = 4
_CLOSE_LIMIT_S = 9.0


def main(argv: Sequence[str] | None = None, *, build: BuildServices | None = None) -> int:
    """Serve until a signal comes; the exit code. `build` replaces the standard services."""
    arguments = _parser().parse_args(argv)
    level = logging.DEBUG if arguments.verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return _serve(arguments, stop, build)


def _serve(
    arguments: argparse.Namespace, stop: threading.Event, build: BuildServices | None
) -> int:
    # What is made now stays: looking for garbage in it took three tenths of the start, and time ever after.
    gc.disable()
    # Imported late: `--help` needs neither moto nor botocore.
    from localaws.claims import PortTaken, StateTaken
    from localaws.hosts.images import BadImages, read_images
    from localaws.server import open_cloud, standard_services

    try:
        with open_cloud(
            state_dir=arguments.state_dir,
            port=arguments.port,
            serve_command=shlex.split(arguments.serve_command),
            speed=arguments.speed,
            enforce_iam=arguments.enforce_iam,
            images=read_images(arguments.images) if arguments.images else (),
            build=build or standard_services,
        ) as cloud:
            gc.freeze()
            gc.enable()
            print(f"localaws is ready on {cloud.url}", flush=True)
            stop.wait()
            watchdog = threading.Timer(_CLOSE_LIMIT_S, _give_up)
            watchdog.daemon = True
            watchdog.start()
    except StateTaken as error:
        print(f"localaws: {error}", file=sys.stderr)
        return EXIT_STATE_TAKEN
    except BadImages as error:
        print(f"localaws: {error}", file=sys.stderr)
        return 2
    except PortTaken as error:
        print(f"localaws: {error}", file=sys.stderr)
        return EXIT_PORT_TAKEN
    finally:
        gc.enable()
    return 0


def _give_up() -> None:
    alive = ", ".join(sorted(t.name for t in threading.enumerate() if not t.daemon))
    print(
        f"localaws: not ended within {_CLOSE_LIMIT_S:.0f} s: {alive}", file=sys.stderr, flush=True
    )
    os._exit(EXIT_STUCK)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m localaws",
        description="AWS on this machine, on a loopback port, until Ctrl-C.",
        epilog="Set AWS_ENDPOINT_URL to the printed address; localaws/DIFFERENCES.md says what "
        "differs from AWS. Exit codes: 0 ended by signal, 3 state folder in use, 4 port in use.",
    )
    parser.add_argument("--port", type=_port, default=4599, help="0 takes a free one (4599)")
    parser.add_argument(
        "--state-dir", type=Path, required=True, help="where everything is kept between runs"
    )
    parser.add_argument(
        "--serve-command",
        default=f"{shlex.quote(sys.executable)} -m serving",
        help="the model server that stands for an endpoint's container",
    )
    parser.add_argument(
        "--speed", type=_speed, default=1.0, help="times as fast as real time that waits pass (1)"
    )
    parser.add_argument(
        "--enforce-iam", action="store_true", help="refuse what the caller's policies do not allow"
    )
    parser.add_argument(
        "--images",
        type=Path,
        help="JSON: environments that stand for training images; see DIFFERENCES.md",
    )
    parser.add_argument("--verbose", action="store_true", help="log every request")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is from 0 to 65535")
    return port


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed < float("inf"):
        raise argparse.ArgumentTypeError("the speed is above 0")
    return speed


if __name__ == "__main__":
    sys.exit(main())
