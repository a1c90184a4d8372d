"""One training job from download to upload, on real processes."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from localaws.hosts.images import image_env
from localaws.hosts.network import PROXY_PORT, Network, proxy_env
from localaws.hosts.processes import Process
from localaws.sagemaker.training_data import ChannelFile, download, share
from localaws.sagemaker.training_host import MetricReader, TrainingHost
from localaws.sagemaker.training_outputs import CheckpointSync, OutputLocation, merged
from localaws.sagemaker.training_record import (
    COMPLETED,
    DOWNLOADING,
    EXPIRED,
    FAILED,
    STOPPED,
    TRAINING,
    UPLOADING,
    JobRecord,
)
from localaws.sagemaker.training_request import host_env, host_names, max_runtime_s
from localaws.sagemaker.words import Params
from localaws.sagemaker.world import World
from localaws.wire.protocol import AwsError

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
STOP_GRACE_S = 120.0
WENT_DOWN = (
    "InternalServerError: localaws went down while this job was running. Start the job again; "
    "a CheckpointConfig lets it continue where it was."
)
_log = logging.getLogger(__name__)


class _Failed(Exception):
    """The job failed; the text is its FailureReason."""


class TrainingRun:
    """Runs one job in a thread of its own; `stop` and `abandon` may be called at any time."""

    def __init__(
        self,
        params: Params,
        *,
        record: JobRecord,
        files: Mapping[str, Sequence[ChannelFile]],
        env: Mapping[str, str],
        job_arn: str,
        world: World,
        on_end: Callable[[], None],
    ) -> None:
        self._params = params
        self._record = record
        self._files = files
        self._world = world
        self._on_end = on_end
        image = params["AlgorithmSpecification"].get("TrainingImage", "")
        self._env = {
            **image_env(world.settings.images, image),
            **host_env(params, job_arn, os.cpu_count() or 1),
            **env,
        }
        self._work = world.settings.state_dir / "training" / params["TrainingJobName"]
        names = host_names(params)
        self._hosts = [TrainingHost(name, self._work / name, params) for name in names]
        self._metrics = MetricReader(params, world.clock.now)
        self._output = OutputLocation(params, world.objects)
        self._checkpoints: CheckpointSync | None = None
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._expired = threading.Event()
        self._abandoned = threading.Event()
        self._trained = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"job-{self._work.name}", daemon=True
        )

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the hosts to end: SIGTERM, 120 seconds, SIGKILL. Returns at once."""
        self._stop.set()
        self._wake.set()

    def abandon(self) -> None:
        """End the hosts at once and record that localaws went down. Returns at once."""
        self._abandoned.set()
        self._wake.set()

    def kill_host(self, name: str | None) -> bool:
        """End one host's program with SIGKILL, as a crash would; False when none runs."""
        for host in self._hosts:
            process = host.process
            if name in (None, host.name) and process is not None and process.poll() is None:
                process.kill()
                return True
        return False

    def join(self) -> None:
        """Wait for the end."""
        self._thread.join()

    def _run(self) -> None:
        try:
            self._record.move(DOWNLOADING, TrainingStartTime=self._world.clock.now())
            self._download()
            if not self._stop.is_set():
                self._record.move(TRAINING)
                self._train()
            self._upload()
        except _Failed as failure:
            self._fail(str(failure))
        except Exception as fault:
            _log.exception("training job %s", self._work.name)
            self._fail(f"InternalServerError: {type(fault).__name__}: {fault}")
        finally:
            shutil.rmtree(self._work, ignore_errors=True)
            self._on_end()

    def _fail(self, reason: str) -> None:
        try:
            self._upload_output()
        except (AwsError, OSError) as error:
            _log.warning("the output of %s was not uploaded: %s", self._work.name, error)
        self._world.logs.flush()
        final = self._metrics.final()
        self._record.finish(FAILED, FailureReason=reason[:1024], FinalMetricDataList=final)

    def _download(self) -> None:
        shutil.rmtree(self._work, ignore_errors=True)
        try:
            for number, host in enumerate(self._hosts):
                host.prepare()
                for channel in self._params.get("InputDataConfig", []):
                    name = channel["ChannelName"]
                    files = share(self._files[name], channel, number, len(self._hosts))
                    download(files, host.folder / "input/data" / name, self._world.objects)
                    self._leave_if_abandoned()
            self._restore_checkpoints()
        except (AwsError, OSError) as error:
            said = error.message if isinstance(error, AwsError) else str(error)
            raise _Failed(f"ClientError: Data download failed:{said}") from error

    def _restore_checkpoints(self) -> None:
        config = self._params.get("CheckpointConfig")
        if config is not None:
            folders = [host.checkpoints for host in self._hosts]
            self._checkpoints = CheckpointSync(config["S3Uri"], folders, self._world.objects)
            self._checkpoints.restore()

    def _train(self) -> None:
        outside = not self._params.get("EnableNetworkIsolation", False)
        network = self._world.processes.open_network(outside=outside)
        try:
            processes = [self._start(host, network) for host in self._hosts]
            if self._checkpoints is not None:
                self._checkpoints.start()
            threading.Thread(target=self._expire, name="max-runtime", daemon=True).start()
            self._await(processes)
        finally:
            self._trained.set()
            for host in self._hosts:
                if host.process is not None:
                    host.process.kill()
                    host.process.wait()
            if network is not None:
                network.close()
            self._world.logs.flush()
        self._leave_if_abandoned()

    def _start(self, host: TrainingHost, network: Network | None) -> Process:
        world, job = self._world, self._work.name
        stream = f"{job}/{host.name}-{int(world.clock.now())}"

        def hear(line: str) -> None:
            world.logs.add(LOG_GROUP, stream, line)
            self._metrics.read(line)

        hosts = [each.name for each in self._hosts]
        env = self._env
        if network is not None and PROXY_PORT in network.listeners:
            env = {**proxy_env(hosts), **env}
        process = host.start(world.processes, hosts=hosts, env=env, on_line=hear, network=network)
        threading.Thread(target=self._watch, args=(process,), daemon=True).start()
        return process

    def _watch(self, process: Process) -> None:
        process.wait()
        self._wake.set()

    def _expire(self) -> None:
        limit_s = max_runtime_s(self._params)
        if not self._world.clock.sleep(limit_s, self._trained):
            self._expired.set()
            self._wake.set()

    def _await(self, processes: list[Process]) -> None:
        asked = False
        while any(process.poll() is None for process in processes):
            self._wake.wait()
            self._wake.clear()
            if self._abandoned.is_set():
                return
            if not asked and self._first_failed() is not None:
                break
            if not asked and (self._stop.is_set() or self._expired.is_set()):
                asked = True
                self._ask_to_end(processes)
        failed = self._first_failed()
        if failed is not None and not self._stop.is_set() and not self._expired.is_set():
            host, status = failed
            raise _Failed(host.failure_reason(status))

    def _first_failed(self) -> tuple[TrainingHost, int] | None:
        """The host that ended first of those that ended badly: its siblings fail because of it."""
        failed = [
            (host.process.ended_at or 0.0, host, status)
            for host in self._hosts
            if host.process is not None and (status := host.process.poll())
        ]
        if not failed:
            return None
        _, host, status = min(failed, key=lambda one: one[0])
        return host, status

    def _ask_to_end(self, processes: list[Process]) -> None:
        for process in processes:
            process.terminate()

        def insist() -> None:
            if not self._world.clock.sleep(STOP_GRACE_S, self._trained):
                for process in processes:
                    process.kill()

        threading.Thread(target=insist, name="stop-grace", daemon=True).start()

    def _leave_if_abandoned(self) -> None:
        if self._abandoned.is_set():
            raise _Failed(WENT_DOWN)

    def _upload(self) -> None:
        model = merged(host.folder / "model" for host in self._hosts)
        ended_early = self._stop.is_set() or self._expired.is_set()
        self._record.move(UPLOADING)
        members: dict[str, Any] = {"FinalMetricDataList": self._metrics.final()}
        try:
            if model or not ended_early:
                self._output.upload("model", model, self._work)
                members["ModelArtifacts"] = {"S3ModelArtifacts": self._output.uri("model")}
            self._upload_output()
        except AwsError as error:
            raise _Failed(f"ClientError: Artifact upload failed:{error.message}") from error
        final = STOPPED if self._stop.is_set() else EXPIRED if ended_early else COMPLETED
        self._record.finish(final, **members)

    def _upload_output(self) -> None:
        """Checkpoints and output/data, which a job that failed leaves too. Raises `AwsError`."""
        if self._checkpoints is not None:
            self._checkpoints.finish()
        output = merged(host.folder / "output/data" for host in self._hosts)
        if output:
            self._output.upload("output", output, self._work)
