"""What the endpoint and the function may do, and nothing else."""

from __future__ import annotations

from typing import Any

from deployment.settings import ServingSettings
from experiments.foundation import Foundation

SERVING_REPOSITORY = "pedigree-serving"
Policy = dict[str, Any]


def model_prefix(settings: ServingSettings) -> str:
    """Where the archives of an application's releases are kept in the bucket."""
    return f"models/{settings.name}/"


def capture_prefix(settings: ServingSettings) -> str:
    """Where captured questions and answers of an application are kept in the bucket."""
    return f"capture/{settings.name}"


def endpoint_arn(settings: ServingSettings, foundation: Foundation) -> str:
    return f"arn:aws:sagemaker:{foundation.region}:{foundation.account_id}:endpoint/{settings.name}"


def allow(sid: str, actions: list[str], resources: list[str]) -> Policy:
    """A statement that allows these actions on these resources."""
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}


def log_group(foundation: Foundation, name: str) -> str:
    """Its ARN; what is in it is below `:*`."""
    return f"arn:aws:logs:{foundation.region}:{foundation.account_id}:log-group:{name}"


def endpoint_policy(settings: ServingSettings, foundation: Foundation) -> Policy:
    """Read the releases' models, pull the serving image, write this endpoint's logs and metrics.

    The two actions on `*` know no resources: a registry token, and metrics, which are held to
    SageMaker's own namespaces.
    """
    region, account = foundation.region, foundation.account_id
    image = f"arn:aws:ecr:{region}:{account}:repository/{SERVING_REPOSITORY}"
    models = f"arn:aws:s3:::{foundation.bucket}/{model_prefix(settings)}*"
    captured = ""
    if settings.capture_percent:
        captured = f"arn:aws:s3:::{foundation.bucket}/{capture_prefix(settings)}/*"
    logs = log_group(foundation, f"/aws/sagemaker/Endpoints/{settings.name}")
    metrics = allow("WriteMetrics", ["cloudwatch:PutMetricData"], ["*"])
    spaces = ["AWS/SageMaker", "/aws/sagemaker/Endpoints"]
    metrics["Condition"] = {"StringEquals": {"cloudwatch:namespace": spaces}}
    pull = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    write = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    return {
        "Version": "2012-10-17",
        "Statement": [
            allow("ReadModels", ["s3:GetObject"], [models]),
            allow("ImageToken", ["ecr:GetAuthorizationToken"], ["*"]),
            allow("PullImage", pull, [image]),
            allow("WriteLogs", ["logs:CreateLogGroup", *write], [logs, f"{logs}:*"]),
            metrics,
            *([allow("KeepAnswers", ["s3:PutObject"], [captured])] if captured else []),
        ],
    }


def function_policy(settings: ServingSettings, foundation: Foundation) -> Policy:
    """Ask exactly one endpoint, and write the function's own log."""
    logs = log_group(foundation, f"/aws/lambda/{settings.name}")
    write = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
    ask = allow("AskEndpoint", ["sagemaker:InvokeEndpoint"], [endpoint_arn(settings, foundation)])
    return {
        "Version": "2012-10-17",
        "Statement": [ask, allow("WriteLogs", write, [logs, f"{logs}:*"])],
    }
