"""What AWS should hold once a release is live, in the words of the requests that make it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deployment.artifact.function_code import HANDLER, as_base64
from deployment.policy import (
    SERVING_REPOSITORY,
    Policy,
    capture_prefix,
    endpoint_policy,
    function_policy,
    model_prefix,
)
from deployment.release import Release, StoredFile
from deployment.rollout import Rollout, wanted_alarms
from deployment.settings import ALIAS, VARIANT, ServingSettings
from experiments.foundation import OWNER_TAG, Foundation

SERVING_VERSION = "1"
RUNTIME = "python3.13"
ARCHITECTURE = "x86_64"
NAMESPACE = "sagemaker"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_SIGNED_HEADERS = (
    "authorization",
    "content-type",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
)
Params = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class WantedRole:
    """A role that one AWS service takes, with its one inline policy."""

    name: str
    service: str
    policy: Policy


@dataclass(frozen=True, kw_only=True)
class WantedFile:
    """A file that has to be in the bucket. `data` is None where it can only be there already.

    `optional`: a release can do without it where it was lost.
    """

    stored: StoredFile
    what: str
    optional: bool = False
    data: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The whole of it. Every mapping holds the members of one request in AWS's own words."""

    release: Release
    foundation: Foundation
    roles: tuple[WantedRole, ...]
    files: tuple[WantedFile, ...]
    model: Params
    endpoint_config: Params
    endpoint_tags: list[Params]
    scalable_target: Params
    scaling_policy: Params
    function: Params
    function_url: Params | None
    code_sha256: str
    alarms: tuple[Params, ...]
    rollout: Rollout

    @property
    def settings(self) -> ServingSettings:
        return self.release.settings


def serving_image(foundation: Foundation) -> str:
    """The address of the image that endpoints run."""
    registry = f"{foundation.account_id}.dkr.ecr.{foundation.region}.amazonaws.com"
    return f"{registry}/{SERVING_REPOSITORY}:{SERVING_VERSION}"


def model_key(settings: ServingSettings, release_id: str) -> str:
    """Where a release's archive is kept."""
    return f"{model_prefix(settings)}{release_id}/model.tar.gz"


def golden_key(settings: ServingSettings, release_id: str, digest: str) -> str:
    """Where a golden photo of a release is kept, beside its archive."""
    return f"{model_prefix(settings)}{release_id}/golden/{digest.removeprefix('sha256:')[:16]}"


def function_key(settings: ServingSettings, digest: str) -> str:
    """Where a handler's package is kept; releases with the same handler share it."""
    return f"functions/{settings.name}/{digest.removeprefix('sha256:')[:16]}.zip"


def desired(
    release: Release,
    foundation: Foundation,
    bodies: Mapping[str, bytes] | None = None,
    rollout: Rollout | None = None,
) -> Wanted:
    """What a release needs. `bodies` are the bytes of its files by key, where they are at hand."""
    settings = release.settings
    data, how = bodies or {}, rollout or Rollout()
    return Wanted(
        release=release,
        foundation=foundation,
        roles=_roles(settings, foundation),
        files=(
            WantedFile(stored=release.model, what="the model", data=data.get(release.model.key)),
            WantedFile(
                stored=release.function, what="the handler", data=data.get(release.function.key)
            ),
            *(
                WantedFile(
                    stored=photo.stored,
                    what=f"a golden photo of {photo.label}",
                    optional=True,
                    data=data.get(photo.stored.key),
                )
                for photo in release.golden
            ),
        ),
        model=_model(release, foundation),
        endpoint_config=_endpoint_config(release, foundation),
        endpoint_tags=[OWNER_TAG, {"Key": "pedigree:app", "Value": settings.app}],
        scalable_target=_scalable_target(settings),
        scaling_policy=_scaling_policy(settings),
        function=_function(release, foundation),
        function_url=_function_url(settings),
        code_sha256=as_base64(release.function.digest),
        alarms=wanted_alarms(settings, how),
        rollout=how,
    )


def _roles(settings: ServingSettings, foundation: Foundation) -> tuple[WantedRole, ...]:
    return (
        WantedRole(
            name=settings.endpoint_role,
            service="sagemaker",
            policy=endpoint_policy(settings, foundation),
        ),
        WantedRole(
            name=settings.function_role,
            service="lambda",
            policy=function_policy(settings, foundation),
        ),
    )


