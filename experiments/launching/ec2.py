"""A run on a plain EC2 instance: the exact RunInstances request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.foundation import CLOSED_GROUP, EC2_ROLE, Foundation
from experiments.records import Call
from experiments.spec import RunSpec

# Deep Learning AMI with PyTorch; its Python and AWS CLI are in /opt/pytorch/bin (AWS release notes).
AMI_PARAMETER = (
    "/aws/service/deeplearning/ami/x86_64/"
    "oss-nvidia-driver-gpu-pytorch-2.9-ubuntu-24.04/latest/ami-id"
)

_SPOT = {
    "MarketType": "spot",
    "SpotOptions": {
        "SpotInstanceType": "one-time",
        "InstanceInterruptionBehavior": "terminate",
    },
}


def run_instances_call(
    *,
    name: str,
    run: RunSpec,
    foundation: Foundation,
    image_id: str,
    script: str,
    tags: Mapping[str, str],
) -> Call:
    """RunInstances: idempotent by token, ends itself, metadata by session token only, encrypted disk."""
    pairs = [{"Key": key, "Value": value} for key, value in sorted({**tags, "Name": name}.items())]
    kinds = ["instance", "volume", *(["spot-instances-request"] if run.spot else [])]
    disk: dict[str, Any] = {
        "VolumeType": "gp3",
        "VolumeSize": max(run.volume_gb, 8),
        "Encrypted": True,
        "DeleteOnTermination": True,
    }
    params: dict[str, Any] = {
        "ImageId": image_id,
        "InstanceType": run.instance_type,
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": name,
        "UserData": script,
        "IamInstanceProfile": {"Name": EC2_ROLE},
        "SecurityGroups": [CLOSED_GROUP],
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {
            "HttpTokens": "required",
            "HttpEndpoint": "enabled",
            "HttpPutResponseHopLimit": 1,
            "InstanceMetadataTags": "enabled",  # by a tag the run is asked to stop
        },
        "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": disk}],
        "TagSpecifications": [{"ResourceType": kind, "Tags": pairs} for kind in kinds],
    }
    if run.spot:
        params["InstanceMarketOptions"] = _SPOT
    spot = "spot " if run.spot else ""
    why = f"train {run.name!r} on one {spot}{run.instance_type}; it terminates itself"
    return Call(service="ec2", operation="run_instances", params=params, why=why)
