"""What to ask AWS's Price List for: a few filtered listings for each region. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.prices import SERVERLESS_RATES, SERVERLESS_READY, SERVERLESS_READY_USED

REGIONS = ("us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-south-1")
"""The regions that the shipped books hold."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """One listing of GetProducts. `answers` are the (service, component) pairs it is the source of.

    After a complete listing, a row of these pairs that AWS did not name is gone from the list.
    """

    name: str
    region: str
    service_code: str
    filters: Mapping[str, str]
    answers: tuple[tuple[str, str], ...] = field(default=())

    def params(self, token: str | None) -> dict[str, Any]:
        """The arguments of GetProducts for one page; `token` is the page before it's."""
        wanted = {"regionCode": self.region, **self.filters}
        params: dict[str, Any] = {
            "ServiceCode": self.service_code,
            "FormatVersion": "aws_v1",
            "Filters": [
                {"Type": "TERM_MATCH", "Field": name, "Value": value}
                for name, value in wanted.items()
            ],
            "MaxResults": 100,
        }
        return {**params, "NextToken": token} if token else params


SAGEMAKER_USES = {
    "Train": "training",
    "Host": "hosting",
    "Notebk": "notebook",
    "Processing": "processing",
    "AsyncInf": "async_hosting",
    "Tsform": "batch_transform",
}
"""The word in a usage type (`USE1-Train:ml.m5.large`), and our component."""

VOLUMES = ("gp2", "gp3", "io1", "io2", "st1", "sc1")
LAMBDA_GROUPS = {
    "AWS-Lambda-Requests": "request",
    "AWS-Lambda-Duration": "gb_second",
    "AWS-Lambda-Duration-ARM": "gb_second_arm",
    "AWS-Lambda-Provisioned-Concurrency": "provisioned_concurrency_gb_second",
    "AWS-Lambda-Duration-Provisioned": "provisioned_duration_gb_second",
    "AWS-Lambda-Storage-Duration": "ephemeral_storage_gb_second",
}
SERVERLESS_GROUPS = {
    "ServerlessProvisionedConcurrency-Usage": SERVERLESS_READY,
    "ServerlessProvisionedConcurrency-Duration": SERVERLESS_READY_USED,
}
"""As infracost's SageMaker resource names them; not recorded from AWS here."""
S3_GROUPS = {"S3-API-Tier1": "put_request", "S3-API-Tier2": "get_request"}
LOGS = {"DataProcessing-Bytes": "logs_ingest", "TimedStorage-ByteHrs": "logs_storage"}

_LINUX = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "productFamily": "Compute Instance",
}


def queries(regions: Sequence[str] = REGIONS) -> tuple[Query, ...]:
    """Every listing that a whole book needs, region by region."""
    return tuple(query for region in regions for query in _of_region(region))


def _of_region(region: str) -> tuple[Query, ...]:
    uses = tuple(("sagemaker", component) for component in SAGEMAKER_USES.values())
    parts: tuple[tuple[str, str, Mapping[str, str], tuple[tuple[str, str], ...]], ...] = (
        ("instances", "AmazonEC2", _LINUX, (("ec2", "instance"),)),
        ("volumes", "AmazonEC2", {"productFamily": "Storage"}, _pairs("ebs", VOLUMES, "_storage")),
        ("sagemaker", "AmazonSageMaker", {"productFamily": "ML Instance"}, uses),
        (
            "serverless",
            "AmazonSageMaker",
            {"productFamily": "ML Serverless"},
            _pairs("sagemaker", SERVERLESS_RATES),
        ),
        (
            "endpoint-data",
            "AmazonSageMaker",
            {"operation": "Invoke-Endpoint"},
            _pairs("sagemaker", ("endpoint_data_in", "endpoint_data_out")),
        ),
        ("lambda", "AWSLambda", {}, _pairs("lambda", tuple(LAMBDA_GROUPS.values()))),
        ("s3-storage", "AmazonS3", {"volumeType": "Standard"}, (("s3", "standard_storage"),)),
        (
            "s3-requests",
            "AmazonS3",
            {"productFamily": "API Request"},
            _pairs("s3", tuple(S3_GROUPS.values())),
        ),
        ("logs", "AmazonCloudWatch", {}, _pairs("cloudwatch", tuple(LOGS.values()))),
        ("transfer", "AWSDataTransfer", {"transferType": "AWS Outbound"}, ()),
    )
    return tuple(
        Query(
            name=f"{region}-{name}",
            region=region,
            service_code=code,
            filters=filters,
            answers=answers,
        )
        for name, code, filters, answers in parts
    )


def _pairs(service: str, words: tuple[str, ...], suffix: str = "") -> tuple[tuple[str, str], ...]:
    return tuple((service, f"{word}{suffix}") for word in words)
