"""What a CreateTrainingJob request means for its hosts: checks, files, command, environment.

Everything here is a function of the request; nothing is started or stored.
"""

from __future__ import annotations

import json
from typing import Any

from localaws.sagemaker.words import Params, invalid, unsupported

MAX_RUNTIME_DEFAULT_S = 86_400
MAX_RUNTIME_LIMIT_S = 28 * 86_400
CHECKPOINTS = "/opt/ml/checkpoints"
GROUP = "homogeneousCluster"


def check_request(params: Params) -> None:
    """Refuse what SageMaker refuses beyond types and patterns, and what localaws cannot do."""
    algorithm = params["AlgorithmSpecification"]
    if ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
        raise invalid("You must specify exactly one of TrainingImage and AlgorithmName.")
    if "AlgorithmName" in algorithm:
        raise unsupported("AlgorithmName", "name a TrainingImage and a ContainerEntrypoint")
    _check_resources(params.get("ResourceConfig", {}))
    _check_stopping(params)
    _check_checkpoints(params)
    names = [channel["ChannelName"] for channel in params.get("InputDataConfig", [])]
    if {".", ".."} & set(names):
        raise invalid("A channel cannot be named . or ..")
    if len(set(names)) < len(names):
        raise invalid("Channel names must be unique within InputDataConfig.")
    for channel in params.get("InputDataConfig", []):
        _check_channel(channel, algorithm["TrainingInputMode"])


def _check_resources(resources: Params) -> None:
    for member in ("InstanceGroups", "InstancePreferences", "TrainingPlanArn"):
        if resources.get(member):
            raise unsupported(f"ResourceConfig.{member}", "use InstanceType and InstanceCount")
    for member in ("InstanceType", "InstanceCount"):
        if member not in resources:
            raise invalid(f"ResourceConfig.{member} is required.")
    if resources["InstanceCount"] < 1:
        raise invalid(
            "1 validation error detected: Value '0' at 'resourceConfig.instanceCount' failed to "
            "satisfy constraint: Member must have value greater than or equal to 1"
        )


def _check_stopping(params: Params) -> None:
    limits = params.get("StoppingCondition", {})
    runtime_s = limits.get("MaxRuntimeInSeconds", MAX_RUNTIME_DEFAULT_S)
    if runtime_s > MAX_RUNTIME_LIMIT_S:
        raise invalid(f"MaxRuntimeInSeconds must not exceed {MAX_RUNTIME_LIMIT_S} seconds.")
    wait_s = limits.get("MaxWaitTimeInSeconds")
    if params.get("EnableManagedSpotTraining"):
        if wait_s is None or wait_s < runtime_s:
            raise invalid(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to "
                "MaxRuntimeInSeconds"
            )
    elif wait_s is not None:
        raise invalid(
            "MaxWaitTimeInSeconds above 0 is not supported when EnableManagedSpotTraining is "
            "false or not set."
        )


def _check_checkpoints(params: Params) -> None:
    path = checkpoint_folder(params)
    if path is None:
        return
    taken = path in ("", "/opt", "/opt/ml") or path.startswith("/opt/ml/input")
    if not path.startswith("/") or ".." in path.split("/") or taken:
        raise invalid(f"CheckpointConfig.LocalPath {path!r} is not a folder of its own.")


def _check_channel(channel: Params, default_mode: str) -> None:
    name = channel["ChannelName"]
    if channel.get("InputMode", default_mode) == "Pipe":
        raise unsupported(f"Pipe mode (channel {name})", "use File or FastFile")
    source = channel["DataSource"].get("S3DataSource")
    if source is None:
        raise unsupported(f"the data source of channel {name}", "use S3DataSource")
    if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
        raise unsupported(f"{source['S3DataType']} (channel {name})", "use S3Prefix")


def host_names(params: Params) -> list[str]:
    """algo-1 to algo-N."""
    return [f"algo-{n}" for n in range(1, params["ResourceConfig"]["InstanceCount"] + 1)]


def max_runtime_s(params: Params) -> int:
    """How long the job may train before it is stopped."""
    limits = params.get("StoppingCondition", {})
    return int(limits.get("MaxRuntimeInSeconds", MAX_RUNTIME_DEFAULT_S))


def checkpoint_folder(params: Params) -> str | None:
    """The absolute path inside the host that is kept in S3, if the request asks for one."""
    config = params.get("CheckpointConfig")
    return None if config is None else str(config.get("LocalPath", CHECKPOINTS)).rstrip("/")


def config_files(params: Params, host: str, interface: str) -> dict[str, str]:
    """The files of /opt/ml/input/config on `host`, name -> JSON text."""
    hosts, instance_type = host_names(params), params["ResourceConfig"]["InstanceType"]
    group = {"instance_group_name": GROUP, "instance_type": instance_type, "hosts": hosts}
    resources = {
        "current_host": host,
        "current_instance_type": instance_type,
        "current_group_name": GROUP,
        "hosts": hosts,
        "instance_groups": [group],
        "network_interface_name": interface,
    }
    default_mode = params["AlgorithmSpecification"]["TrainingInputMode"]
    channels = {
        channel["ChannelName"]: _channel_facts(channel, default_mode)
        for channel in params.get("InputDataConfig", [])
    }
    contents: dict[str, Any] = {
        "hyperparameters.json": params.get("HyperParameters", {}),
        "resourceconfig.json": resources,
        "inputdataconfig.json": channels,
    }
    return {name: json.dumps(content, indent=2) for name, content in contents.items()}


def _channel_facts(channel: Params, default_mode: str) -> dict[str, str]:
    source = channel["DataSource"]["S3DataSource"]
    facts = {
        "TrainingInputMode": channel.get("InputMode", default_mode),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    if "ContentType" in channel:
        facts["ContentType"] = channel["ContentType"]
    return facts


def command(params: Params) -> list[str]:
    """What a host runs: the request's entrypoint and arguments; `train` where it names none."""
    algorithm = params["AlgorithmSpecification"]
    arguments = algorithm.get("ContainerArguments", [])
    return [*algorithm.get("ContainerEntrypoint", ["train"]), *arguments]


def host_env(params: Params, job_arn: str, cpus: int) -> dict[str, str]:
    """What the platform sets, then the request's Environment, which wins.

    `cpus` of this machine are shared fairly: every host believes that it owns all of them.
    """
    share = max(1, cpus // params["ResourceConfig"]["InstanceCount"])
    return {
        "TRAINING_JOB_NAME": params["TrainingJobName"],
        "TRAINING_JOB_ARN": job_arn,
        "OMP_NUM_THREADS": str(share),
        **params.get("Environment", {}),
    }
