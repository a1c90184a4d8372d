"""Real processes with a view of their own: what stands for containers, hosts and instances.

Each process leads a session (and so a process group) of its own and carries a mark in its
environment, so that children which open further sessions, as torchrun's workers do, are ended too.
A reaper outside the server ends everything when the server dies, by kill -9 too.

Two kinds of isolation:

- ``namespaces`` (Linux with mount and UTS namespaces, as root or in a user namespace): the mounted
  folders, /etc/hosts and the host name exist for the process alone.
- ``paths`` (everything else, or LOCALAWS_ISOLATION=paths): mount paths that occur in arguments and
  environment are rewritten to the real folders; SAGEMAKER_BASE_DIR tells programs that know it
  where /opt/ml is; MASTER_ADDR names this machine where the hosts' names cannot be resolved.
"""

import itertools
import logging
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from localaws.hosts.isolation import (
    BARE_PYTHON,
    SYSTEM_PATH,
    Launch,
    by_paths,
    in_namespaces,
    probe,
)
from localaws.hosts.linepump import pump_lines
from localaws.hosts.network import Door, Network, NetworkRefused
from localaws.hosts.reaper import GRACE_S, MARK_VARIABLE, end_all, kill_marked, signal_group

OnLine = Callable[[str, str], None]

_REAPER = Path(__file__).with_name("reaper.py")
_DRAIN_S = 5.0
_log = logging.getLogger(__name__)


class Process:
    """One started process and all its descendants; safe to use from several threads.

    `ended_at` is the monotonic time at which its first process was seen to have ended.
    """

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        *,
        mark: str,
        on_line: OnLine | None,
        on_end: Callable[[int], None],
        keep_children: bool,
    ) -> None:
        self.pid = popen.pid
        self.ended_at: float | None = None
        self._popen = popen
        self._mark = mark
        self._on_end = on_end
        self._keep_children = keep_children
        self._lock = threading.Lock()
        self._status: int | None = None
        self._ended = threading.Event()
        self._pump: threading.Thread | None = None
        if popen.stdout is not None and popen.stderr is not None and on_line is not None:
            streams = {"stdout": popen.stdout, "stderr": popen.stderr}
            self._pump = _thread(f"lines-{self.pid}", lambda: pump_lines(streams, on_line))
        _thread(f"wait-{self.pid}", self._await_end)

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Exit status (negative: the signal) once ended and all its lines delivered, else None."""
        self._ended.wait(timeout_s)
        return self._status

    def poll(self) -> int | None:
        """Exit status, or None while it runs."""
        return self._status

    def stop(self, grace_s: float) -> int | None:
        """SIGTERM to the group, `grace_s` of patience, then SIGKILL; answers the exit status."""
        if self._keep_children:
            end_all([self.pid], self._mark, grace_s)
            self._on_end(self.pid)
        else:
            self.terminate()
            if not self._ended.wait(grace_s):
                self.kill()
        return self.wait(_DRAIN_S)

    def terminate(self) -> None:
        """SIGTERM to the group; answers without waiting."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the group and to every descendant; answers without waiting for the end."""
        if self._keep_children:
            self.stop(0.0)
        else:
            self._signal(signal.SIGKILL)
            kill_marked(self._mark)

    def _signal(self, signum: int) -> None:
        with self._lock:
            if self._popen.returncode is None:
                signal_group(self.pid, signum)

    def _await_end(self) -> None:
        if hasattr(os, "waitid"):
            # The leader stays a zombie here, so its group's number cannot be given to another.
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            self.ended_at = time.monotonic()
            self._end_children()
        with self._lock:
            status = self._popen.wait()
        self.ended_at = self.ended_at or time.monotonic()
        self._end_children()
        self._status = status
        if not self._keep_children:
            self._on_end(self.pid)
        self._ended.set()

    def _end_children(self) -> None:
        """A container ends with its first process: what that left running goes too."""
        if self._keep_children:
            return
        if self._popen.returncode is None:
            signal_group(self.pid, signal.SIGKILL)
        kill_marked(self._mark)
        if self._pump is not None:
            self._pump.join(_DRAIN_S)


