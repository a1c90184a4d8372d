"""The document of one endpoint: what it is made from, and how it is described."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from localaws.sagemaker.hosting.instances import HEALTH_LIMIT_S, InstanceSpec
from localaws.sagemaker.models import Models, container_of
from localaws.sagemaker.words import Doc, Params

# Between these no other change is begun.
BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


def variants_of(config: Doc, models: Models) -> list[Doc]:
    """The variants of an endpoint configuration with all that is needed to run them.

    A copy: deleting the configuration or a model later does not touch a live endpoint.
    """
    return [_new_variant(variant, models) for variant in config["ProductionVariants"]]


def _new_variant(variant: Doc, models: Models) -> Doc:
    doc = {
        "VariantName": variant["VariantName"],
        "InstanceType": variant.get("InstanceType", ""),
        "Container": container_of(models.get(variant["ModelName"])),
        "HealthLimit": variant.get("ContainerStartupHealthCheckTimeoutInSeconds", HEALTH_LIMIT_S),
        "CurrentWeight": variant["InitialVariantWeight"],
        "DesiredWeight": variant["InitialVariantWeight"],
        "CurrentInstanceCount": 0,
        "DesiredInstanceCount": variant.get("InitialInstanceCount", 0),
    }
    for member in ("ServerlessConfig", "RoutingConfig"):
        if member in variant:
            doc[member] = variant[member]
    return doc


def settled(variants: Iterable[Doc]) -> list[Doc]:
    """The variants with all that they asked for, and no deployment under way."""
    return [
        {
            **{key: value for key, value in variant.items() if key != "Status"},
            "CurrentInstanceCount": variant["DesiredInstanceCount"],
        }
        for variant in variants
    ]


def weights_of(variants: Iterable[Doc]) -> dict[str, float]:
    """Each variant's weight."""
    return {one["VariantName"]: one["CurrentWeight"] for one in variants}


def retain(variants: Iterable[Doc], present: Iterable[Doc], excluded: Iterable[str]) -> None:
    """Give `variants` the instance counts and weights of the same names in `present`."""
    now = {variant["VariantName"]: variant for variant in present}
    dropped = set(excluded)
    for variant in variants:
        old = now.get(variant["VariantName"])
        if old is not None and "DesiredInstanceCount" not in dropped:
            variant["DesiredInstanceCount"] = old["DesiredInstanceCount"]
        if old is not None and "DesiredWeight" not in dropped:
            variant["CurrentWeight"] = variant["DesiredWeight"] = old["DesiredWeight"]


def excluded_properties(params: Params) -> list[str]:
    """Names in UpdateEndpoint's ExcludeRetainedVariantProperties."""
    entries = params.get("ExcludeRetainedVariantProperties", [])
    return [entry["VariantPropertyType"] for entry in entries]


def spec_of(endpoint: str, variant: Doc) -> InstanceSpec:
    """What the variant's instances run."""
    return InstanceSpec(
        endpoint=endpoint,
        variant=variant["VariantName"],
        container=variant["Container"],
        health_limit_s=variant["HealthLimit"],
    )


def described(doc: Doc) -> dict[str, Any]:
    """DescribeEndpoint's answer."""
    shown = (
        "EndpointName",
        "EndpointArn",
        "EndpointConfigName",
        "EndpointStatus",
        "FailureReason",
        "CreationTime",
        "LastModifiedTime",
        "LastDeploymentConfig",
    )
    answer = {key: doc[key] for key in shown if key in doc}
    capture = doc.get("DataCaptureConfig")
    if capture:
        answer["DataCaptureConfig"] = _capture_summary(capture)
    answer["ProductionVariants"] = [_variant(one, doc["CreationTime"]) for one in doc["Variants"]]
    if "Pending" in doc:
        pending = doc["Pending"]
        answer["PendingDeploymentSummary"] = {
            "EndpointConfigName": pending["EndpointConfigName"],
            "StartTime": pending["StartTime"],
            "ProductionVariants": [
                _pending_variant(one, pending["StartTime"]) for one in pending["Variants"]
            ],
        }
    return answer


def _variant(variant: Doc, resolved_at: float) -> Doc:
    image = variant["Container"]["Image"]
    shown: Doc = {
        "VariantName": variant["VariantName"],
        "DeployedImages": [
            {"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": resolved_at}
        ],
        **{
            key: variant[key]
            for key in (
                "CurrentWeight",
                "DesiredWeight",
                "CurrentInstanceCount",
                "DesiredInstanceCount",
            )
        },
    }
    if "Status" in variant:
        shown["VariantStatus"] = [variant["Status"]]
    if "RoutingConfig" in variant:
        shown["RoutingConfig"] = variant["RoutingConfig"]
    if "ServerlessConfig" in variant:
        config = variant["ServerlessConfig"]
        shown |= {"CurrentServerlessConfig": config, "DesiredServerlessConfig": config}
    return shown


def _pending_variant(variant: Doc, began_at: float) -> Doc:
    kind = variant["InstanceType"]
    return {**_variant(variant, began_at), **({"InstanceType": kind} if kind else {})}


def _capture_summary(capture: Doc) -> Doc:
    enabled = capture.get("EnableCapture", True)
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled else "Stopped",
        "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
        "DestinationS3Uri": capture["DestinationS3Uri"],
        "KmsKeyId": capture.get("KmsKeyId", ""),
    }


def new_document(name: str, endpoint_arn: str, config: Doc, variants: list[Doc], now: float) -> Doc:
    """An endpoint that is being created."""
    doc = {
        "EndpointName": name,
        "EndpointArn": endpoint_arn,
        "EndpointConfigName": config["EndpointConfigName"],
        "EndpointStatus": "Creating",
        "CreationTime": now,
        "LastModifiedTime": now,
        "Variants": variants,
    }
    if "DataCaptureConfig" in config:
        doc["DataCaptureConfig"] = config["DataCaptureConfig"]
    return doc
