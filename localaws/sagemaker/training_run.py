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
from localaws.sagemaker.training_host import (
    MetricReader,
    TrainingHost,
    ask_to_end,
    first_failed,
)
from localaws.sagemaker.training_outputs import CheckpointSync, OutputLocation, merged
from localaws.sagemaker.training_record import (
    DOWNLOADING,
    FAILED,
    INTERRUPTED,
    STARTING,
    TRAINING,
    UPLOADING,
    JobRecord,
    end_of,
)
from localaws.sagemaker.training_request import host_env, host_names, max_runtime_s
from localaws.sagemaker.training_spot import SpotCapacity
from localaws.sagemaker.words import Params
from localaws.sagemaker.world import World
from localaws.wire.protocol import AwsError

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
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
        self._objects = world.objects_of(params["RoleArn"])
        self._output = OutputLocation(params, self._objects)
        self._checkpoints: CheckpointSync | None = None
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._expired = threading.Event()
        self._abandoned = threading.Event()
        self._trained_s = 0.0
        self._spot = SpotCapacity(params, world.clock, self._wake.set)
        self._thread = threading.Thread(
            target=self._run, name=f"job-{self._work.name}", daemon=True
        )

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the hosts to end: SIGTERM, 120 seconds, SIGKILL. Returns at once."""
        self._stop.set()
        self._spot.leave()
        self._wake.set()

    def abandon(self) -> None:
        """End the hosts at once and record that localaws went down. Returns at once."""
        self._abandoned.set()
        self._spot.leave()
        self._wake.set()

    def interrupt(self, away_s: float) -> bool:
        """Take the spot capacity back for `away_s`; False when no program of a spot job runs."""
        running = [h for h in self._hosts if h.process is not None and h.process.poll() is None]
        return bool(running) and self._spot.take(away_s)

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
            self._spot.begin()
            began = {"TrainingStartTime": self._world.clock.now()}
            while self._attempt(began) and self._capacity_returns():
                self._record.move(STARTING)
                began = {}
            self._leave_if_abandoned()
            self._upload()
        except _Failed as failure:
            self._fail(str(failure))
        except Exception as fault:
            _log.exception("training job %s", self._work.name)
            self._fail(f"InternalServerError: {type(fault).__name__}: {fault}")
        finally:
            self._spot.leave()
            shutil.rmtree(self._work, ignore_errors=True)
            self._on_end()

    def _attempt(self, members: Mapping[str, float]) -> bool:
        """Download and train; whether spot capacity was taken back before the end."""
        self._record.move(DOWNLOADING, **members)
        self._download()
        if self._ends_early():
            return False
        self._record.move(TRAINING)
        return self._train()

    def _capacity_returns(self) -> bool:
        """Keep the checkpoints and wait for capacity; False when the job ends instead."""
        try:
            if self._checkpoints is not None:
                self._checkpoints.finish()
        except AwsError as error:
            raise _Failed(f"ClientError: Artifact upload failed:{error.message}") from error
        return not self._ends_early() and self._spot.await_return()

    def _ends_early(self) -> bool:
        return self._stop.is_set() or self._expired.is_set() or self._spot.waited_too_long

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
                    download(files, host.folder / "input/data" / name, self._objects)
                    self._leave_if_abandoned()
            self._restore_checkpoints()
        except (AwsError, OSError) as error:
            said = error.message if isinstance(error, AwsError) else str(error)
            raise _Failed(f"ClientError: Data download failed:{said}") from error

    def _restore_checkpoints(self) -> None:
        config = self._params.get("CheckpointConfig")
        if config is not None:
            folders = [host.checkpoints for host in self._hosts]
            self._checkpoints = CheckpointSync(config["S3Uri"], folders, self._objects)
            self._checkpoints.restore()

    def _train(self) -> bool:
        """Run the hosts to their end; whether that was an interruption."""
        trained, began = threading.Event(), self._world.clock.now()
        outside = not self._params.get("EnableNetworkIsolation", False)
        network = self._world.processes.open_network(outside=outside)
        try:
            processes = [self._start(host, network) for host in self._hosts]
            if self._checkpoints is not None:
                self._checkpoints.start()
            threading.Thread(
                target=self._expire, args=(trained,), name="max-runtime", daemon=True
            ).start()
            interrupted = self._await(processes, trained)
        finally:
            trained.set()
            self._trained_s += self._world.clock.now() - began
            for host in self._hosts:
                if host.process is not None:
                    host.process.kill()
                    host.process.wait()
            if network is not None:
                network.close()
            self._world.logs.flush()
        self._leave_if_abandoned()
        return interrupted

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

    def _expire(self, trained: threading.Event) -> None:
        left_s = max_runtime_s(self._params) - self._trained_s
        if not self._world.clock.sleep(left_s, trained):
            self._expired.set()
            self._wake.set()

    def _await(self, processes: list[Process], trained: threading.Event) -> bool:
        asked = interrupted = False
        while any(process.poll() is None for process in processes):
            self._wake.wait()
            self._wake.clear()
            if self._abandoned.is_set():
                return False
            if not asked and first_failed(self._hosts) is not None:
                break
            if not asked and (self._ends_early() or self._spot.taken):
                asked, interrupted = True, not self._ends_early()
                if interrupted:
                    self._record.move(INTERRUPTED)
                ask_to_end(processes, self._world.clock, trained)
        failed = first_failed(self._hosts)
        if failed is not None and not interrupted and not self._ends_early():
            host, status = failed
            raise _Failed(host.failure_reason(status))
        return interrupted

    def _leave_if_abandoned(self) -> None:
        if self._abandoned.is_set():
            raise _Failed(WENT_DOWN)

    def _upload(self) -> None:
        model = merged(host.folder / "model" for host in self._hosts)
        ended_early = self._ends_early()
        self._record.move(UPLOADING)
        members: dict[str, Any] = {"FinalMetricDataList": self._metrics.final()}
        try:
            if model or not ended_early:
                self._output.upload("model", model, self._work)
                members["ModelArtifacts"] = {"S3ModelArtifacts": self._output.uri("model")}
            self._upload_output()
        except AwsError as error:
            raise _Failed(f"ClientError: Artifact upload failed:{error.message}") from error
        stopped, expired = self._stop.is_set(), self._expired.is_set()
        waited = self._spot.waited_too_long
        self._record.finish(end_of(stopped=stopped, expired=expired, waited=waited), **members)

    def _upload_output(self) -> None:
        """Checkpoints and output/data, which a job that failed leaves too. Raises `AwsError`."""
        if self._checkpoints is not None:
            self._checkpoints.finish()
        output = merged(host.folder / "output/data" for host in self._hosts)
        if output:
            self._output.upload("output", output, self._work)
