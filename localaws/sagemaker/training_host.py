"""One host of a training job: its folder by the container contract, its process, its last words."""

from __future__ import annotations

import re
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from localaws.clock import Timer
from localaws.hosts.network import Network
from localaws.hosts.processes import Process, Processes
from localaws.sagemaker.training_request import (
    CHECKPOINTS,
    checkpoint_folder,
    command,
    config_files,
)
from localaws.sagemaker.words import Params

STOP_GRACE_S = 120.0
TAIL_LINES = 20
REASON_CHARS = 1024
_LINE_SCANNED = 4096
_SHELL_SIGNAL_BASE = 128


class TrainingHost:
    """`name` (algo-1) with everything it sees as /opt/ml below `folder`."""

    def __init__(self, name: str, folder: Path, params: Params) -> None:
        self.name = name
        self.folder = folder
        self._params = params
        self._said: dict[str, deque[str]] = {
            "stdout": deque(maxlen=TAIL_LINES),
            "stderr": deque(maxlen=TAIL_LINES),
        }
        self.process: Process | None = None

    @property
    def checkpoints(self) -> Path:
        """The folder that the request's CheckpointConfig keeps."""
        inside = checkpoint_folder(self._params) or CHECKPOINTS
        below = inside.removeprefix("/opt/ml/")
        return self.folder / ("checkpoints" if below == inside else below)

    def prepare(self) -> None:
        """Make the folders and the files of input/config."""
        for part in ("input/config", "input/data", "model", "output/data"):
            (self.folder / part).mkdir(parents=True)
        if checkpoint_folder(self._params) is not None:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
        # The hosts of a job share a loopback interface, so that is the interface they must talk over.
        interface = "lo" if sys.platform.startswith("linux") else "lo0"
        for name, text in config_files(self._params, self.name, interface).items():
            (self.folder / "input/config" / name).write_text(text)

    def start(
        self,
        processes: Processes,
        *,
        hosts: Sequence[str],
        env: Mapping[str, str],
        on_line: Callable[[str], None],
        network: Network | None,
    ) -> Process:
        """Start the request's command; every line of either stream goes to `on_line`."""

        def hear(stream: str, line: str) -> None:
            self._said[stream].append(line)
            on_line(line)

        mounts = {"/opt/ml": self.folder}
        kept = checkpoint_folder(self._params)
        if kept is not None and not kept.startswith("/opt/ml/"):
            mounts[kept] = self.checkpoints
        self.process = processes.spawn(
            command(self._params),
            env=env,
            cwd=Path("/opt/ml"),
            on_line=hear,
            mounts=mounts,
            hostname=self.name,
            hosts=dict.fromkeys(hosts, "127.0.0.1"),
            network=network,
        )
        return self.process

    def failure_reason(self, status: int) -> str:
        """SageMaker's sentence: what output/failure or the last lines say, host and exit code."""
        code = _SHELL_SIGNAL_BASE - status if status < 0 else status
        end = f", exit code: {code}"
        text = self._failure_file()
        start = f"AlgorithmError: {self.name}: "
        room = REASON_CHARS - len(start) - len(end)
        if text:
            return start + text[:room] + end
        lines = self._said["stderr"] or self._said["stdout"]
        return start + "\n".join(lines).strip()[-room:] + end

    def _failure_file(self) -> str:
        path = self.folder / "output/failure"
        if path.is_symlink() or not path.is_file():
            return ""
        with path.open("rb") as stream:
            return stream.read(4 * REASON_CHARS).decode("utf-8", "replace").strip()


def first_failed(hosts: Iterable[TrainingHost]) -> tuple[TrainingHost, int] | None:
    """The host that ended first of those that ended badly: its siblings fail because of it."""
    failed = [
        (host.process.ended_at or 0.0, host, status)
        for host in hosts
        if host.process is not None and (status := host.process.poll())
    ]
    if not failed:
        return None
    _, host, status = min(failed, key=lambda one: one[0])
    return host, status


def ask_to_end(processes: Sequence[Process], clock: Timer, ended: threading.Event) -> None:
    """SIGTERM at once, and SIGKILL after 120 seconds unless `ended` was set; returns at once."""
    for process in processes:
        process.terminate()

    def insist() -> None:
        if not clock.sleep(STOP_GRACE_S, ended):
            for process in processes:
                process.kill()

    threading.Thread(target=insist, name="stop-grace", daemon=True).start()


class MetricReader:
    """Values that the request's MetricDefinitions find in the log lines; the last one counts."""

    def __init__(self, params: Params, now: Callable[[], float]) -> None:
        definitions = params["AlgorithmSpecification"].get("MetricDefinitions", [])
        self._patterns = [(d["Name"], re.compile(d["Regex"])) for d in definitions]
        self._now = now
        self._lock = threading.Lock()
        self._last: dict[str, dict[str, Any]] = {}

    def read(self, line: str) -> None:
        """Look for every metric in one line (its first 4096 characters)."""
        for name, pattern in self._patterns:
            found = pattern.search(line[:_LINE_SCANNED])
            if found is None or not found.groups():
                continue
            try:
                value = float(found.group(1))
            except (TypeError, ValueError):
                continue
            with self._lock:
                self._last[name] = {"MetricName": name, "Value": value, "Timestamp": self._now()}

    def final(self) -> list[dict[str, Any]]:
        """FinalMetricDataList."""
        with self._lock:
            return list(self._last.values())
