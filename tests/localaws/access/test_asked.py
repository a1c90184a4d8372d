"""What boto3's requests need, in IAM's words."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends
from werkzeug import Request
from werkzeug.test import EnvironBuilder

from localaws.access.asked import asked_of
from localaws.access.question import Asked
from localaws.wire.protocol import Caller

ACCOUNT = "123456789012"
CALLER = Caller(account_id=ACCOUNT, region="us-east-1", access_key_id="AKIATEST")
HERE = f"us-east-1:{ACCOUNT}"


class _Caught(Exception):
    """The request, instead of an answer."""


def sent(service: str, operation: str, **params: Any) -> Request:
    """What boto3 would send."""
    client = boto3.client(
        service,
        endpoint_url="http://127.0.0.1:1",
        region_name="us-east-1",
        aws_access_key_id="AKIATEST",
        aws_secret_access_key="test",
    )

    def catch(request: Any, **_: Any) -> None:
        raise _Caught(request)

    client.meta.events.register("before-send", catch)
    with pytest.raises(_Caught) as caught:
        getattr(client, operation)(**params)
    request = caught.value.args[0]
    url = urlsplit(request.url)
    body = request.body or b""
    environ = EnvironBuilder(
        method=request.method,
        path=url.path,
        query_string=url.query,
        headers=[(k, v if isinstance(v, str) else v.decode()) for k, v in request.headers.items()],
        data=body.encode() if isinstance(body, str) else body,
    ).get_environ()
    return Request({**environ, "RAW_URI": url.path, "REQUEST_URI": url.path})


def asked(service: str, operation: str, **params: Any) -> list[Asked]:
    signed_as = {"cloudwatch": "monitoring"}.get(service, service)
    return asked_of(sent(service, operation, **params), signed_as, CALLER)


def pairs(service: str, operation: str, **params: Any) -> set[tuple[str, str]]:
    return {(one.action, one.resource) for one in asked(service, operation, **params)}


TAGS = [{"Key": "team", "Value": "dogs"}]
ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"


@pytest.fixture
def profile() -> Iterator[None]:
    """An instance profile `front` with the role `worker`."""
    iam = iam_backends[ACCOUNT]["aws"]
    iam.create_role(
        role_name="worker",
        assume_role_policy_document="{}",
        path="/",
        permissions_boundary=None,
        description="",
        tags=[],
        max_session_duration=None,
    )
    iam.create_instance_profile(name="front", path="/", role_names=["worker"], tags=[])
    yield
    iam.reset()


def test_a_launch_needs_everything_that_it_makes_uses_and_hands_over(profile: None) -> None:
    found = pairs(
        "ec2",
        "run_instances",
        ImageId="ami-1",
        MinCount=1,
        MaxCount=1,
        SecurityGroupIds=["sg-1"],
        IamInstanceProfile={"Name": "front"},
        TagSpecifications=[{"ResourceType": "instance", "Tags": TAGS}],
    )
    assert found == {
        ("ec2:RunInstances", "arn:aws:ec2:us-east-1::image/ami-1"),
        ("ec2:RunInstances", f"arn:aws:ec2:{HERE}:instance/*"),
        ("ec2:RunInstances", f"arn:aws:ec2:{HERE}:volume/*"),
        ("ec2:RunInstances", f"arn:aws:ec2:{HERE}:network-interface/*"),
        ("ec2:RunInstances", f"arn:aws:ec2:{HERE}:security-group/sg-1"),
        ("ec2:RunInstances", f"arn:aws:ec2:{HERE}:subnet/*"),
        ("ec2:CreateTags", f"arn:aws:ec2:{HERE}:instance/*"),
        ("iam:PassRole", ROLE),
    }


def test_an_instance_is_known_by_its_tags() -> None:
    ec2_backends[ACCOUNT]["us-east-1"].tags["i-0123"] = {"pedigree:run": "r1"}
    try:
        (one,) = asked("ec2", "terminate_instances", InstanceIds=["i-0123"])
    finally:
        ec2_backends[ACCOUNT]["us-east-1"].reset()
    assert one.resource == f"arn:aws:ec2:{HERE}:instance/i-0123"
    assert one.context["aws:resourcetag/pedigree:run"] == ["r1"]


ENDPOINT = {"EndpointName": "Dogs", "EndpointConfigName": "v1"}
FUNCTION = f"arn:aws:lambda:{HERE}:function:ask"
CASES: list[tuple[str, str, dict[str, Any], set[tuple[str, str]]]] = [
    (
        "sagemaker",
        "create_endpoint",
        {**ENDPOINT, "Tags": TAGS},
        {
            ("sagemaker:CreateEndpoint", f"arn:aws:sagemaker:{HERE}:endpoint/dogs"),
            ("sagemaker:CreateEndpoint", f"arn:aws:sagemaker:{HERE}:endpoint-config/v1"),
            ("sagemaker:AddTags", f"arn:aws:sagemaker:{HERE}:endpoint/dogs"),
        },
    ),
    (
        "sagemaker",
        "describe_endpoint_config",
        {"EndpointConfigName": "v1"},
        {("sagemaker:DescribeEndpointConfig", f"arn:aws:sagemaker:{HERE}:endpoint-config/v1")},
    ),
    ("sagemaker", "list_models", {}, {("sagemaker:ListModels", "*")}),
    (
        "lambda",
        "create_function",
        {
            "FunctionName": "ask",
            "Role": ROLE,
            "Runtime": "python3.11",
            "Handler": "f.f",
            "Code": {"S3Bucket": "code", "S3Key": "f.zip"},
            "Tags": {"team": "dogs"},
        },
        {
            ("lambda:CreateFunction", FUNCTION),
            ("lambda:TagResource", FUNCTION),
            ("s3:GetObject", "arn:aws:s3:::code/f.zip"),
            ("iam:PassRole", ROLE),
        },
    ),
    (
        "lambda",
        "invoke",
        {"FunctionName": "ask", "Qualifier": "live"},
        {("lambda:InvokeFunction", f"{FUNCTION}:live")},
    ),
    (
        "lambda",
        "list_tags",
        {"Resource": FUNCTION},
        {("lambda:ListTags", FUNCTION)},
    ),
    (
        "cloudwatch",
        "delete_alarms",
        {"AlarmNames": ["a", "b"]},
        {("cloudwatch:DeleteAlarms", f"arn:aws:cloudwatch:{HERE}:alarm:{n}") for n in "ab"},
    ),
    (
        "application-autoscaling",
        "register_scalable_target",
        {
            "ServiceNamespace": "sagemaker",
            "ResourceId": "endpoint/dogs/variant/primary",
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        },
        {
            (
                "application-autoscaling:RegisterScalableTarget",
                f"arn:aws:application-autoscaling:{HERE}:scalable-target/*",
            )
        },
    ),
    (
        "ssm",
        "get_parameter",
        {"Name": "/aws/service/deeplearning/ami"},
        {
            (
                "ssm:GetParameter",
                "arn:aws:ssm:us-east-1::parameter/aws/service/deeplearning/ami",
            )
        },
    ),
    (
        "ssm",
        "get_parameters",
        {"Names": ["/mine"]},
        {("ssm:GetParameters", f"arn:aws:ssm:{HERE}:parameter/mine")},
    ),
    (
        "iam",
        "create_role",
        {"RoleName": "r", "AssumeRolePolicyDocument": "{}", "Tags": TAGS},
        {
            ("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/r"),
            ("iam:TagRole", f"arn:aws:iam::{ACCOUNT}:role/r"),
        },
    ),
    (
        "iam",
        "add_role_to_instance_profile",
        {"RoleName": "r", "InstanceProfileName": "p"},
        {
            ("iam:AddRoleToInstanceProfile", f"arn:aws:iam::{ACCOUNT}:instance-profile/p"),
            ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/r"),
        },
    ),
    (
        "s3",
        "copy_object",
        {"Bucket": "to", "Key": "k", "CopySource": {"Bucket": "from", "Key": "a b"}},
        {("s3:PutObject", "arn:aws:s3:::to/k"), ("s3:GetObject", "arn:aws:s3:::from/a b")},
    ),
    (
        "s3",
        "put_public_access_block",
        {"Bucket": "to", "PublicAccessBlockConfiguration": {"BlockPublicAcls": True}},
        {("s3:PutBucketPublicAccessBlock", "arn:aws:s3:::to")},
    ),
    (
        "s3",
        "get_bucket_encryption",
        {"Bucket": "to"},
        {("s3:GetEncryptionConfiguration", "arn:aws:s3:::to")},
    ),
    ("ec2", "describe_instances", {}, {("ec2:DescribeInstances", "*")}),
    (
        "cloudformation",
        "create_stack",
        {"StackName": "s", "TemplateBody": "{}", "Tags": TAGS},
        {
            ("cloudformation:CreateStack", f"arn:aws:cloudformation:{HERE}:stack/s/*"),
            ("cloudformation:TagResource", f"arn:aws:cloudformation:{HERE}:stack/s/*"),
        },
    ),
]


@pytest.mark.parametrize(
    ("service", "operation", "params", "wanted"),
    CASES,
    ids=lambda v: str(sorted(v) if isinstance(v, set) else v)[:30],
)
def test_what_a_call_needs(
    service: str, operation: str, params: dict[str, Any], wanted: set[tuple[str, str]]
) -> None:
    assert pairs(service, operation, **params) == wanted


def test_an_alarm_that_is_told_in_cbor() -> None:
    found = asked(
        "cloudwatch",
        "put_metric_alarm",
        AlarmName="busy",
        MetricName="m",
        Namespace="n",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
        Tags=TAGS,
    )
    arn = f"arn:aws:cloudwatch:{HERE}:alarm:busy"
    assert [(one.action, one.resource) for one in found] == [
        ("cloudwatch:PutMetricAlarm", arn),
        ("cloudwatch:TagResource", arn),
    ]
    assert found[1].context["aws:requesttag/team"] == ["dogs"]
    (metric,) = asked("cloudwatch", "put_metric_data", Namespace="Dogs", MetricData=[])
    assert metric.context["cloudwatch:namespace"] == ["Dogs"]


def test_a_body_that_cannot_be_read_is_held_against_everything() -> None:
    request = sent("sagemaker", "create_model", ModelName="m")
    for body in (b"{", b"[" * 5000, b"\xff"):
        for length in (len(body), len(body) + 1):  # The client hangs up before the last byte.
            environ = {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(length)}
            broken = Request({**request.environ, **environ})
            (one,) = asked_of(broken, "sagemaker", CALLER)
            assert (one.action, one.resource) == ("sagemaker:CreateModel", "*")
