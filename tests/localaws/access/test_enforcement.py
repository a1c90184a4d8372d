"""IAM through plain boto3: the simulation of policies, and calls that are refused."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localaws.access.simulate import Simulator
from localaws.server import Parts, Service
from tests.localaws.conftest import Client, StartCloud
from tests.localaws.sagemaker_world import IMAGE, sagemaker_services

ACCOUNT = "arn:aws:iam::123456789012"


def with_simulator(parts: Parts) -> list[Service]:
    return [Simulator(), *sagemaker_services(parts)]


@pytest.fixture
def cloud(start_cloud: StartCloud) -> Client:
    found = start_cloud(build=with_simulator, enforce_iam=True)
    found.client("s3").create_bucket(Bucket="dogs")
    found.client("s3").put_object(Bucket="dogs", Key="a/1", Body=b"x")
    return found


def user(cloud: Client, *statements: dict[str, Any]) -> Any:
    """A function that makes clients of a user with these statements."""
    iam = cloud.client("iam")
    iam.create_user(UserName="ann")
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **s} for s in statements]}
    iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="ann")["AccessKey"]

    def client(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=cloud.url,
            region_name="us-east-1",
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
            config=Config(retries={"total_max_attempts": 1}),
        )

    return client


def refused(call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**params)
    error = caught.value.response["Error"]
    assert "is not authorized to perform" in error["Message"], error
    return str(error["Code"])


def test_s3_by_bucket_key_and_prefix(cloud: Client) -> None:
    s3 = user(
        cloud,
        {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::dogs/a/*"},
        {
            "Action": "s3:ListBucket",
            "Resource": "arn:aws:s3:::dogs",
            "Condition": {"StringLike": {"s3:prefix": "a/*"}},
        },
    )("s3")
    assert s3.get_object(Bucket="dogs", Key="a/1")["Body"].read() == b"x"
    assert s3.list_objects_v2(Bucket="dogs", Prefix="a/")["KeyCount"] == 1
    assert refused(s3.list_objects_v2, Bucket="dogs") == "AccessDenied"
    assert refused(s3.get_object, Bucket="dogs", Key="b/1") == "AccessDenied"
    assert refused(s3.put_object, Bucket="dogs", Key="a/2", Body=b"") == "AccessDenied"
    assert refused(s3.list_buckets) == "AccessDenied"


def test_sagemaker_by_resource_and_the_role_that_is_passed(cloud: Client) -> None:
    role = f"{ACCOUNT}:role/trainer"
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}}
    document = {"Version": "2012-10-17", "Statement": [{**trust, "Action": "sts:AssumeRole"}]}
    cloud.client("iam").create_role(
        RoleName="trainer", AssumeRolePolicyDocument=json.dumps(document)
    )
    client = user(
        cloud,
        {"Action": "sagemaker:CreateModel", "Resource": "arn:aws:sagemaker:*:*:model/dogs-*"},
    )
    sagemaker = client("sagemaker")
    container = {"Image": IMAGE}
    asked = {"ExecutionRoleArn": role, "PrimaryContainer": container}
    assert refused(sagemaker.create_model, ModelName="cats-1", **asked) == "AccessDeniedException"
    assert refused(sagemaker.create_model, ModelName="dogs-1", **asked) == "AccessDeniedException"
    more = {
        "Action": "iam:PassRole",
        "Resource": role,
        "Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    }
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **more}]}
    cloud.client("iam").put_user_policy(
        UserName="ann", PolicyName="pass", PolicyDocument=json.dumps(policy)
    )
    assert sagemaker.create_model(ModelName="dogs-1", **asked)["ModelArn"].endswith("model/dogs-1")
    assert refused(sagemaker.delete_model, ModelName="dogs-1") == "AccessDeniedException"


def test_an_assumed_role_has_its_own_rights_and_anybody_may_ask_who_he_is(cloud: Client) -> None:
    iam = cloud.client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    iam.create_role(
        RoleName="reader",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
    keys = cloud.client("sts").assume_role(
        RoleArn=f"{ACCOUNT}:role/reader", RoleSessionName="session"
    )["Credentials"]
    client = {
        "endpoint_url": cloud.url,
        "region_name": "us-east-1",
        "aws_access_key_id": keys["AccessKeyId"],
        "aws_secret_access_key": keys["SecretAccessKey"],
        "aws_session_token": keys["SessionToken"],
    }
    assert refused(boto3.client("s3", **client).get_object, Bucket="dogs", Key="a/1")
    assert "reader" in boto3.client("sts", **client).get_caller_identity()["Arn"]
    assert refused(boto3.client("logs", **client).describe_log_groups) == "AccessDeniedException"
    assert refused(boto3.client("ec2", **client).describe_instances) == "UnauthorizedOperation"


def test_the_simulation_of_a_principals_policies(cloud: Client) -> None:
    user(cloud, {"Action": "s3:Get*", "Resource": "arn:aws:s3:::dogs/*"})
    iam = cloud.client("iam")
    found = iam.simulate_principal_policy(
        PolicySourceArn=f"{ACCOUNT}:user/ann",
        ActionNames=["s3:GetObject", "s3:PutObject"],
        ResourceArns=["arn:aws:s3:::dogs/a", "arn:aws:s3:::cats/a"],
    )["EvaluationResults"]
    assert [one["EvalDecision"] for one in found] == [
        "allowed",
        "implicitDeny",
        "implicitDeny",
        "implicitDeny",
    ]
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=f"{ACCOUNT}:user/ann",
        ActionNames=["s3:GetObject", "s3:PutObject"],
        PaginationConfig={"PageSize": 1},
    )
    names = [one["EvalActionName"] for page in pages for one in page["EvaluationResults"]]
    assert names == ["s3:GetObject", "s3:PutObject"]
    with pytest.raises(ClientError, match="NoSuchEntity"):
        iam.simulate_principal_policy(PolicySourceArn=f"{ACCOUNT}:role/none", ActionNames=["s3:*"])


def test_a_custom_policy_is_simulated(cloud: Client) -> None:
    deny = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*"}
    found = cloud.client("iam").simulate_custom_policy(
        PolicyInputList=[json.dumps({"Version": "2012-10-17", "Statement": [deny]})],
        ActionNames=["s3:PutObject"],
    )["EvaluationResults"]
    assert found[0]["EvalDecision"] == "explicitDeny"