class Processes:
    """Starts processes below `state_dir` and sees to it that none outlives the server.

    `isolation` says how they are kept apart and `isolation_reason` why it is so.
    """

    def __init__(self, state_dir: Path, door: Door | None = None) -> None:
        self._door = door
        self._root = state_dir.resolve() / "processes"
        shutil.rmtree(self._root, ignore_errors=True)
        self._root.mkdir(parents=True)
        self._server = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._live: dict[int, tuple[Process, Path]] = {}
        self._closed = False
        self._networks_refused = False
        self.isolation, self.isolation_reason = probe(self._root / "probe")
        self._reaper = subprocess.Popen(
            [*BARE_PYTHON, str(_REAPER), self._server],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": SYSTEM_PATH},
            start_new_session=True,
        )

    def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        on_line: OnLine | None,
        mounts: Mapping[str, Path] | None = None,
        hostname: str | None = None,
        hosts: Mapping[str, str] | None = None,
        network: Network | None = None,
        pass_fds: Sequence[int] = (),
        keep_children: bool = False,
        tree: Path | None = None,
    ) -> Process:
        """Start `argv` and return at once; one that does not exist ends with 127 and says so.

        env: added to PATH (this venv first), HOME, TMPDIR, LANG; nothing else is inherited.
        on_line: gets (``stdout`` or ``stderr``, line) from one thread; over 256 KiB in pieces.
        mounts: path inside -> folder outside. hosts: name -> address. network: of `open_network`.
        keep_children: what the program left running lives on after it (until stop or close).
        tree: keep there whatever it writes, wherever; without namespaces it writes to this machine.
        """
        scratch = self._root / str(next(self._numbers))
        mark = f"{self._server}.{scratch.name}"
        launch = Launch(
            argv=argv,
            env={**_own_env(scratch), **env, MARK_VARIABLE: mark},
            cwd=cwd,
            scratch=scratch,
            mounts={inside: outside.resolve() for inside, outside in (mounts or {}).items()},
            hostname=hostname,
            hosts=hosts or {},
            join=network.fds if network is not None else (),
            tree=tree,
        )
        with self._lock:
            if self._closed:
                raise RuntimeError("localaws is going down and starts no more processes")
            popen = self._open(launch, piped=on_line is not None, pass_fds=pass_fds)
            process = Process(
                popen, mark=mark, on_line=on_line, on_end=self._forget, keep_children=keep_children
            )
            self._live[popen.pid] = (process, scratch)
        return process

    def open_network(self, *, outside: bool) -> Network | None:
        """A network for the hosts of one job, to be closed after it; None where there is none.

        outside: whether programs in it may fetch from elsewhere, by `proxy_env`.
        """
        if self.isolation != "namespaces" or self._door is None or self._networks_refused:
            return None
        try:
            return self._door.open(outside=outside)
        except NetworkRefused as refusal:
            self._networks_refused = True
            _log.warning("jobs share this machine's network: %s", refusal)
            return None

    def close(self, grace_s: float = GRACE_S) -> None:
        """End every process (SIGTERM, `grace_s`, SIGKILL) and the reaper; once is enough."""
        with self._lock:
            self._closed = True
            live = [process for process, _ in self._live.values()]
        stoppers = [_thread("stop", partial(process.stop, grace_s)) for process in live]
        for stopper in stoppers:
            stopper.join()
        kill_marked(self._server)
        if self._reaper.stdin is not None and not self._reaper.stdin.closed:
            self._reaper.stdin.close()
        self._reaper.wait()
        shutil.rmtree(self._root, ignore_errors=True)

    def _open(
        self, launch: Launch, *, piped: bool, pass_fds: Sequence[int]
    ) -> subprocess.Popen[bytes]:
        ready = in_namespaces(launch) if self.isolation == "namespaces" else by_paths(launch)
        output = subprocess.PIPE if piped else subprocess.DEVNULL
        popen = subprocess.Popen(
            ready.argv,
            env=ready.env,
            cwd=ready.cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(*pass_fds, *launch.join),
            start_new_session=True,
        )
        self._tell_reaper(f"+{popen.pid}\n")
        return popen

    def _forget(self, pid: int) -> None:
        with self._lock:
            _, scratch = self._live.pop(pid, (None, None))
            self._tell_reaper(f"-{pid}\n")
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)

    def _tell_reaper(self, line: str) -> None:
        if self._reaper.stdin is None or self._reaper.stdin.closed:
            return
        try:
            self._reaper.stdin.write(line.encode())
            self._reaper.stdin.flush()
        except BrokenPipeError:
            _log.error("the reaper is gone: a crash of localaws would leave processes running")


def _own_env(scratch: Path) -> dict[str, str]:
    home, temporary = scratch / "home", scratch / "tmp"
    home.mkdir(parents=True)
    temporary.mkdir()
    return {
        "PATH": f"{Path(sys.executable).parent}:{SYSTEM_PATH}",
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
    }


def _thread(name: str, target: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread
