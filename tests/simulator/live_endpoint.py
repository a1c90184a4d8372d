"""An endpoint of localaws on a fast clock, and recorded traffic sent to it as time passes."""

from __future__ import annotations

import io
import json
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from simulator import Settings
from simulator.scaling import MINUTE_S

NAME, VARIANT = "shapes", "primary"
BUCKET = "models"
RESOURCE = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": f"endpoint/{NAME}/variant/{VARIANT}",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
ROOT = Path(__file__).resolve().parents[2]
_LIMIT_S = 60.0
_LONE = 8
_ROUTING = {"random": "RANDOM", "least_outstanding": "LEAST_OUTSTANDING_REQUESTS"}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the endpoint did. Latencies in seconds of its clock; instances after each minute."""

    latencies_s: tuple[float, ...]
    refused: int
    failed: int
    instances: tuple[int, ...]


class LiveEndpoint:
    """An endpoint on a localaws whose clock runs `speed` times as fast. `start_s`: what its first
    instance took to start, in seconds of that clock."""

    start_s: float

    def __init__(self, url: str, speed: float, settings: Settings) -> None:
        self._url, self.speed = url, speed
        self._settings = settings
        self._runtime = self._client("sagemaker-runtime", max_pool_connections=128)
        self._sagemaker = self._client("sagemaker")

    def _client(self, service: str, **config: Any) -> Any:
        return boto3.client(
            service,
            endpoint_url=self._url,
            region_name="us-east-1",
            aws_access_key_id="AKIATESTTESTTESTTEST",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, **config),
        )

    def create(self) -> None:
        """A role, a model, the endpoint with its instances, and its scaling policy."""
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        role = self._client("iam").create_role(
            RoleName="models", AssumeRolePolicyDocument=json.dumps(policy)
        )["Role"]["Arn"]
        s3 = self._client("s3")
        s3.create_bucket(Bucket=BUCKET)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            archive.addfile(tarfile.TarInfo("nothing"))
        s3.put_object(Bucket=BUCKET, Key="model.tar.gz", Body=packed.getvalue())
        container = {
            "Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/queue:1",
            "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz",
        }
        self._sagemaker.create_model(
            ModelName=NAME, PrimaryContainer=container, ExecutionRoleArn=role
        )
        variant = {
            "VariantName": VARIANT,
            "ModelName": NAME,
            "InitialInstanceCount": self._settings.min_instances,
            "InstanceType": self._settings.instance_type,
            "InitialVariantWeight": 1.0,
            "RoutingConfig": {"RoutingStrategy": _ROUTING[self._settings.routing]},
        }
        self._sagemaker.create_endpoint_config(
            EndpointConfigName=NAME, ProductionVariants=[variant]
        )
        began = time.monotonic()
        self._sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)
        self._await(lambda found: found["EndpointStatus"] == "InService")
        self.start_s = (time.monotonic() - began) * self.speed
        self._scale()

    def _scale(self) -> None:
        settings, scaling = self._settings, self._client("application-autoscaling")
        scaling.register_scalable_target(
            **RESOURCE, MinCapacity=settings.min_instances, MaxCapacity=settings.max_instances
        )
        scaling.put_scaling_policy(
            **RESOURCE,
            PolicyName="track",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": settings.target_per_minute,
                "PredefinedMetricSpecification": {
                    "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
                },
                "ScaleInCooldown": int(settings.scale_in_cooldown_s),
                "ScaleOutCooldown": int(settings.scale_out_cooldown_s),
            },
        )

    def _await(self, good: Any) -> None:
        end = time.monotonic() + _LIMIT_S
        while not good(self._sagemaker.describe_endpoint(EndpointName=NAME)):
            assert time.monotonic() < end, "the endpoint does not come up"
            time.sleep(0.05)

    def overhead_s(self, service_s: float) -> float:
        """What a lone request takes beyond the photo, in seconds of the clock: the median of a few,
        too few for the alarm."""
        times = []
        for _ in range(_LONE):
            took, status = self._ask()
            assert status == 200
            times.append(took - service_s)
        return statistics.median(times)

    def send(self, times_s: Sequence[float], length_s: float) -> Seen:
        """Requests at these seconds from the next whole minute of the endpoint's clock."""
        start = time.monotonic() + self._to_next_minute_s()
        instances: list[int] = []
        with ThreadPoolExecutor(128) as threads:
            watcher = threads.submit(self._watch, start, length_s, instances)
            answers = []
            for at in times_s:
                time.sleep(max(0.0, start + at / self.speed - time.monotonic()))
                answers.append(threads.submit(self._ask))
            found = [answer.result() for answer in answers]
            watcher.result()
        return Seen(
            latencies_s=tuple(took for took, status in found if status == 200),
            refused=sum(status == 429 for _, status in found),
            failed=sum(status not in (200, 429) for _, status in found),
            instances=tuple(instances),
        )

    def _ask(self) -> tuple[float, int]:
        started, status = time.perf_counter(), 200
        try:
            answer = self._runtime.invoke_endpoint(EndpointName=NAME, Body=b"photo")
            answer["Body"].read()
        except ClientError as error:
            status = int(error.response.get("OriginalStatusCode") or 503)
        return (time.perf_counter() - started) * self.speed, status

    def _watch(self, start: float, length_s: float, instances: list[int]) -> None:
        for minute in range(1, int(length_s / MINUTE_S) + 1):
            # The decision of a minute comes up to ten seconds after its end.
            due = start + (minute * MINUTE_S - 1) / self.speed
            time.sleep(max(0.0, due - time.monotonic()))
            found = self._sagemaker.describe_endpoint(EndpointName=NAME)
            instances.append(found["ProductionVariants"][0]["CurrentInstanceCount"])

    def _to_next_minute_s(self) -> float:
        """Real seconds until the endpoint's clock shows a whole minute, by what it has just made."""
        name = f"clock-{time.monotonic_ns()}"
        asked = time.monotonic()
        variant = {
            "VariantName": VARIANT,
            "ModelName": NAME,
            "InitialInstanceCount": 1,
            "InstanceType": "ml.m5.large",
        }
        self._sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant]
        )
        middle = (asked + time.monotonic()) / 2
        made = self._sagemaker.describe_endpoint_config(EndpointConfigName=name)["CreationTime"]
        now = made.timestamp() + (time.monotonic() - middle) * self.speed
        wait_s: float = (MINUTE_S - now % MINUTE_S) / self.speed
        return wait_s


@contextmanager
def live_endpoint(
    folder: Path, *, speed: float, service_s: float, settings: Settings
) -> Iterator[LiveEndpoint]:
    """Start localaws with a queue as its model server; everything is ended with the block."""
    server = Path(__file__).with_name("queue_server.py")
    serve = f"{sys.executable} {server} {service_s / speed} {settings.queue_limit}"
    command = [sys.executable, "-m", "localaws", "--port", "0", "--state-dir", str(folder)]
    command += ["--speed", str(speed), "--serve-command", serve]
    with (folder.parent / "localaws.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            endpoint = LiveEndpoint(_url(folder / "address.json", process), speed, settings)
            endpoint.create()
            yield endpoint
        finally:
            process.terminate()
            process.wait(30)


def _url(address: Path, process: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + _LIMIT_S
    while not address.is_file():
        assert process.poll() is None, "localaws did not start"
        assert time.monotonic() < end, "localaws does not answer"
        time.sleep(0.05)
    return str(json.loads(address.read_text(encoding="utf-8"))["url"])
