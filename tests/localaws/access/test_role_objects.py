"""What SageMaker reads and writes for a role is held against the role's policies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localaws.conftest import Client, StartCloud
from tests.localaws.job_world import request, run
from tests.localaws.sagemaker_world import BUCKET, IMAGE, ROLE, prepare, sagemaker_services

pytestmark = pytest.mark.slow
READ = {"Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/scripts/*"}
LIST = {"Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{BUCKET}"}
WRITE = {"Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{BUCKET}/runs/*"}


@pytest.fixture
def cloud(start_cloud: StartCloud) -> Client:
    found = start_cloud(build=sagemaker_services, enforce_iam=True)
    prepare(found)
    return found


def may(cloud: Client, *statements: dict[str, Any]) -> None:
    """The trainer's only policy."""
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **s} for s in statements]}
    cloud.client("iam").put_role_policy(
        RoleName="trainer", PolicyName="p", PolicyDocument=json.dumps(policy)
    )


def test_a_job_with_all_it_needs_and_its_own_calls(cloud: Client) -> None:
    may(cloud, READ, LIST, WRITE)
    script = f"""
        set -e
        aws s3 cp s3://{BUCKET}/scripts/ok/run /dev/null
        aws s3 cp s3://{BUCKET}/secrets/x /dev/null 2> said && exit 1
        grep -q AccessDenied said || grep -q 403 said
        echo model > /opt/ml/model/m
    """
    cloud.client("s3").put_object(Bucket=BUCKET, Key="secrets/x", Body=b"x")
    job = run(cloud, request(cloud, "ok", script))
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")


def test_a_role_that_may_not_list_or_read_or_write(cloud: Client) -> None:
    may(cloud, READ, WRITE)
    with pytest.raises(ClientError, match='has "s3:ListBucket" permissions'):
        run(cloud, request(cloud, "blind", "true"))
    may(cloud, LIST, WRITE)
    job = run(cloud, request(cloud, "deaf", "true"))
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: Data download failed:")
    assert "not authorized to perform: s3:GetObject on resource" in job["FailureReason"]
    may(cloud, READ, LIST)
    job = run(cloud, request(cloud, "mute", "echo m > /opt/ml/model/m"))
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: Artifact upload failed:")
    assert "not authorized to perform: s3:PutObject" in job["FailureReason"]


def test_a_model_that_its_role_may_not_read(cloud: Client) -> None:
    cloud.client("s3").put_object(Bucket=BUCKET, Key="models/m.tar.gz", Body=b"x")
    may(cloud, READ)
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/models/m.tar.gz"}
    with pytest.raises(ClientError, match='has "s3:GetObject" permissions'):
        cloud.client("sagemaker").create_model(
            ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=container
        )
