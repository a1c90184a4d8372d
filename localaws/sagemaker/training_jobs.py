"""SageMaker's training job operations."""

from __future__ import annotations

import shutil
import threading

from localaws.account import roles
from localaws.sagemaker.listing import Columns, page
from localaws.sagemaker.tags import Tags
from localaws.sagemaker.training_data import ChannelFile, channel_files
from localaws.sagemaker.training_record import FAILED, FINAL, STARTING, JobRecord, advance
from localaws.sagemaker.training_request import MAX_RUNTIME_DEFAULT_S, check_request
from localaws.sagemaker.training_run import WENT_DOWN, TrainingRun
from localaws.sagemaker.words import Doc, Params, arn, invalid
from localaws.sagemaker.world import World
from localaws.store import Store
from localaws.wire.protocol import AwsError, Caller

SERVICE = "sagemaker.amazonaws.com"
_NOT_DESCRIBED = ("Tags", "SessionChainingConfig")
_SUMMARY = (
    "TrainingJobName",
    "TrainingJobArn",
    "CreationTime",
    "TrainingEndTime",
    "LastModifiedTime",
    "TrainingJobStatus",
    "SecondaryStatus",
)
_COLUMNS = Columns(name="TrainingJobName", status="TrainingJobStatus", default_order="Ascending")


def not_found() -> AwsError:
    """A training job that does not exist."""
    return invalid("Requested resource not found.")


class TrainingJobs:
    """Create, describe, list, stop and delete training jobs, which run on this machine."""

    def __init__(self, store: Store, tags: Tags, world: World) -> None:
        self._table = store.table("training-jobs")
        self._tags = tags
        self._world = world
        self._lock = threading.Lock()
        self._runs: dict[str, TrainingRun] = {}
        self._records: dict[str, JobRecord] = {}

    def start(self) -> None:
        """Fail the jobs that an earlier server left unfinished, and clear their folders."""
        shutil.rmtree(self._world.settings.state_dir / "training", ignore_errors=True)
        for name, doc in self._table.items():
            if doc["TrainingJobStatus"] not in FINAL:
                self._record(name).finish(FAILED, FailureReason=WENT_DOWN)

    def close(self) -> None:
        """End running jobs at once; they are recorded as failed because localaws went down."""
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            run.abandon()
        for run in runs:
            run.join()

    def create_training_job(self, params: Params, caller: Caller) -> Doc:
        """SageMaker CreateTrainingJob; the job begins at once."""
        del caller
        check_request(params)
        job_arn = arn(self._world.settings, "training-job", params["TrainingJobName"])
        files = self._find_data(params)
        env = self._role_env(params["RoleArn"])
        doc = _document(params, job_arn, self._world.clock.now())
        if not self._table.insert(params["TrainingJobName"], doc):
            raise AwsError(
                "ResourceInUse",
                "Training job names must be unique within an AWS account and region, and a "
                f"training job with this name already exists ({job_arn})",
            )
        self._tags.set(job_arn, params.get("Tags", []))
        self._run(params, job_arn, files, env)
        return {"TrainingJobArn": job_arn}

    def describe_training_job(self, params: Params, caller: Caller) -> Doc:
        """SageMaker DescribeTrainingJob."""
        del caller
        return self._get(params)

    def list_training_jobs(self, params: Params, caller: Caller) -> Doc:
        """SageMaker ListTrainingJobs."""
        del caller
        docs, token = page([doc for _, doc in self._table.items()], params, _COLUMNS)
        summaries = [{key: doc[key] for key in _SUMMARY if key in doc} for doc in docs]
        return {"TrainingJobSummaries": summaries, "NextToken": token}

    def stop_training_job(self, params: Params, caller: Caller) -> Doc:
        """SageMaker StopTrainingJob; returns at once."""
        del caller
        doc, name = self._get(params), params["TrainingJobName"]
        if doc["TrainingJobStatus"] == "Stopping":
            return {}
        if not self._record(name).stop_requested():
            status = self._get(params)["TrainingJobStatus"]
            raise invalid(
                f"The request was rejected because the training job is in status {status}."
            )
        with self._lock:
            run = self._runs.get(name)
        if run is not None:
            run.stop()
        return {}

    def delete_training_job(self, params: Params, caller: Caller) -> Doc:
        """SageMaker DeleteTrainingJob: the record only, and only of a job that has ended."""
        del caller
        doc, name = self._get(params), params["TrainingJobName"]
        if doc["TrainingJobStatus"] not in FINAL:
            status = doc["TrainingJobStatus"]
            raise AwsError("ResourceInUse", f"The training job {name} is in status {status}.")
        self._tags.forget(doc["TrainingJobArn"])
        self._table.delete(name)
        return {}

    def kill_host(self, name: str, host: str | None = None) -> bool:
        """End the program of one host of a running job with SIGKILL; False when there is none."""
        with self._lock:
            run = self._runs.get(name)
        return run is not None and run.kill_host(host)

    def interrupt(self, name: str, away_s: float) -> bool:
        """Take the capacity of a running managed spot job back for `away_s` of the clock.

        False when no program of such a job runs.
        """
        with self._lock:
            run = self._runs.get(name)
        return run is not None and run.interrupt(away_s)

    def _get(self, params: Params) -> Doc:
        doc = self._table.get(params["TrainingJobName"])
        if doc is None:
            raise not_found()
        return doc

    def _record(self, name: str) -> JobRecord:
        with self._lock:
            if name not in self._records:
                self._records[name] = JobRecord(self._table, self._world.clock, name)
            return self._records[name]

    def _find_data(self, params: Params) -> dict[str, list[ChannelFile]]:
        region, role = self._world.settings.region, params["RoleArn"]
        objects = self._world.objects_of(role)
        return {
            channel["ChannelName"]: channel_files(channel, objects, region=region, role=role)
            for channel in params.get("InputDataConfig", [])
        }

    def _role_env(self, role_arn: str) -> dict[str, str]:
        if not roles.trusts(role_arn, SERVICE):
            raise invalid(
                f"Could not assume role {role_arn}. Please ensure that the role exists and allows "
                f"principal '{SERVICE}' to assume the role."
            )
        return self._world.role_env(role_arn)

    def _run(
        self, params: Params, job_arn: str, files: dict[str, list[ChannelFile]], env: dict[str, str]
    ) -> None:
        name = params["TrainingJobName"]
        run = TrainingRun(
            params,
            record=self._record(name),
            files=files,
            env=env,
            job_arn=job_arn,
            world=self._world,
            on_end=lambda: self._forget(name),
        )
        with self._lock:
            self._runs[name] = run
        run.start()
        # A stop that came before the run was known found nobody to tell.
        doc = self._table.get(name)
        if doc is not None and doc["TrainingJobStatus"] == "Stopping":
            run.stop()

    def _forget(self, name: str) -> None:
        with self._lock:
            self._runs.pop(name, None)
            self._records.pop(name, None)


def _document(params: Params, job_arn: str, now: float) -> Doc:
    doc = {key: value for key, value in params.items() if key not in _NOT_DESCRIBED}
    doc.setdefault("StoppingCondition", {"MaxRuntimeInSeconds": MAX_RUNTIME_DEFAULT_S})
    for switch in (
        "EnableNetworkIsolation",
        "EnableInterContainerTrafficEncryption",
        "EnableManagedSpotTraining",
    ):
        doc.setdefault(switch, False)
    doc.update(TrainingJobArn=job_arn, CreationTime=now, SecondaryStatusTransitions=[])
    advance(doc, STARTING, now)
    return doc
