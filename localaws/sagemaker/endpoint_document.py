"""The document of one endpoint: what it is made from, and how it is described."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from localaws.sagemaker.instances import HEALTH_LIMIT_S, InstanceSpec
from localaws.sagemaker.models import Models, container_of
from localaws.sagemaker.words import Doc, Params

BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


def variants_of(config: Doc, models: Models) -> list[Doc]:
    """The variants of an endpoint configuration with all that is needed to run them.

    A copy: deleting the configuration or a model later does not touch a live endpoint.
    """
    return [
        {
            "VariantName": variant["VariantName"],
            "InstanceType": variant["InstanceType"],
            "Container": container_of(models.get(variant["ModelName"])),
            "HealthLimit": variant.get(
                "ContainerStartupHealthCheckTimeoutInSeconds", HEALTH_LIMIT_S
            ),
            "CurrentWeight": variant["InitialVariantWeight"],
            "DesiredWeight": variant["InitialVariantWeight"],
            "CurrentInstanceCount": 0,
            "DesiredInstanceCount": variant["InitialInstanceCount"],
        }
        for variant in config["ProductionVariants"]
    ]


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
    answer["ProductionVariants"] = [_variant(one, doc["CreationTime"]) for one in doc["Variants"]]
    if "Pending" in doc:
        pending = doc["Pending"]
        answer["PendingDeploymentSummary"] = {
            "EndpointConfigName": pending["EndpointConfigName"],
            "StartTime": pending["StartTime"],
            "ProductionVariants": [
                {**_variant(one, pending["StartTime"]), "InstanceType": one["InstanceType"]}
                for one in pending["Variants"]
            ],
        }
    return answer


def _variant(variant: Doc, resolved_at: float) -> Doc:
    image = variant["Container"]["Image"]
    return {
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


def new_document(name: str, endpoint_arn: str, config: str, variants: list[Doc], now: float) -> Doc:
    """An endpoint that is being created."""
    return {
        "EndpointName": name,
        "EndpointArn": endpoint_arn,
        "EndpointConfigName": config,
        "EndpointStatus": "Creating",
        "CreationTime": now,
        "LastModifiedTime": now,
        "Variants": variants,
    }
