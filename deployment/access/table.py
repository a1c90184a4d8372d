"""Which action each call needs, and on what. The policies of who runs pedigree are made from it.

A row is one request of the code: boto3's service and operation, the IAM actions that AWS asks for,
and the resources, in which {region}, {account} and {bucket} are filled in. Tests record the calls of
whole promotions, rollbacks, teardowns and sweeps and hold them against these rows, both ways.
Action names: AWS's Service Authorization Reference.
"""

from __future__ import annotations

from dataclasses import dataclass

from experiments.foundation import Foundation, Policy

ANY = "*"
_PLACES = {
    "any": ANY,
    "endpoint": "arn:aws:sagemaker:{region}:{account}:endpoint/*",
    "endpoint-and-config": "arn:aws:sagemaker:{region}:{account}:endpoint*/*",
    "endpoint-config": "arn:aws:sagemaker:{region}:{account}:endpoint-config/*",
    "model": "arn:aws:sagemaker:{region}:{account}:model/*",
    "job": "arn:aws:sagemaker:{region}:{account}:training-job/*",
    "notebook": "arn:aws:sagemaker:{region}:{account}:notebook-instance/*",
    "sagemaker": "arn:aws:sagemaker:{region}:{account}:*",
    "scaling": "arn:aws:application-autoscaling:{region}:{account}:scalable-target/*",
    "function": "arn:aws:lambda:{region}:{account}:function:*",
    "alarm": "arn:aws:cloudwatch:{region}:{account}:alarm:*",
    "role": "arn:aws:iam::{account}:role/pedigree-*",
    "bucket": "arn:aws:s3:::{bucket}",
    "objects": "arn:aws:s3:::{bucket}/*",
    "instance": "arn:aws:ec2:{region}:{account}:instance/*",
    "volume": "arn:aws:ec2:{region}:{account}:volume/*",
    "stack": "arn:aws:cloudformation:{region}:{account}:stack/pedigree*",
    "builder": "arn:aws:codebuild:{region}:{account}:project/pedigree-image",
    "repository": "arn:aws:ecr:{region}:{account}:repository/pedigree-serving",
}
# service | place | operations; an operation whose actions have other names has them after a colon
_TABLE = """
sagemaker | endpoint | describe_endpoint delete_endpoint
sagemaker | endpoint-and-config | create_endpoint:CreateEndpoint,AddTags update_endpoint
sagemaker | endpoint-config | describe_endpoint_config delete_endpoint_config
sagemaker | endpoint-config | create_endpoint_config:CreateEndpointConfig,AddTags
sagemaker | model | describe_model delete_model create_model:CreateModel,AddTags
sagemaker | any | list_endpoints list_endpoint_configs list_models list_training_jobs
sagemaker | any | list_notebook_instances
sagemaker | sagemaker | list_tags
sagemaker | job | describe_training_job stop_training_job
sagemaker | notebook | stop_notebook_instance
application-autoscaling | any | describe_scalable_targets describe_scaling_policies
application-autoscaling | scaling | register_scalable_target deregister_scalable_target
application-autoscaling | scaling | put_scaling_policy
lambda | function | create_function:CreateFunction,TagResource delete_function invoke:InvokeFunction
lambda | function | get_function_configuration update_function_configuration update_function_code
lambda | function | publish_version list_versions_by_function get_alias create_alias update_alias
lambda | function | get_function_concurrency put_function_concurrency list_tags
lambda | function | get_provisioned_concurrency_config put_provisioned_concurrency_config
lambda | function | list_provisioned_concurrency_configs delete_provisioned_concurrency_config
lambda | function | get_function_url_config create_function_url_config
lambda | function | update_function_url_config
lambda | any | list_functions get_account_settings
cloudwatch | any | describe_alarms
cloudwatch | alarm | put_metric_alarm:PutMetricAlarm,TagResource delete_alarms
cloudwatch | alarm | list_tags_for_resource
iam | role | get_role get_role_policy create_role:CreateRole,TagRole put_role_policy
iam | role | generate_service_last_accessed_details
iam | any | get_service_last_accessed_details
s3 | objects | get_object head_object:GetObject put_object delete_object
s3 | objects | list_parts:ListMultipartUploadParts abort_multipart_upload
s3 | bucket | list_objects_v2:ListBucket list_multipart_uploads:ListBucketMultipartUploads
ec2 | any | describe_instances describe_volumes
ec2 | instance | terminate_instances
ec2 | volume | delete_volume
service-quotas | any | list_service_quotas
cloudformation | stack | describe_stacks get_template describe_stack_events
cloudformation | stack | create_stack:CreateStack,TagResource update_stack:UpdateStack,TagResource
ecr | any | get_authorization_token
ecr | repository | describe_repositories create_repository:CreateRepository,TagResource
ecr | repository | describe_images
codebuild | builder | create_project update_project start_build batch_get_builds stop_build
"""
_PREFIXES = {"service-quotas": "servicequotas"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One request of the code, the actions that AWS asks for, and on what."""

    service: str
    operation: str
    actions: tuple[str, ...]
    resource: str


def _rows() -> tuple[Row, ...]:
    rows = []
    for line in _TABLE.strip().splitlines():
        service, place, operations = (part.strip() for part in line.split("|"))
        prefix = _PREFIXES.get(service, service)
        for word in operations.split():
            operation, _, others = word.partition(":")
            own = "".join(part.capitalize() for part in operation.split("_"))
            rows.append(
                Row(
                    service=service,
                    operation=operation,
                    actions=tuple(f"{prefix}:{name}" for name in (others or own).split(",")),
                    resource=_PLACES[place],
                )
            )
    return tuple(rows)


ROWS = _rows()
HANDED_OVER = frozenset(
    {
        "create_model",
        "create_function",
        "update_function_configuration",
        "create_project",
        "update_project",
    }
)
"""The requests that hand a role to a service: who makes them has to be allowed to pass it on."""
PUSH_ACTIONS = (
    "BatchCheckLayerAvailability",
    "CompleteLayerUpload",
    "InitiateLayerUpload",
    "PutImage",
    "UploadLayerPart",
)
"""What Docker asks of the registry when it pushes an image."""
STARS = frozenset(
    {
        "application-autoscaling:DescribeScalableTargets",
        "application-autoscaling:DescribeScalingPolicies",
        "cloudwatch:DescribeAlarms",
        "ec2:DescribeInstances",
        "ec2:DescribeVolumes",
        "iam:GetServiceLastAccessedDetails",
        "lambda:GetAccountSettings",
        "lambda:ListFunctions",
        "sagemaker:ListEndpointConfigs",
        "sagemaker:ListEndpoints",
        "sagemaker:ListModels",
        "sagemaker:ListNotebookInstances",
        "sagemaker:ListTrainingJobs",
        "servicequotas:ListServiceQuotas",
        # In the policies of the roles:
        "cloudwatch:PutMetricData",
        "ecr:GetAuthorizationToken",
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    }
)
"""The only actions that may stand beside a resource of `*`: AWS knows no narrower one for them."""


def operator_policy(foundation: Foundation) -> Policy:
    """What the person or pipeline needs that promotes, rolls back, takes down and sweeps. Pure.

    One statement for each resource, made of the rows, and one for what Docker asks by itself;
    passing roles on is held to the three services.
    """
    by_resource: dict[str, set[str]] = {}
    for row in ROWS:
        by_resource.setdefault(row.resource, set()).update(row.actions)
    statements = [
        {
            "Sid": f"S{number}",
            "Effect": "Allow",
            "Action": sorted(actions),
            "Resource": [_filled(resource, foundation)],
        }
        for number, (resource, actions) in enumerate(sorted(by_resource.items()))
    ]
    services = [f"{name}.amazonaws.com" for name in ("sagemaker", "lambda", "codebuild")]
    pass_on = {
        "Sid": "PassRoles",
        "Effect": "Allow",
        "Action": ["iam:PassRole"],
        "Resource": [_filled(_PLACES["role"], foundation)],
        "Condition": {"StringEquals": {"iam:PassedToService": services}},
    }
    push = {
        "Sid": "PushImage",
        "Effect": "Allow",
        "Action": sorted(f"ecr:{name}" for name in PUSH_ACTIONS),
        "Resource": [_filled(_PLACES["repository"], foundation)],
    }
    scaling = "sagemaker.application-autoscaling.amazonaws.com"
    first_time = {
        "Sid": "ScalingRole",
        "Effect": "Allow",
        "Action": ["iam:CreateServiceLinkedRole"],
        "Resource": [f"arn:aws:iam::{foundation.account_id}:role/aws-service-role/{scaling}/*"],
        "Condition": {"StringEquals": {"iam:AWSServiceName": scaling}},
    }
    return {"Version": "2012-10-17", "Statement": [*statements, push, pass_on, first_time]}


def _filled(resource: str, foundation: Foundation) -> str:
    return (
        resource.replace("{region}", foundation.region)
        .replace("{account}", foundation.account_id)
        .replace("{bucket}", foundation.bucket)
    )
