"""A run on SageMaker: the exact CreateTrainingJob request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.foundation import TRAINING_ROLE, Foundation
from experiments.records import Artifact, Call, Dataset
from experiments.spec import RunSpec

# AWS's own training image, by region-independent registry (sagemaker.image_uris, pytorch-amzn2023).
_IMAGE = "763104351884.dkr.ecr.{region}.amazonaws.com/pytorch:2.14-{flavour}-amzn2023-sagemaker"
_ENTRY = (
    "mkdir -p /opt/ml/code && tar -xzf /opt/ml/input/data/code/source.tar.gz -C /opt/ml/code"
    " && exec bash /opt/ml/code/training/start.sh"
)


def training_image(instance_type: str, region: str) -> str:
    """AWS's PyTorch training image for this instance type: CUDA for GPU families, else CPU."""
    family = instance_type.split(".")[1]
    flavour = "cu133" if family[0] in "gp" else "cpu"
    return _IMAGE.format(region=region, flavour=flavour)


def _channel(name: str, uri: str) -> dict[str, Any]:
    return {
        "ChannelName": name,
        "InputMode": "File",
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": uri,
                "S3DataDistributionType": "FullyReplicated",
            }
        },
    }


def training_job_call(
    *,
    name: str,
    run: RunSpec,
    foundation: Foundation,
    dataset: Dataset,
    source: Artifact,
    weights: Artifact,
    hyperparameters: Mapping[str, str],
    tags: Mapping[str, str],
) -> Call:
    """CreateTrainingJob: three File channels, our entry point, a limit on run time, no credentials."""
    region = foundation.region
    params = {
        "TrainingJobName": name,
        "RoleArn": foundation.role_arn(TRAINING_ROLE),
        "AlgorithmSpecification": {
            "TrainingImage": training_image(run.instance_type, region),
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/bash"],
            "ContainerArguments": ["-c", _ENTRY],
        },
        "HyperParameters": dict(hyperparameters),
        "InputDataConfig": [
            _channel("training", dataset.uri),
            _channel("code", source.uri),
            _channel("weights", weights.uri),
        ],
        "OutputDataConfig": {
            "S3OutputPath": f"s3://{foundation.bucket}/runs",
            "CompressionType": "GZIP",
        },
        "ResourceConfig": {
            "InstanceType": run.instance_type,
            "InstanceCount": run.instance_count,
            "VolumeSizeInGB": run.volume_gb,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": run.max_runtime_s},
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())],
    }
    hosts = "one host" if run.instance_count == 1 else f"{run.instance_count} hosts"
    why = f"train {run.name!r} on {hosts} of {run.instance_type}"
    return Call(service="sagemaker", operation="create_training_job", params=params, why=why)
