"""One endpoint instance: a model, its server process, and whether it can answer."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localaws.hosts.processes import Process
from localaws.sagemaker.archives import UnsafeArchive, unpack
from localaws.sagemaker.hosting.model_server import ModelServer, free_port
from localaws.sagemaker.words import split_s3_uri
from localaws.sagemaker.world import World
from localaws.wire.protocol import AwsError

STOP_GRACE_S = 30.0
HEALTH_LIMIT_S = 300.0
CHECK_S = 10.0
MISSED_CHECKS = 3
LOG_GROUP = "/aws/sagemaker/Endpoints"
_FIRST_PINGS_S = 0.05
_SLOWEST_PINGS_S = 0.5
_LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True, kw_only=True)
class InstanceSpec:
    """What an instance runs. `container`: Image, ModelDataUrl, Environment, ExecutionRoleArn.

    health_limit_s (until the first good ping) and check_s (between later ones) are real time:
    processes do not start faster when the clock does.
    """

    endpoint: str
    variant: str
    container: dict[str, Any]
    health_limit_s: float = HEALTH_LIMIT_S
    check_s: float = CHECK_S


class Instance:
    """Starts its server, restarts it when it dies, and ends it. `outstanding` is the fleet's."""

    def __init__(self, spec: InstanceSpec, world: World) -> None:
        self.instance_id = "i-" + secrets.token_hex(9)[:17]
        self.outstanding = 0
        self.failure: str | None = None
        self.server: ModelServer | None = None
        self._process: Process | None = None
        self._spec = spec
        self._world = world
        self._folder = world.settings.state_dir / "endpoints" / spec.endpoint / self.instance_id
        self._healthy = threading.Event()
        self._settled = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.instance_id, daemon=True)

    @property
    def is_healthy(self) -> bool:
        """Whether it answers /ping."""
        return self._healthy.is_set()

    @property
    def log_stream(self) -> str:
        """Its stream in /aws/sagemaker/Endpoints/<endpoint>."""
        return f"{self._spec.variant}/{self.instance_id}"

    def start(self) -> None:
        """Begin; `await_start` tells how it went."""
        self._thread.start()

    def await_start(self) -> bool:
        """Wait for the first health check; False when it failed (`failure` says why)."""
        self._settled.wait()
        return self.is_healthy

    def kill(self) -> bool:
        """End its program with SIGKILL, as a crash would; False when none runs."""
        process = self._process
        if process is None or process.poll() is not None:
            return False
        process.kill()
        return True

    def stop(self) -> None:
        """End the server (SIGTERM, 30 s, SIGKILL) and remove the instance's files."""
        self._stopping.set()
        self._healthy.clear()
        if self._process is not None:
            self._process.stop(STOP_GRACE_S)
        if self._thread.ident is not None:
            self._thread.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self) -> None:
        try:
            self._fetch_model()
            if not self._launch():
                self.failure = self._unhealthy()
                return
            self._settled.set()
            self._keep_alive()
        except AwsError as error:
            self.failure = error.message
        except (OSError, RuntimeError) as error:
            self.failure = str(error)
        finally:
            self._healthy.clear()
            self._settled.set()

    def _fetch_model(self) -> None:
        model = self._folder / "model"
        model.mkdir(parents=True)
        uri = self._spec.container.get("ModelDataUrl")
        if uri is None:
            return
        archive = self._folder / "model.tar.gz"
        try:
            role = self._spec.container["ExecutionRoleArn"]
            self._world.objects_of(role).download(*split_s3_uri(uri), archive)
        except AwsError as error:
            raise AwsError(
                error.code,
                f'Failed to download model data for container "container_1" from URL: "{uri}". '
                "Please ensure that there is an object located at the URL and that the role "
                "passed to CreateModel has permissions to download the object.",
            ) from error
        try:
            unpack(archive, model)
        except UnsafeArchive as error:
            raise AwsError(
                "ValidationException",
                f'Failed to extract model data archive from URL "{uri}": {error}.',
            ) from error
        archive.unlink()

    def _launch(self) -> bool:
        """Start the server; False when it ended or took too long before its first good ping."""
        port = free_port()
        process = self._process = self._spawn(port)
        server = ModelServer(port)
        deadline = time.monotonic() + self._spec.health_limit_s
        pause_s = _FIRST_PINGS_S
        while time.monotonic() < deadline and not self._stopping.is_set():
            if process.wait(pause_s) is not None:
                break
            if server.ping():
                self.server = server
                self._healthy.set()
                return True
            pause_s = min(_SLOWEST_PINGS_S, pause_s * 1.2)
        process.kill()
        process.wait()
        return False

    def _spawn(self, port: int) -> Process:
        command = self._world.settings.serve_command
        if not command:
            raise RuntimeError("localaws has no model server: start it with --serve-command")
        return self._world.processes.spawn(
            command,
            env=self._env(port),
            cwd=Path.cwd(),
            on_line=self._hear,
            mounts={"/opt/ml": self._folder},
            hostname=self.instance_id,
        )

    def _keep_alive(self) -> None:
        pause_s = 1.0
        while not self._stopping.is_set():
            if self.is_healthy:
                self._watch()
                self._healthy.clear()
                self._hang_up()
                pause_s = 1.0
            if self._stopping.wait(pause_s):
                break
            self._hear("stderr", "localaws: the model server ended and is started again")
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
            self._launch()
        self._hang_up()

    def _hang_up(self) -> None:
        if self.server is not None:
            self.server.close()

    def _watch(self) -> None:
        """Return when the server ended or no longer answers (then it is killed)."""
        process, missed = self._process, 0
        while process is not None and process.wait(self._spec.check_s) is None:
            busy = self.outstanding > 0
            missed = 0 if busy or self.server is None or self.server.ping() else missed + 1
            if missed >= MISSED_CHECKS:
                process.kill()

    def _env(self, port: int) -> dict[str, str]:
        container = self._spec.container
        env = {
            **self._world.role_env(container["ExecutionRoleArn"]),
            **container.get("Environment", {}),
            "SAGEMAKER_BIND_TO_PORT": str(port),
            "PEDIGREE_BIND": "127.0.0.1",
        }
        if self._world.processes.isolation == "paths":
            env.setdefault("SM_MODEL_DIR", str(self._folder / "model"))
        return env

    def _hear(self, stream: str, line: str) -> None:
        del stream
        self._world.logs.add(f"{LOG_GROUP}/{self._spec.endpoint}", self.log_stream, line)

    def _unhealthy(self) -> str:
        return (
            f"The primary container for production variant {self._spec.variant} did not pass the "
            "ping health check. Please check CloudWatch logs for this endpoint."
        )
