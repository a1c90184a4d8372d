"""SageMaker on this machine: training jobs, models, endpoints and notebooks that really run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import SimpleNamespace

from localaws.account.log_lines import LogLines
from localaws.account.records import Records
from localaws.clock import Timer
from localaws.faults.book import BadFault
from localaws.hosts.processes import Processes
from localaws.metrics.service import CloudWatch
from localaws.sagemaker.hosting.capture import DataCapture
from localaws.sagemaker.hosting.endpoints import Endpoints
from localaws.sagemaker.hosting.invocations import Invocations, RuntimeService
from localaws.sagemaker.hosting.metrics import EndpointMetrics
from localaws.sagemaker.models import EndpointConfigs, Models
from localaws.sagemaker.notebooks.configs import LifecycleConfigs
from localaws.sagemaker.notebooks.instances import Notebooks
from localaws.sagemaker.tags import Tags
from localaws.sagemaker.training_jobs import TrainingJobs
from localaws.sagemaker.world import World
from localaws.settings import Settings
from localaws.storage.objects import Objects
from localaws.store import Store
from localaws.wire.protocol import ModelService


class SageMaker:
    """`services` answer `sagemaker` and `sagemaker-runtime`."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Timer,
        objects: Objects,
        records: Records,
        processes: Processes,
        settings: Settings,
        watch: CloudWatch,
    ) -> None:
        self._logs = LogLines(records, clock)
        tags = Tags(store)
        world = World(
            clock=clock,
            objects=objects,
            processes=processes,
            logs=self._logs,
            sts=records,
            settings=settings,
        )
        self.training_jobs = TrainingJobs(store, tags, world)
        models = Models(store, tags, world)
        configs = EndpointConfigs(store, tags, clock, models, settings)
        self.metrics = EndpointMetrics(watch.data)
        self.endpoints = Endpoints(store, tags, models, configs, world, self.metrics, watch.alarms)
        self._capture = DataCapture(objects, clock)
        scripts = LifecycleConfigs(store, tags, clock, settings)
        self.notebooks = Notebooks(store, tags, scripts, world)
        control = _operations(
            tags, self.training_jobs, models, configs, self.endpoints, scripts, self.notebooks
        )
        self.services: dict[str, ModelService | RuntimeService] = {
            "sagemaker": ModelService("sagemaker", control),
            "sagemaker-runtime": RuntimeService(
                Invocations(self.endpoints, self.metrics, self._capture, settings)
            ),
        }

    def start(self) -> None:
        """Settle what an earlier server left; live endpoints come up in the background."""
        self.training_jobs.start()
        self.endpoints.start()
        self.notebooks.start()

    def kill(self, wanted: Mapping[str, str]) -> bool:
        """SIGKILL for one instance of an endpoint, or one host of a training job.

        `wanted` has endpoint and perhaps variant, or training_job and perhaps host; False when
        there is no such process.
        """
        if "endpoint" in wanted:
            return self.endpoints.kill_instance(wanted["endpoint"], wanted.get("variant"))
        if "training_job" in wanted:
            return self.training_jobs.kill_host(wanted["training_job"], wanted.get("host"))
        return False

    def interrupt(self, wanted: Mapping[str, str]) -> bool:
        """Take the capacity of the managed spot job `wanted["training_job"]` back.

        There is capacity again after `wanted["away_s"]` seconds of the clock (0 if absent). False
        when no program of such a job runs. Raises BadFault for seconds that are none.
        """
        if "training_job" not in wanted:
            return False
        text = wanted.get("away_s", "0")
        if not re.fullmatch(r"\d{1,7}(\.\d+)?", text):
            raise BadFault(f"away_s is {text!r}: give seconds, such as 60")
        return self.training_jobs.interrupt(wanted["training_job"], float(text))

    def close(self) -> None:
        """End everything."""
        self.training_jobs.close()
        self.notebooks.close()
        self.endpoints.close()
        self._capture.close()
        self._logs.close()


def _operations(*parts: object) -> SimpleNamespace:
    """The public methods of all parts as one object, which is what `ModelService` asks."""
    methods = {
        name: getattr(part, name)
        for part in parts
        for name in dir(type(part))
        if not name.startswith("_")
    }
    return SimpleNamespace(**methods)
