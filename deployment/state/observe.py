"""Ask AWS what it holds of an application now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deployment.artifact.function_code import from_base64
from deployment.policy import model_prefix
from deployment.settings import ALIAS, ServingSettings
from deployment.state.desired import DIMENSION, NAMESPACE, Wanted
from deployment.state.seen import (
    AliasSeen,
    EndpointSeen,
    Observed,
    ProvisionedSeen,
    Seen,
    VersionSeen,
)
from deployment.store import ReleaseStore
from experiments.aws import Cloud, is_code
from experiments.errors import CloudError
from experiments.foundation import observe_role

_FUNCTION_MEMBERS = ("Runtime", "Role", "Handler", "Timeout", "MemorySize", "Environment")
_URL_MEMBERS = ("FunctionUrl", "AuthType", "InvokeMode", "Cors")
_MODEL_MEMBERS = ("ExecutionRoleArn", "PrimaryContainer")
_ALARM_MEMBERS = (
    "MetricName",
    "Namespace",
    "Statistic",
    "ExtendedStatistic",
    "Dimensions",
    "Period",
    "EvaluationPeriods",
    "DatapointsToAlarm",
    "Threshold",
    "ComparisonOperator",
    "TreatMissingData",
    "ActionsEnabled",
)
_VARIANT_MEMBERS = (
    "VariantName",
    "ModelName",
    "InstanceType",
    "InitialInstanceCount",
    "ServerlessConfig",
)


def observe(cloud: Cloud, wanted: Wanted) -> Observed:
    """Ask AWS what is there of all that `wanted` names. Changes nothing. Raises CloudError."""
    settings = wanted.settings
    found = {role.name: observe_role(cloud, role.name) for role in wanted.roles}
    bucket = wanted.foundation.bucket
    digests = {file.stored.key: _digest(cloud, bucket, file.stored.key) for file in wanted.files}
    return Observed(
        roles={name: policy for name, (exists, policy) in found.items() if exists},
        files={key: digest for key, digest in digests.items() if digest is not None},
        stored_bytes=_stored_bytes(cloud, bucket, settings),
        model=_model(cloud, wanted.model["ModelName"]),
        endpoint_config=_config(cloud, wanted.endpoint_config["EndpointConfigName"]),
        endpoint=_endpoint(cloud, settings),
        scalable_target=_scalable_target(cloud, settings),
        scaling_policy=_scaling_policy(cloud, settings),
        **_function_parts(cloud, settings),
        function_url=function_url(cloud, settings) if settings.function_url else None,
        **_alarm_parts(cloud, wanted),
        live=ReleaseStore(cloud=cloud, name=settings.name).live(),
    )


def _found(
    cloud: Cloud, service: str, operation: str, absent: Callable[[CloudError], bool], **params: Any
) -> dict[str, Any] | None:
    try:
        return cloud.ask(service, operation, **params)
    except CloudError as error:
        if absent(error):
            return None
        raise


def not_in_sagemaker(error: CloudError) -> bool:
    """SageMaker has no error code of its own for what does not exist."""
    return is_code(error, "ValidationException") and "Could not find" in error.message


def not_in_lambda(error: CloudError) -> bool:
    """Lambda's answers for a function, version, alias or configuration that is not there."""
    return is_code(
        error, "ResourceNotFoundException", "ProvisionedConcurrencyConfigNotFoundException"
    )


def _digest(cloud: Cloud, bucket: str, key: str) -> str | None:
    """The digest S3 keeps of an object; empty if it keeps none, None if there is no object."""

    def absent(error: CloudError) -> bool:
        return is_code(error, "404", "NoSuchKey", "NotFound")

    answer = _found(
        cloud, "s3", "head_object", absent, Bucket=bucket, Key=key, ChecksumMode="ENABLED"
    )
    if answer is None:
        return None
    checksum = answer.get("ChecksumSHA256")
    return from_base64(checksum) if checksum else ""


