"""What a request asks for, in IAM's words: actions and the resources that they concern.

Names are those of AWS's Service Authorization Reference. A call whose resource is not worked out here is
held against `*`, so only a statement for all resources allows it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from werkzeug import Request

from localaws.faults.naming import operation_of
from localaws.storage.s3_routes import address_of
from localaws.wire.protocol import Caller
from localaws.wire.query import query_params
from localaws.wire.request import raw_path

MAX_BYTES = 10 << 20


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One thing to be allowed. `context` has the condition keys that are known of it."""

    action: str
    resource: str = "*"
    context: Mapping[str, list[str]]


_S3_ACTIONS = {
    "ListBuckets": "ListAllMyBuckets",
    "ListObjectsV2": "ListBucket",
    "ListObjects": "ListBucket",
    "HeadBucket": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "HeadObject": "GetObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "UploadPartCopy": "PutObject",
    "DeleteObjects": "DeleteObject",
    "ListParts": "ListMultipartUploadParts",
}
_PREFIXES = {
    "sagemaker-runtime": "sagemaker",
    "sagemaker-metrics": "sagemaker",
    "monitoring": "cloudwatch",
}
_SAGEMAKER = {
    "TrainingJobName": "training-job",
    "ModelName": "model",
    "EndpointName": "endpoint",
    "EndpointConfigName": "endpoint-config",
    "NotebookInstanceName": "notebook-instance",
    "NotebookInstanceLifecycleConfigName": "notebook-instance-lifecycle-config",
}
_SAGEMAKER_FIRST = re.compile(
    r"(TrainingJob|Model|EndpointConfig|Endpoint|NotebookInstanceLifecycleConfig|NotebookInstance)"
)
_PASSED = ("RoleArn", "ExecutionRoleArn", "Role")
_PASSED_TO = {
    "sagemaker": "sagemaker.amazonaws.com",
    "lambda": "lambda.amazonaws.com",
    "ec2": "ec2.amazonaws.com",
}


def asked_of(request: Request, service: str, caller: Caller) -> list[Asked]:
    """Everything that must be allowed for the request to be answered."""
    operation = operation_of(service, request)
    context: dict[str, list[str]] = {
        "aws:requestedregion": [caller.region],
        "aws:principalaccount": [caller.account_id],
        "aws:securetransport": ["true"],  # loopback stands for TLS
    }
    if service == "s3":
        return [_of_s3(request, operation, context)]
    prefix = _PREFIXES.get(service, service)
    params = _params(request, service)
    resource = _resource(service, operation, params, request, caller)
    action = "InvokeFunction" if (service, operation) == ("lambda", "Invoke") else operation
    found = [Asked(action=f"{prefix}:{action}", resource=resource, context=context)]
    if operation.startswith(("Create", "Run", "Update")) and service in _PASSED_TO:
        found += _passed(service, params, caller, context)
    return found


def _of_s3(request: Request, operation: str, context: dict[str, list[str]]) -> Asked:
    address = address_of(request)
    action = _S3_ACTIONS.get(operation, operation)
    resource = f"arn:aws:s3:::{address.bucket}" if address.bucket else "*"
    if operation == "DeleteObjects":
        resource += "/*"
    elif address.key:
        resource += f"/{address.key}"
    if "prefix" in request.args:
        context = {**context, "s3:prefix": [request.args["prefix"]]}
    return Asked(action=f"s3:{action}", resource=resource, context=context)


def _params(request: Request, service: str) -> Mapping[str, Any]:
    """The parameters, as far as they can be read; nothing for what is too long or no form."""
    if (request.content_length or 0) > MAX_BYTES or service == "sagemaker-runtime":
        return {}
    if request.mimetype == "application/x-www-form-urlencoded":
        return query_params(request, service) or {}
    try:
        found = json.loads(request.get_data(cache=True) or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _resource(
    service: str, operation: str, params: Mapping[str, Any], request: Request, caller: Caller
) -> str:
    where = f"{caller.region}:{caller.account_id}"
    parts = [unquote(part) for part in raw_path(request).split("/") if part]
    if service == "sagemaker-runtime":
        return f"arn:aws:sagemaker:{where}:endpoint/{parts[1].lower()}"
    if service == "lambda":
        return _function(params, parts, request, where)
    if service == "sagemaker":
        return _of_sagemaker(operation, params, where)
    if service == "logs" and "logGroupName" in params:
        stream = params.get("logStreamName", "*")
        return f"arn:aws:logs:{where}:log-group:{params['logGroupName']}:log-stream:{stream}"
    if service == "ssm" and "Name" in params:
        return f"arn:aws:ssm:{where}:parameter/{str(params['Name']).lstrip('/')}"
    if service == "iam" and "RoleName" in params:
        return f"arn:aws:iam::{caller.account_id}:role/{params['RoleName']}"
    if service == "sts" and "RoleArn" in params:
        return str(params["RoleArn"])
    return "*"


def _of_sagemaker(operation: str, params: Mapping[str, Any], where: str) -> str:
    if operation.startswith("List") and operation != "ListTags":
        return "*"
    if "ResourceArn" in params:
        return str(params["ResourceArn"])
    kind = _SAGEMAKER_FIRST.search(operation)
    name = f"{kind[1]}Name" if kind else ""
    if name not in params:
        return "*"
    return f"arn:aws:sagemaker:{where}:{_SAGEMAKER[name]}/{str(params[name]).lower()}"


def _function(params: Mapping[str, Any], parts: list[str], request: Request, where: str) -> str:
    name = parts[2] if len(parts) > 2 and parts[1] == "functions" else ""
    name = name or str(params.get("FunctionName", ""))
    if not name:
        return "*"
    name = name.rpartition(":function:")[2]
    qualifier = request.args.get("Qualifier")
    qualified = f"{name}:{qualifier}" if qualifier and ":" not in name else name
    return f"arn:aws:lambda:{where}:function:{qualified}"


def _passed(
    service: str, params: Mapping[str, Any], caller: Caller, context: dict[str, list[str]]
) -> list[Asked]:
    """iam:PassRole, for each role that the request hands to the service."""
    to = {**context, "iam:passedtoservice": [_PASSED_TO[service]]}
    roles = [str(params[name]) for name in _PASSED if name in params]
    profile = params.get("IamInstanceProfile", {}).get("Name")
    if profile:
        roles.append(f"arn:aws:iam::{caller.account_id}:role/{profile}")
    return [Asked(action="iam:PassRole", resource=role, context=to) for role in roles]
