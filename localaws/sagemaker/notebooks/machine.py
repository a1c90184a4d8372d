"""One notebook instance that runs: its folder, and the lifecycle scripts as processes in it."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from localaws.ec2.user_data import interpreter_of
from localaws.hosts.isolation import SYSTEM_PATH
from localaws.hosts.processes import Process, Processes
from localaws.sagemaker.notebooks.scripts import HOME, LOCAL_BIN, METADATA, moved, notebook_shims

SCRIPT_LIMIT_S = 300.0
STOP_GRACE_S = 5.0


class NotebookMachine:
    """Started once and ended once. Of its folder only SageMaker/, its volume, outlives the end."""

    def __init__(self, folder: Path, processes: Processes, *, speed: float) -> None:
        self._folder = folder
        self._processes = processes
        self._speed = speed
        self._lock = threading.Lock()
        self._running: list[Process] = []
        self._ended = False

    def prepare(self, metadata: Mapping[str, str]) -> None:
        """Make a fresh machine around the volume; `metadata` is its resource-metadata.json."""
        self._clear()
        for name in ("home", "tmp", "bin", "local-bin", "metadata", "SageMaker"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        (self._folder / "home/SageMaker").symlink_to(self._folder / "SageMaker")
        (self._folder / "metadata/resource-metadata.json").write_text(json.dumps(dict(metadata)))
        for name, text in notebook_shims(self._speed).items():
            path = self._folder / "bin" / name
            path.write_text(text)
            path.chmod(0o755)

    def run(
        self,
        script: bytes,
        *,
        env: Mapping[str, str],
        on_line: Callable[[str], None],
        limit_s: float = SCRIPT_LIMIT_S,
    ) -> int | None:
        """Exit status of a script; None when it took longer than `limit_s` of real time.

        What it leaves running lives on until `end`.
        """
        path = self._folder / "tmp/lifecycle-script"
        path.write_bytes(moved(script, self._folders()))
        path.chmod(0o700)
        with self._lock:
            if self._ended:
                return None
            process = self._processes.spawn(
                [*interpreter_of(path.read_bytes()), str(path)],
                env={**self._own_env(), **env},
                cwd=self._folder / "home",
                on_line=lambda _, line: on_line(line),
                keep_children=True,
            )
            self._running.append(process)
        return process.wait(limit_s)

    def end(self) -> None:
        """SIGTERM to everything in it, five seconds, SIGKILL."""
        with self._lock:
            self._ended = True
            running, self._running = self._running, []
        for process in running:
            process.stop(STOP_GRACE_S)

    def erase(self) -> None:
        """Remove the folder with the volume, after `end`."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _clear(self) -> None:
        if not self._folder.is_dir():
            return
        for entry in self._folder.iterdir():
            if entry.name != "SageMaker":
                shutil.rmtree(entry, ignore_errors=True)

    def _folders(self) -> dict[str, str]:
        places = {HOME: "home", LOCAL_BIN: "local-bin", METADATA: "metadata"}
        return {path: str(self._folder / name) for path, name in places.items()}

    def _own_env(self) -> dict[str, str]:
        own = f"{self._folder / 'bin'}:{self._folder / 'local-bin'}"
        return {
            "PATH": f"{own}:{Path(sys.executable).parent}:{SYSTEM_PATH}",
            "HOME": str(self._folder / "home"),
            "TMPDIR": str(self._folder / "tmp"),
            "USER": "root",
            "SHELL": "/bin/bash",
        }