def _release_tags(release: Release) -> list[Params]:
    return [
        OWNER_TAG,
        {"Key": "pedigree:app", "Value": release.settings.app},
        {"Key": "pedigree:release", "Value": release.release_id},
        {"Key": "pedigree:run", "Value": release.run_id},
    ]


def _model(release: Release, foundation: Foundation) -> Params:
    return {
        "ModelName": release.model_name,
        "ExecutionRoleArn": foundation.role_arn(release.settings.endpoint_role),
        "PrimaryContainer": {
            "Image": release.image,
            "Mode": "SingleModel",
            "ModelDataUrl": f"s3://{foundation.bucket}/{release.model.key}",
        },
        "Tags": _release_tags(release),
    }


def _endpoint_config(release: Release, foundation: Foundation) -> Params:
    variant = {
        "VariantName": VARIANT,
        "ModelName": release.model_name,
        "InitialVariantWeight": 1.0,
        **_capacity(release.settings),
    }
    return {
        "EndpointConfigName": release.model_name,
        "ProductionVariants": [variant],
        "Tags": _release_tags(release),
        **_capture(release.settings, foundation),
    }


def _capacity(settings: ServingSettings) -> Params:
    if settings.is_serverless:
        memory, most = settings.serverless_memory_mb, settings.serverless_concurrency
        return {"ServerlessConfig": {"MemorySizeInMB": memory, "MaxConcurrency": most}}
    return {
        "InitialInstanceCount": settings.min_instances,
        "InstanceType": settings.instance_type,
        # Without it AWS picks an instance at random, also one that is behind with its work.
        "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
    }


def _capture(settings: ServingSettings, foundation: Foundation) -> Params:
    if not settings.capture_percent:
        return {}
    return {
        "DataCaptureConfig": {
            "EnableCapture": True,
            "InitialSamplingPercentage": settings.capture_percent,
            "DestinationS3Uri": f"s3://{foundation.bucket}/{capture_prefix(settings)}",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        }
    }


def _scalable_target(settings: ServingSettings) -> Params:
    return {
        "ServiceNamespace": NAMESPACE,
        "ResourceId": settings.scaling_resource,
        "ScalableDimension": DIMENSION,
        "MinCapacity": settings.min_instances,
        "MaxCapacity": settings.max_instances,
    }


def _scaling_policy(settings: ServingSettings) -> Params:
    metric = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    return {
        "PolicyName": settings.scaling_policy,
        "ServiceNamespace": NAMESPACE,
        "ResourceId": settings.scaling_resource,
        "ScalableDimension": DIMENSION,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": float(settings.target_invocations_per_instance),
            "PredefinedMetricSpecification": metric,
            "ScaleInCooldown": settings.scale_in_cooldown_s,
            "ScaleOutCooldown": settings.scale_out_cooldown_s,
        },
    }


def _function(release: Release, foundation: Foundation) -> Params:
    """What identifies a version beside its code."""
    settings = release.settings
    variables = {
        **release.rates,
        "ENDPOINT_NAME": settings.name,
        "ENDPOINT_READ_TIMEOUT_S": str(settings.endpoint_read_timeout_s),
    }
    # Behind a function URL AWS answers for CORS; said twice, browsers refuse the answer.
    if settings.allowed_origins and not settings.function_url:
        variables["ALLOWED_ORIGINS"] = ",".join(settings.allowed_origins)
    return {
        "FunctionName": settings.name,
        "Runtime": RUNTIME,
        "Role": foundation.role_arn(settings.function_role),
        "Handler": HANDLER,
        "Timeout": settings.timeout_s,
        "MemorySize": settings.memory_mb,
        "Environment": {"Variables": variables},
    }


def _function_url(settings: ServingSettings) -> Params | None:
    """The alias's address, for signed requests; in browsers only for pages of the allowed origins."""
    if not settings.function_url:
        return None
    cors: Params = {}
    if settings.allowed_origins:
        cors = {
            "AllowOrigins": [*settings.allowed_origins],
            "AllowMethods": ["POST"],
            "AllowHeaders": [*_SIGNED_HEADERS],
        }
    return {
        "FunctionName": settings.name,
        "Qualifier": ALIAS,
        "AuthType": "AWS_IAM",
        "InvokeMode": "BUFFERED",
        "Cors": cors,
    }
