"""A run on a plain EC2 instance: the exact RunInstances request and the script it starts with."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.foundation import EC2_ROLE, Foundation
from experiments.records import Artifact, Call, Dataset
from experiments.spec import RunSpec

# Deep Learning AMI with PyTorch; its Python and AWS CLI are in /opt/pytorch/bin (AWS release notes).
AMI_PARAMETER = (
    "/aws/service/deeplearning/ami/x86_64/"
    "oss-nvidia-driver-gpu-pytorch-2.9-ubuntu-24.04/latest/ami-id"
)
GRACE_S = 120

_SCRIPT = """\
#!/bin/bash
# The run ends the instance: when it is done, when it fails, and at its maximum run time at the latest.
set -uo pipefail
export PATH="/opt/pytorch/bin:$PATH" AWS_DEFAULT_REGION={region}
work=$(mktemp -d)
cd "$work" && mkdir code data weights model output
output={output}
( sleep {limit_s}; shutdown -h now ) &
( while sleep 10; do aws s3 cp --quiet output/events.jsonl "$output/events.jsonl"; done ) &
limited() {{
  if command -v timeout > /dev/null; then timeout --kill-after=60 {max_runtime_s} "$@"; else "$@"; fi
}}
train() {{
  aws s3 cp --quiet {source} source.tar.gz && tar -xzf source.tar.gz -C code || return 1
  aws s3 cp --quiet --recursive {data} data && aws s3 cp --quiet {weights} weights/{weights_name} || return 1
  limited bash code/training/start.sh --data "$work/data" --weights "$work"/weights/{weights_name} \\
    --model-dir "$work/model" --output-dir "$work/output" {arguments}
}}
started=$(date +%s)
train > output/console.log 2>&1
status=$?
tail -c 65536 output/console.log
if [ "$status" -eq 0 ]; then
  tar -czf model.tar.gz -C model . && aws s3 cp --quiet model.tar.gz "$output/model.tar.gz" || status=1
fi
tar -czf output.tar.gz -C output . && aws s3 cp --quiet output.tar.gz "$output/output.tar.gz"
printf '{{"exit_code": %d, "started_at": %d, "ended_at": %d}}' "$status" "$started" "$(date +%s)" > end.json
aws s3 cp --quiet end.json "$output/end.json"
shutdown -h now
"""


def user_data(
    *,
    run: RunSpec,
    region: str,
    output_uri: str,
    dataset: Dataset,
    source: Artifact,
    weights: Artifact,
    arguments: Sequence[str],
) -> str:
    """The script an instance starts with. Every value is quoted for the shell."""
    return _SCRIPT.format(
        region=shlex.quote(region),
        output=shlex.quote(output_uri.rstrip("/")),
        limit_s=run.max_runtime_s + GRACE_S,
        max_runtime_s=run.max_runtime_s,
        source=shlex.quote(source.uri),
        data=shlex.quote(dataset.uri),
        weights=shlex.quote(weights.uri),
        weights_name=shlex.quote(weights.uri.rsplit("/", 1)[-1]),
        arguments=shlex.join(arguments),
    )


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
    disk: dict[str, Any] = {
        "VolumeType": "gp3",
        "VolumeSize": max(run.volume_gb, 8),
        "Encrypted": True,
        "DeleteOnTermination": True,
    }
    params = {
        "ImageId": image_id,
        "InstanceType": run.instance_type,
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": name,
        "UserData": script,
        "IamInstanceProfile": {"Name": EC2_ROLE},
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
        "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": disk}],
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": pairs} for kind in ("instance", "volume")
        ],
    }
    why = f"train {run.name!r} on one {run.instance_type}; it terminates itself"
    return Call(service="ec2", operation="run_instances", params=params, why=why)
