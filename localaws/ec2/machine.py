"""One instance that runs: a folder of its own, its user data as a process, its power switch."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from localaws.ec2.console import Console
from localaws.ec2.user_data import (
    ShutdownRequest,
    interpreter_of,
    parse_shutdown,
    script_of,
    shims,
)
from localaws.hosts.isolation import SYSTEM_PATH
from localaws.hosts.processes import Process, Processes

_SCRIPT = "user-data"
_FIFO = "power"
_SECONDS_A_DAY = 86_400


class Machine:
    """Started once and ended once.

    `on_power(request)` is called from a thread of its own for every command to shut down.
    """

    def __init__(
        self,
        *,
        folder: Path,
        processes: Processes,
        python_bin: Path,
        on_power: Callable[[ShutdownRequest], None],
    ) -> None:
        self._folder = folder
        self._processes = processes
        self._python_bin = python_bin
        self._on_power = on_power
        for name in ("root", "tmp", "bin"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.console = Console(folder / "console.log")
        self._lock = threading.Lock()
        self._process: Process | None = None
        self._ended = False
        fifo = folder / _FIFO
        fifo.unlink(missing_ok=True)
        os.mkfifo(fifo, 0o600)
        self._fifo_fd = os.open(fifo, os.O_RDWR)
        self._listener = threading.Thread(target=self._listen, name="ec2-power", daemon=True)

    def boot(self, user_data: bytes | None, env: Mapping[str, str]) -> None:
        """Run the user data; without any, the instance just runs. Too late after `end`."""
        with self._lock:
            if self._ended:
                return
            self._listener.start()
            for name, text in shims(str(self._folder / _FIFO)).items():
                path = self._folder / "bin" / name
                path.write_text(text)
                path.chmod(0o755)
            script = script_of(user_data) if user_data else None
            if script is not None:
                self._run(script, env)
            elif user_data:
                self.console.add("localaws: only user data that starts with #! is run here")

    def end(self, grace_s: float) -> None:
        """SIGTERM to everything in it, `grace_s` of patience, SIGKILL. `console` stays readable."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            process = self._process
        if process is not None:
            process.stop(grace_s)
        if self._listener.is_alive():
            os.write(self._fifo_fd, b"\n")
            self._listener.join()
        os.close(self._fifo_fd)
        self.console.close()

    def halt_programs(self, grace_s: float) -> None:
        """End all programs, as a reboot does; the instance itself goes on, without user data."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.stop(grace_s)

    def _run(self, script: bytes, env: Mapping[str, str]) -> None:
        path = self._folder / _SCRIPT
        path.write_bytes(script)
        path.chmod(0o700)
        home = self._folder / "root"
        own = {
            "PATH": f"{self._folder / 'bin'}:{self._python_bin}:{SYSTEM_PATH}",
            "HOME": str(home),
            "TMPDIR": str(self._folder / "tmp"),
            "USER": "root",
            "SHELL": "/bin/bash",
        }
        self._process = process = self._processes.spawn(
            [*interpreter_of(script), str(path)],
            env={**own, **env},
            cwd=home,
            on_line=lambda _, line: self.console.add(line),
            keep_children=True,
            tree=self._folder,
        )
        threading.Thread(
            target=self._report_end, args=(process,), name="ec2-user-data", daemon=True
        ).start()

    def _report_end(self, process: Process) -> None:
        status = process.wait()
        self.console.add(f"localaws: user data ended with status {status}")

    def _listen(self) -> None:
        buffer = b""
        while not self._ended:
            buffer += os.read(self._fifo_fd, 4096)
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                text = line.decode("utf-8", "replace").strip()
                request = parse_shutdown(text, time.time() % _SECONDS_A_DAY) if text else None
                if request is not None and not self._ended:
                    self.console.add(f"localaws: {text}")
                    self._on_power(request)
