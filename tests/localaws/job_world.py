"""Training jobs as tests ask for them: the request, its end, its model."""

from __future__ import annotations

import io
import tarfile
import textwrap
from collections.abc import Sequence
from typing import Any

from tests.localaws.conftest import Client
from tests.localaws.sagemaker_world import BUCKET, IMAGE, ROLE, until

FINAL = ("Completed", "Failed", "Stopped")


def request(
    cloud: Client,
    name: str,
    script: str,
    *,
    program: str = "/bin/bash",
    hosts: int = 1,
    channels: Sequence[dict[str, Any]] = (),
    **members: Any,
) -> dict[str, Any]:
    """A CreateTrainingJob request that runs a script on every host, brought by a channel."""
    body = textwrap.dedent(script).encode()
    cloud.client("s3").put_object(Bucket=BUCKET, Key=f"scripts/{name}/run", Body=body)
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": [program],
            "ContainerArguments": ["/opt/ml/input/data/script/run"],
        },
        "RoleArn": ROLE,
        "InputDataConfig": [channel("script", f"scripts/{name}/"), *channels],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/runs/"},
        "ResourceConfig": {
            "InstanceType": "ml.m5.xlarge",
            "InstanceCount": hosts,
            "VolumeSizeInGB": 10,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        **members,
    }


def channel(name: str, prefix: str, distribution: str = "FullyReplicated") -> dict[str, Any]:
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": f"s3://{BUCKET}/{prefix}",
        "S3DataDistributionType": distribution,
    }
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def run(cloud: Client, asked: dict[str, Any]) -> dict[str, Any]:
    """Create the job, wait for its end, answer its description."""
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_training_job(**asked)
    return finished(cloud, asked["TrainingJobName"])


def finished(cloud: Client, name: str) -> dict[str, Any]:
    sagemaker = cloud.client("sagemaker")

    def job() -> dict[str, Any]:
        described: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=name)
        return described

    assert until(lambda: job()["TrainingJobStatus"] in FINAL), job()
    return job()


def archive(cloud: Client, uri: str) -> dict[str, bytes]:
    key = uri.removeprefix(f"s3://{BUCKET}/")
    body = cloud.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return {m.name: content.read() for m in tar if (content := tar.extractfile(m))}
