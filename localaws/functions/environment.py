"""One execution environment: a process with AWS's own runtime client that runs one version.

The memory limit is kept by looking at the resident memory of the process and its descendants ten
times a second while an event is worked on, and at the peak afterwards (an address space limit would
break programs that map much and use little, as numpy and model runtimes do).
"""

from __future__ import annotations

import json
import platform
import signal
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from localaws.functions.config import Config
from localaws.functions.memory import PeakGauge, resident_mb
from localaws.functions.output import OutputTap
from localaws.functions.runtime_api import Answer, Invocation, RuntimeApi
from localaws.hosts.processes import Process, Processes

TASK_ROOT = "/var/task"
INIT_TIMEOUT_S = 10.0
_WATCH_S = 0.1
_EXIT_WAIT_S = 5.0
TAIL_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How an invocation went. `answer` is None when the time was over."""

    answer: Answer | None
    duration_ms: float
    max_memory_mb: int
    out_of_memory: bool = False
    exit_text: str = ""


class Environment:
    """Started once, given one event after another, closed once. One caller at a time.

    `write_line(text)` takes every line of output as it appears.
    """

    def __init__(
        self, *, config: Config, initialization: str, write_line: Callable[[str], None], now: float
    ) -> None:
        self.config = config
        self.initialization = initialization
        day = datetime.fromtimestamp(now, UTC).strftime("%Y/%m/%d")
        self.log_stream = f"{day}/[{config['Version']}]{uuid.uuid4().hex}"
        self.init_ms: float | None = None
        self.idle_since = now
        self.retired = False
        self._write_line = write_line
        self._tail: deque[str] = deque()
        self._tail_bytes = 0
        self._tail_lock = threading.Lock()
        self._api = RuntimeApi()
        self._output = OutputTap(self.log)
        self._process: Process | None = None
        self._began = 0.0
        self._peak_mb = 0
        self._gauge: PeakGauge | None = None

    def start(self, processes: Processes, code: Path, env: Mapping[str, str]) -> None:
        """Start the process; `env` adds to what Lambda itself sets."""
        version = platform.python_version()
        self.log(f"INIT_START Runtime Version: python:{version} (localaws)")
        own = _lambda_variables(self.config, self.initialization, self.log_stream)
        pipe = f"/dev/fd/{self._output.write_fd}"
        runtime = [sys.executable, "-m", "awslambdaric", self.config["Handler"]]
        self._began = time.monotonic()
        self._process = process = processes.spawn(
            ["/bin/sh", "-c", f'exec "$@" >{pipe} 2>&1', "sh", *runtime],
            env={**env, **own, "AWS_LAMBDA_RUNTIME_API": self._api.address},
            cwd=Path(TASK_ROOT),
            on_line=None,
            mounts={TASK_ROOT: code},
            pass_fds=(self._output.write_fd,),
        )
        self._gauge = PeakGauge(process.pid)
        self._output.begin()
        threading.Thread(
            target=self._watch_exit, args=(process,), name="lambda-exit", daemon=True
        ).start()

    def await_ready(self, timeout_s: float) -> Answer | None:
        """None when the runtime is ready or still busy with its start; else why it failed."""
        failure = self._api.wait_ready(timeout_s)
        if self.init_ms is None and (self.ready or failure is not None):
            self.init_ms = (time.monotonic() - self._began) * 1000
        self._output.drain()  # what the start printed comes before the first event's START
        return failure

    @property
    def ready(self) -> bool:
        """Whether it waits for an event or has had one."""
        return self._api.ready

    @property
    def usable(self) -> bool:
        """Whether it can take another event."""
        running = self._process is not None and self._process.poll() is None
        return running and not self.retired

    def run(self, invocation: Invocation, timeout_s: float) -> Ending:
        """Give it one event and wait for the end; after a time-out or exit it is not usable."""
        began = time.monotonic()
        self._api.offer(invocation)
        answer, out_of_memory = self._follow(began + timeout_s)
        duration_ms = (time.monotonic() - began) * 1000
        self._output.drain()
        self._note_memory(self._gauge.read_mb() if self._gauge else 0)
        out_of_memory = out_of_memory or self._peak_mb > self.config["MemorySize"]
        exit_text = ""
        if answer is None or out_of_memory:
            self.retired = True
            self.kill()
            exit_text = "signal: killed"
        elif answer.kind == "exited":
            self.retired = True
            self._output.wait_end(_EXIT_WAIT_S)
            exit_text = _exit_text(self._process.wait(_EXIT_WAIT_S) if self._process else None)
        elif answer.kind == "too_large":
            self.retired = True  # awslambdaric exits when its response is not accepted
        return Ending(
            answer=answer,
            duration_ms=min(duration_ms, timeout_s * 1000) if answer is None else duration_ms,
            max_memory_mb=min(self._peak_mb, self.config["MemorySize"]),
            out_of_memory=out_of_memory,
            exit_text=exit_text,
        )

    @property
    def pid(self) -> int:
        """The process, or 0 before the start."""
        return self._process.pid if self._process is not None else 0

    def log(self, line: str) -> None:
        """Write one line to the function's log and remember it for the tail."""
        line = line.replace("\r", "\n")  # awslambdaric keeps a traceback together by them
        self._write_line(line)
        with self._tail_lock:
            self._tail.append(line)
            self._tail_bytes += len(line) + 1
            while len(self._tail) > 1 and self._tail_bytes - len(self._tail[0]) - 1 > TAIL_BYTES:
                self._tail_bytes -= len(self._tail.popleft()) + 1

    def take_tail(self) -> bytes:
        """The last 4 KB of the lines since the last call."""
        with self._tail_lock:
            text = "".join(f"{line}\n" for line in self._tail)
            self._tail.clear()
            self._tail_bytes = 0
        return text.encode()[-TAIL_BYTES:]

    def kill(self) -> None:
        """End the process now, as Lambda does: without a word to it."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """End the process and the Runtime API; may be called again."""
        self.retired = True
        self.kill()
        self._api.close()
        if self._gauge is not None:
            self._gauge.close()

    def _follow(self, deadline: float) -> tuple[Answer | None, bool]:
        limit_mb = self.config["MemorySize"]
        while True:
            left = deadline - time.monotonic()
            answer = self._api.take_answer(max(0.0, min(left, _WATCH_S)))
            if answer is not None or left <= 0:
                return answer, False
            self._note_memory(resident_mb(self.pid))
            if self._peak_mb > limit_mb:
                return None, True

    def _note_memory(self, megabytes: int) -> None:
        self._peak_mb = max(self._peak_mb, megabytes)

    def _watch_exit(self, process: Process) -> None:
        process.wait()
        self._output.wait_end(_EXIT_WAIT_S)
        self._api.report_exit()


def _lambda_variables(config: Config, initialization: str, log_stream: str) -> dict[str, str]:
    """The environment variables that Lambda documents for every function."""
    logging = config["LoggingConfig"]
    found = {
        **config.get("Environment", {}).get("Variables", {}),
        "_HANDLER": config["Handler"],
        "LAMBDA_TASK_ROOT": TASK_ROOT,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{config['Runtime']}",
        "AWS_LAMBDA_FUNCTION_NAME": config["FunctionName"],
        "AWS_LAMBDA_FUNCTION_VERSION": config["Version"],
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config["MemorySize"]),
        "AWS_LAMBDA_INITIALIZATION_TYPE": initialization,
        "AWS_LAMBDA_LOG_GROUP_NAME": logging["LogGroup"],
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "TZ": ":UTC",
    }
    if logging["LogFormat"] == "JSON":
        found["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        found["AWS_LAMBDA_LOG_LEVEL"] = logging["ApplicationLogLevel"]
    return found


def _exit_text(status: int | None) -> str:
    if status is None or status == 0:
        return ""
    if status < 0:
        return f"signal: {signal.Signals(-status).name.removeprefix('SIG').lower()}"
    return f"exit status {status}"


def error_payload(error_type: str, message: str) -> bytes:
    """The payload of an error that the platform, not the handler, reports."""
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()
