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
CHECKPOINTS = "/opt/ml/checkpoints"


def training_image(instance_type: str, region: str) -> str:
    """AWS's PyTorch training image for this instance type: CUDA for GPU families, else CPU."""
    family = instance_type.split(".")[1]
    flavour = "cu133" if family[0] in "gp" else "cpu"
    return _IMAGE.format(region=region, flavour=flavour)


def _channel(name: str, uri: str, hosts: int) -> dict[str, Any]:
    """One input; of the photos each of several hosts gets its share, of the rest everything."""
    shared_out = name == "training" and hosts > 1
    return {
        "ChannelName": name,
        "InputMode": "File",
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": uri,
                "S3DataDistributionType": "ShardedByS3Key" if shared_out else "FullyReplicated",
            }
        },
    }


def _options(run: RunSpec, checkpoints_uri: str) -> dict[str, Any]:
    """What a request holds only if the run asks for it: spot, checkpoints, a shell into its hosts."""
    options: dict[str, Any] = {}
    if run.spot:
        options["EnableManagedSpotTraining"] = True
    if run.checkpoints:
        options["CheckpointConfig"] = {"S3Uri": checkpoints_uri, "LocalPath": CHECKPOINTS}
    if run.shell:
        options["RemoteDebugConfig"] = {"EnableRemoteDebug": True}
    return options


def _hosts(run: RunSpec) -> dict[str, Any]:
    hosts: dict[str, Any] = {
        "InstanceType": run.instance_type,
        "InstanceCount": run.instance_count,
        "VolumeSizeInGB": run.volume_gb,
    }
    if run.warm_pool_s:
        hosts["KeepAlivePeriodInSeconds"] = run.warm_pool_s
    return hosts


def _limits(run: RunSpec) -> dict[str, int]:
    limits = {"MaxRuntimeInSeconds": run.max_runtime_s}
    return {**limits, "MaxWaitTimeInSeconds": run.longest_s} if run.spot else limits


def training_job_call(
    *,
    name: str,
    run: RunSpec,
    foundation: Foundation,
    dataset: Dataset,
    source: Artifact,
    weights: Artifact,
    wheels: Artifact | None,
    hyperparameters: Mapping[str, str],
    tags: Mapping[str, str],
) -> Call:
    """CreateTrainingJob: File channels, our entry point, a limit on run time, no credentials.

    `wheels` is the folder of hash-locked packages that the image lacks, if it lacks any.
    """
    channels = {"training": dataset.uri, "code": source.uri, "weights": weights.uri}
    if wheels is not None:
        channels["wheels"] = wheels.uri
    runs = f"s3://{foundation.bucket}/runs"
    params = {
        "TrainingJobName": name,
        "RoleArn": foundation.role_arn(TRAINING_ROLE),
        "AlgorithmSpecification": {
            "TrainingImage": training_image(run.instance_type, foundation.region),
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/bash"],
            "ContainerArguments": ["-c", _ENTRY],
        },
        "HyperParameters": dict(hyperparameters),
        "InputDataConfig": [
            _channel(channel, uri, run.instance_count) for channel, uri in channels.items()
        ],
        "OutputDataConfig": {"S3OutputPath": runs, "CompressionType": "GZIP"},
        "ResourceConfig": _hosts(run),
        "StoppingCondition": _limits(run),
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())],
        **_options(run, f"{runs}/{name}/checkpoints/"),
    }
    hosts = "one host" if run.instance_count == 1 else f"{run.instance_count} hosts"
    spot = ", spot" if run.spot else ""
    why = f"train {run.name!r} on {hosts} of {run.instance_type}{spot}"
    return Call(service="sagemaker", operation="create_training_job", params=params, why=why)
