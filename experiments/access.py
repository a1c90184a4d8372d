"""Who may do what: the policy documents of the roles that runs and notebooks take. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TRAINING_ROLE = "pedigree-training"
EC2_ROLE = "pedigree-ec2"
Policy = dict[str, Any]
# Session Manager's channels know no resource; a person still needs ssm:StartSession on the host.
SHELL_STATEMENT: Policy = {
    "Sid": "Shell",
    "Effect": "Allow",
    "Action": [
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    ],
    "Resource": ["*"],
}
_REGISTER_STATEMENT: Policy = {
    "Sid": "Register",
    "Effect": "Allow",
    "Action": ["ssm:UpdateInstanceInformation"],
    "Resource": ["*"],
}


@dataclass(frozen=True, kw_only=True)
class Foundation:
    """The names every later request uses."""

    account_id: str
    region: str

    @property
    def bucket(self) -> str:
        return f"pedigree-{self.account_id}-{self.region}"

    def role_arn(self, role: str) -> str:
        return f"arn:aws:iam::{self.account_id}:role/{role}"


def trust(service: str, foundation: Foundation) -> Policy:
    """Who may take a role: one AWS service, and where the service says so, only for this account."""
    statement: Policy = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    if service in ("sagemaker", "codebuild"):
        mine = f"arn:aws:{service}:{foundation.region}:{foundation.account_id}:*"
        statement["Condition"] = {
            "StringEquals": {"aws:SourceAccount": foundation.account_id},
            "ArnLike": {"aws:SourceArn": mine},
        }
    return {"Version": "2012-10-17", "Statement": [statement]}


def storage_statements(foundation: Foundation) -> list[Policy]:
    """Read inputs and write outputs of runs; nothing else in the bucket can be written."""
    bucket = f"arn:aws:s3:::{foundation.bucket}"
    inputs = [
        f"{bucket}/{prefix}/*" for prefix in ("datasets", "code", "weights", "wheels", "runs")
    ]
    return [
        {
            "Sid": "ReadInputs",
            "Effect": "Allow",
            "Action": ["s3:GetObject"],
            "Resource": inputs,
        },
        {
            "Sid": "ListInputs",
            "Effect": "Allow",
            "Action": ["s3:ListBucket", "s3:GetBucketLocation"],
            "Resource": [bucket],
        },
        {
            "Sid": "WriteRuns",
            "Effect": "Allow",
            "Action": ["s3:PutObject", "s3:AbortMultipartUpload"],
            "Resource": [f"{bucket}/runs/*"],
        },
    ]


def training_policy(foundation: Foundation) -> Policy:
    """What a SageMaker training job needs: its data, its logs, and AWS's own image."""
    logs = f"arn:aws:logs:{foundation.region}:{foundation.account_id}:log-group:"
    return {
        "Version": "2012-10-17",
        "Statement": [
            *storage_statements(foundation),
            {
                "Sid": "WriteLogs",
                "Effect": "Allow",
                "Action": [
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:PutLogEvents",
                    "logs:DescribeLogStreams",
                ],
                "Resource": [f"{logs}/aws/sagemaker/TrainingJobs*"],
            },
            {
                "Sid": "ImageToken",
                "Effect": "Allow",
                "Action": ["ecr:GetAuthorizationToken"],
                "Resource": ["*"],
            },
            {
                "Sid": "PullImage",
                "Effect": "Allow",
                "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                "Resource": [f"arn:aws:ecr:{foundation.region}:763104351884:repository/pytorch"],
            },
            SHELL_STATEMENT,
        ],
    }


def ec2_policy(foundation: Foundation) -> Policy:
    """What a plain instance needs: its data and a way in by Session Manager."""
    statements = [*storage_statements(foundation), SHELL_STATEMENT, _REGISTER_STATEMENT]
    return {"Version": "2012-10-17", "Statement": statements}
