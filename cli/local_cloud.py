"""Start, find and stop localaws for this workspace."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.errors import BusyError, CloudError

DEFAULT_PORT = 4599
_START_S = 30.0
_STOP_S = 20.0
# A proxy set for the world outside cannot reach this machine's loopback.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def port_wanted() -> int:
    """PEDIGREE_PORT, else 4599."""
    text = os.environ.get("PEDIGREE_PORT", str(DEFAULT_PORT))
    if not text.isdigit() or not 1024 <= int(text) <= 65535:
        raise CloudError(f"PEDIGREE_PORT is {text!r}", fix="set a port between 1024 and 65535")
    return int(text)


def address(state: Path) -> dict[str, Any] | None:
    """What a running localaws wrote of itself, or None if none answers."""
    try:
        written: dict[str, Any] = json.loads((state / "address.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return written if _answers(str(written.get("url", ""))) else None


def _answers(url: str) -> bool:
    if not url.startswith("http://127.0.0.1:"):
        return False
    try:
        with _DIRECT.open(f"{url}/_localaws/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def ask(
    state: Path, page: str, *, method: str = "GET", fields: dict[str, Any] | None = None
) -> Any:
    """What `/_localaws/<page>` of the running localaws answers. Raises CloudError."""
    data = None if fields is None else json.dumps(fields).encode()
    request = urllib.request.Request(  # noqa: S310  (always a loopback address)
        f"{require_up(state)}/_localaws/{page}", data=data, method=method
    )
    try:
        with _DIRECT.open(request, timeout=30) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            said = json.loads(error.read() or b"{}")
        text = str(said.get("error", error.reason))
        raise CloudError("AWS on this machine refuses this", fix=text) from error


def require_up(state: Path) -> str:
    """The URL of the running localaws. Raises CloudError naming how to start it."""
    found = address(state)
    if found is None:
        raise CloudError(
            "AWS on this machine is not running", fix="start it with `pedigree cloud up`"
        )
    return str(found["url"])


def command(state: Path, port: int, speed: float = 1.0, *, enforce_iam: bool = False) -> list[str]:
    """The command line of the server; its clock runs `speed` times as fast as real time."""
    serve = shlex.join([sys.executable, "-m", "serving"])
    return [
        sys.executable,
        "-m",
        "localaws",
        "--port",
        str(port),
        "--state-dir",
        str(state),
        "--serve-command",
        serve,
        "--speed",
        f"{speed:g}",
        *(["--enforce-iam"] if enforce_iam else []),
    ]


def start(
    state: Path,
    port: int | None = None,
    speed: float | None = None,
    *,
    enforce_iam: bool = False,
) -> str:
    """Start localaws in the background unless it runs already; returns its URL when it answers.

    Raises BusyError when one runs at another speed than the one asked for, or without the
    enforcement of IAM that is asked for.
    """
    found = address(state)
    if found is not None:
        if speed not in (None, found.get("speed", 1.0)):
            raise BusyError(
                f"AWS on this machine runs already, at speed {found.get('speed', 1.0):g}",
                fix="stop it with `pedigree cloud down`, then start it again",
            )
        _require_enforcement(found, enforce_iam)
        return str(found["url"])
    state.mkdir(parents=True, exist_ok=True)
    with (state / "server.log").open("ab") as log:
        server = subprocess.Popen(
            command(state, port or port_wanted(), speed or 1.0, enforce_iam=enforce_iam),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return _await_start(server, state, port or port_wanted())


def _require_enforcement(found: dict[str, Any], enforce_iam: bool) -> None:
    if enforce_iam and not found.get("enforce_iam", False):
        raise BusyError(
            "AWS on this machine runs already, and does not enforce IAM",
            fix="stop it with `pedigree cloud down`, then start it again",
        )


def _await_start(server: subprocess.Popen[bytes], state: Path, port: int) -> str:
    deadline = time.monotonic() + _START_S
    try:
        while time.monotonic() < deadline:
            found = address(state)
            if found is not None:
                return str(found["url"])
            if server.poll() is not None:
                raise _did_not_start(server.returncode, state, port)
            time.sleep(0.05)
    except BaseException:
        _end(server.pid)
        raise
    _end(server.pid)
    raise CloudError(
        f"localaws did not answer within {_START_S:.0f} s", fix=f"read {state / 'server.log'}"
    )


def _did_not_start(code: int, state: Path, port: int) -> BusyError | CloudError:
    if code == 3:
        return BusyError(
            "another localaws uses this folder's state",
            fix="stop it with `pedigree cloud down`, or work in another folder",
        )
    if code == 4:
        return CloudError(
            f"port {port} is in use by another program",
            fix=f"choose another one: PEDIGREE_PORT={port + 1}",
        )
    return CloudError(f"localaws ended with code {code}", fix=f"read {state / 'server.log'}")


def _end(pid: int, grace_s: float = _STOP_S) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and _alive(pid):
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def stop(state: Path) -> bool:
    """Stop this workspace's localaws and everything it started; False if none was running."""
    found = address(state)
    if found is None:
        return False
    pid = int(found["pid"])
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_S
    while time.monotonic() < deadline:
        if not _alive(pid):
            return True
        time.sleep(0.05)
    raise CloudError(f"localaws (process {pid}) does not stop", fix=f"kill -9 {pid}")


@contextlib.contextmanager
def running(state: Path, *, enforce_iam: bool = False) -> Iterator[str]:
    """localaws for the length of a block: one that was up stays up, one started here is stopped.

    If this process is killed, a reaper outside it ends the server. Raises BusyError when one is up
    without the enforcement of IAM that is asked for.
    """
    found = address(state)
    if found is not None:
        _require_enforcement(found, enforce_iam)
        yield str(found["url"])
        return
    from localaws.hosts.processes import Processes

    state.mkdir(parents=True, exist_ok=True)
    keeper = Processes(state / "keeper")
    try:
        with (state / "server.log").open("a", encoding="utf-8") as log:

            def keep(_stream: str, line: str) -> None:
                log.write(f"{line}\n")
                log.flush()

            yield start_kept(keeper, state, keep, enforce_iam=enforce_iam)
            keeper.close(grace_s=_STOP_S)
    finally:
        keeper.close(grace_s=_STOP_S)


def start_kept(keeper: Any, state: Path, keep: Any, *, enforce_iam: bool = False) -> str:
    """Start localaws under `keeper`, which ends it whatever happens to this process."""
    port = port_wanted()
    server = keeper.spawn(
        command(state, port, enforce_iam=enforce_iam),
        env=passed_on(),
        cwd=Path.cwd(),
        on_line=keep,
        keep_children=False,
    )
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        found = address(state)
        if found is not None:
            return str(found["url"])
        if server.poll() is not None:
            raise _did_not_start(int(server.poll()), state, port)
        time.sleep(0.05)
    raise CloudError(
        f"localaws did not answer within {_START_S:.0f} s", fix=f"read {state / 'server.log'}"
    )


def passed_on() -> dict[str, str]:
    """Of this process's environment, what the servers it starts may see."""
    kept = ("HOME", "PATH", "LOCALAWS_ISOLATION", "MLFLOW_TRACKING_URI", "PEDIGREE_HOME")
    return {name: os.environ[name] for name in kept if name in os.environ}