def _stored_bytes(cloud: Cloud, bucket: str, settings: ServingSettings) -> int:
    prefix = model_prefix(settings)
    found = cloud.pages("s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=prefix)
    return sum(int(item["Size"]) for item in found)


def _model(cloud: Cloud, name: str) -> Seen | None:
    answer = _found(cloud, "sagemaker", "describe_model", not_in_sagemaker, ModelName=name)
    if answer is None:
        return None
    container = answer.get("PrimaryContainer", {})
    kept = {key: container.get(key) for key in ("Image", "ModelDataUrl") if key in container}
    return {"ExecutionRoleArn": answer.get("ExecutionRoleArn"), "PrimaryContainer": kept}


def _config(cloud: Cloud, name: str) -> Seen | None:
    answer = _found(
        cloud, "sagemaker", "describe_endpoint_config", not_in_sagemaker, EndpointConfigName=name
    )
    if answer is None:
        return None
    variants = answer["ProductionVariants"]
    return {"ProductionVariants": [{k: v.get(k) for k in _VARIANT_MEMBERS} for v in variants]}


def _endpoint(cloud: Cloud, settings: ServingSettings) -> EndpointSeen | None:
    answer = _found(
        cloud, "sagemaker", "describe_endpoint", not_in_sagemaker, EndpointName=settings.name
    )
    if answer is None:
        return None
    pending = answer.get("PendingDeploymentSummary") or {}
    config = _config(cloud, answer["EndpointConfigName"]) or {}
    variants = config.get("ProductionVariants", [])
    return EndpointSeen(
        status=answer["EndpointStatus"],
        config_name=pending.get("EndpointConfigName") or answer["EndpointConfigName"],
        instance_type=(variants[0]["InstanceType"] or "") if variants else "",
        initial_instances=(variants[0]["InitialInstanceCount"] or 0) if variants else 0,
        serverless_memory_mb=_serverless_mb(variants),
        instances=_running(answer),
        reason=answer.get("FailureReason", ""),
    )


def _serverless_mb(variants: list[dict[str, Any]]) -> int:
    config = (variants[0] if variants else {}).get("ServerlessConfig") or {}
    return int(config.get("MemorySizeInMB", 0))


def _running(endpoint: Seen) -> int:
    """How many instances the variant has, also those that an update is bringing."""
    variants = endpoint.get("ProductionVariants") or [{}]
    return int(variants[0].get("CurrentInstanceCount") or 0)


def _scalable_target(cloud: Cloud, settings: ServingSettings) -> Seen | None:
    answer = cloud.ask(
        "application-autoscaling",
        "describe_scalable_targets",
        ServiceNamespace=NAMESPACE,
        ResourceIds=[settings.scaling_resource],
        ScalableDimension=DIMENSION,
    )
    found = answer["ScalableTargets"]
    return {k: found[0][k] for k in ("MinCapacity", "MaxCapacity")} if found else None


def _scaling_policy(cloud: Cloud, settings: ServingSettings) -> Seen | None:
    answer = cloud.ask(
        "application-autoscaling",
        "describe_scaling_policies",
        ServiceNamespace=NAMESPACE,
        ResourceId=settings.scaling_resource,
        PolicyNames=[settings.scaling_policy],
    )
    found = answer["ScalingPolicies"]
    if not found:
        return None
    config: Seen = found[0]["TargetTrackingScalingPolicyConfiguration"]
    members = (
        "TargetValue",
        "PredefinedMetricSpecification",
        "ScaleInCooldown",
        "ScaleOutCooldown",
    )
    return {key: config[key] for key in members if key in config}


def _function_parts(cloud: Cloud, settings: ServingSettings) -> dict[str, Any]:
    """The function with its versions, numbers and alias, by the names that `Observed` has."""
    name = {"FunctionName": settings.name}
    latest = _found(cloud, "lambda", "get_function_configuration", not_in_lambda, **name)
    if latest is None:
        nothing: dict[str, Any] = {"versions": (), "provisioned": (), "reserved": None}
        return {"function": None, "alias": None, **nothing}
    listed = cloud.pages("lambda", "list_versions_by_function", "Versions", **name)
    warm = cloud.pages(
        "lambda",
        "list_provisioned_concurrency_configs",
        "ProvisionedConcurrencyConfigs",
        **name,
    )
    reserved = cloud.ask("lambda", "get_function_concurrency", **name)
    published = sorted((v for v in listed if v["Version"] != "$LATEST"), key=_number)
    return {
        "function": _version(latest),
        "versions": tuple(_version(version) for version in published),
        "provisioned": tuple(sorted((_provisioned(p) for p in warm), key=lambda p: p.qualifier)),
        "reserved": reserved.get("ReservedConcurrentExecutions"),
        "alias": _alias(cloud, settings),
    }


def _number(version: Mapping[str, Any]) -> int:
    return int(version["Version"])


def _version(config: Mapping[str, Any]) -> VersionSeen:
    state = config.get("State", "Active")
    updating = config.get("LastUpdateStatus") == "InProgress"
    kept = {key: config[key] for key in _FUNCTION_MEMBERS if key in config}
    return VersionSeen(
        version=config["Version"],
        code_sha256=config["CodeSha256"],
        config={**kept, "Environment": {"Variables": _variables(config)}},
        state="Active" if state == "Inactive" else state,
        settling=state == "Pending" or updating,
    )


def _variables(config: Mapping[str, Any]) -> dict[str, str]:
    return dict((config.get("Environment") or {}).get("Variables", {}))


def _provisioned(entry: Mapping[str, Any]) -> ProvisionedSeen:
    return ProvisionedSeen(
        qualifier=str(entry["FunctionArn"]).rsplit(":", 1)[-1],
        requested=int(entry["RequestedProvisionedConcurrentExecutions"]),
        status=entry["Status"],
    )


def _alias(cloud: Cloud, settings: ServingSettings) -> AliasSeen | None:
    answer = _found(
        cloud, "lambda", "get_alias", not_in_lambda, FunctionName=settings.name, Name=ALIAS
    )
    if answer is None:
        return None
    weights = (answer.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    return AliasSeen(
        version=answer["FunctionVersion"],
        revision_id=answer["RevisionId"],
        weighted=bool(weights),
    )


def function_url(cloud: Cloud, settings: ServingSettings) -> Seen | None:
    """The alias's address and who may call it; None if it has none. Raises CloudError."""
    answer = _found(
        cloud,
        "lambda",
        "get_function_url_config",
        not_in_lambda,
        FunctionName=settings.name,
        Qualifier=ALIAS,
    )
    return {k: answer[k] for k in _URL_MEMBERS if k in answer} if answer is not None else None


def _alarm_parts(cloud: Cloud, wanted: Wanted) -> dict[str, Any]:
    """The alarms that the release wants and those it was told to heed, and which of them are on."""
    names = [alarm["AlarmName"] for alarm in wanted.alarms] + list(wanted.rollout.alarms)
    answer = cloud.ask("cloudwatch", "describe_alarms", AlarmNames=names)
    found = answer.get("MetricAlarms", [])
    return {
        "alarms": {a["AlarmName"]: {k: a[k] for k in _ALARM_MEMBERS if k in a} for a in found},
        "alarming": tuple(sorted(a["AlarmName"] for a in found if a["StateValue"] == "ALARM")),
    }
