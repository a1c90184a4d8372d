"""A house of its own for a journey: an empty folder, a free port, and the installed commands."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from PIL import Image

BIN = Path(sys.executable).parent


def free_port() -> int:
    """A loopback port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def small_photos(root: Path) -> None:
    """Two classes that one look tells apart."""
    for split, count in (("train", 8), ("valid", 3), ("test", 3)):
        for name, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                shade = tuple(min(255, part + 5 * index) for part in colour)
                data = io.BytesIO()
                Image.new("RGB", (240 + index, 230), shade).save(data, "JPEG")
                (folder / f"{split}-{index}.jpg").write_bytes(data.getvalue())


@dataclass(frozen=True, kw_only=True)
class House:
    """One workspace; commands run in it as a person would type them."""

    root: Path
    port: int

    @property
    def env(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MLFLOW_"))}
        return {
            **kept,
            "PEDIGREE_HOME": str(self.root),
            "PEDIGREE_PORT": str(self.port),
            "COLUMNS": "160",
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command in a session of its own."""
        return subprocess.Popen(
            [str(BIN / words[0]), *words[1:]],
            cwd=self.root,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def type(self, *words: str, expect: int = 0, timeout_s: float = 300) -> str:
        """Run a command to its end, hold its exit code against `expect`; all it said."""
        return "".join(self._run(*words, expect=expect, timeout_s=timeout_s))

    def _run(self, *words: str, expect: int = 0, timeout_s: float = 300) -> tuple[str, str]:
        running = self.start(*words)
        try:
            output, errors = running.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            raise
        said = f"{' '.join(words)}: {running.returncode}\n{output}\n{errors}"
        assert running.returncode == expect, said
        return output, errors

    def type_json(self, *words: str, **options: Any) -> Any:
        """The same for a command with `--json`, whose standard output is one document."""
        return json.loads(self._run(*words, "--json", **options)[0])

    def client(self, service: str) -> Any:
        """boto3's own client of AWS on this machine, while it is up."""
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id="AKIATESTTESTTESTTEST",
            aws_secret_access_key="test",
        )

    def processes(self) -> list[str]:
        """Command lines of all living processes that belong to this workspace."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                environment = (entry / "environ").read_bytes().decode(errors="replace")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state != "Z" and (str(self.root) in line or str(self.root) in environment):
                found.append(line)
        return found

    def none_left(self, within_s: float = 15) -> list[str]:
        """What still runs after waiting; empty if all is gone."""
        deadline = time.monotonic() + within_s
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left
