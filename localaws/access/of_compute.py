"""What requests for SageMaker and Lambda need."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from localaws.access.question import ANY, Asked, Question, named_alike
from localaws.wire.request import raw_path

_SAGEMAKER = {
    "TrainingJob": "training-job",
    "Model": "model",
    "EndpointConfig": "endpoint-config",
    "Endpoint": "endpoint",
    "NotebookInstanceLifecycleConfig": "notebook-instance-lifecycle-config",
    "NotebookInstance": "notebook-instance",
}
_PRESIGNED = "CreatePresigned"


def sagemaker(question: Question) -> list[Asked]:
    """The action on what the request names; its tags, its configuration and its role besides."""
    params, operation = question.params, question.operation
    resource = _of_sagemaker(question)
    found = [question.of(resource)]
    if operation in ("CreateEndpoint", "UpdateEndpoint") and "EndpointConfigName" in params:
        name = str(params["EndpointConfigName"]).lower()
        found.append(question.of(question.arn(f"endpoint-config/{name}")))
    if operation.startswith("Create"):
        found += question.tagging("sagemaker:AddTags", resource, params.get("Tags"))
    return found + _passed(question, "sagemaker")


def _of_sagemaker(question: Question) -> str:
    params, operation = question.params, question.operation
    if operation.startswith("List") and operation != "ListTags":
        return ANY
    if "ResourceArn" in params:
        return str(params["ResourceArn"])
    kind = named_alike(operation.replace(_PRESIGNED, "Create"), _SAGEMAKER)
    if kind is None or f"{kind}Name" not in params:
        return ANY
    return question.arn(f"{_SAGEMAKER[kind]}/{str(params[f'{kind}Name']).lower()}")


def runtime(question: Question) -> list[Asked]:
    """sagemaker:InvokeEndpoint on the endpoint in the path."""
    parts = _parts(question)
    name = parts[1].lower() if len(parts) > 1 else ANY
    return [question.of(question.arn(f"endpoint/{name}"))]


def function(question: Question) -> list[Asked]:
    """The action on the function, with its qualifier; its tags, role and archive besides."""
    params, operation = question.params, question.operation
    resource = _of_lambda(question)
    action = "lambda:InvokeFunction" if operation == "Invoke" else ""
    found = [question.of(resource, action)]
    if operation == "CreateFunction":
        found += question.tagging("lambda:TagResource", resource, params.get("Tags"))
    code = params.get("Code", params)
    if isinstance(code, dict) and {"S3Bucket", "S3Key"} <= set(code):
        archive = f"arn:aws:s3:::{code['S3Bucket']}/{code['S3Key']}"
        found.append(question.of(archive, "s3:GetObject"))
    return found + _passed(question, "lambda")


def _of_lambda(question: Question) -> str:
    parts = _parts(question)
    if len(parts) > 2 and parts[1] == "tags":
        return parts[2]
    name = parts[2] if len(parts) > 2 and parts[1] == "functions" else ""
    name = name or str(question.params.get("FunctionName", ""))
    if not name:
        return ANY
    name = name.rpartition("function:")[2]
    qualifier = question.request.args.get("Qualifier")
    return question.arn(f"function:{name}:{qualifier}" if qualifier and ":" not in name else
                        f"function:{name}")  # fmt: skip


def _parts(question: Question) -> list[str]:
    return [unquote(part) for part in raw_path(question.request).split("/") if part]


def _passed(question: Question, service: str) -> list[Asked]:
    if not question.operation.startswith(("Create", "Update")):
        return []
    names = ("RoleArn", "ExecutionRoleArn", "Role")
    roles: list[Any] = [question.params[name] for name in names if name in question.params]
    return [question.passing(str(role), service) for role in roles]
