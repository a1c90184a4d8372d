"""One CloudFormation template for all that an account has to hold: the private bucket and four roles. Pure.

The names and policies are those that `pedigree run` and `promote-model` look for, so neither makes
anything of its own once the stack stands.
"""

from __future__ import annotations

from typing import Any

from deployment.policy import endpoint_policy, function_policy
from deployment.settings import ServingSettings
from experiments.foundation import (
    EC2_ROLE,
    OWNER_TAG,
    TRAINING_ROLE,
    Foundation,
    Policy,
    ec2_policy,
    training_policy,
    trust,
)

STACK = "pedigree"
RUN_DAYS = 365
CAPTURE_DAYS = 30
UPLOAD_DAYS = 7
Document = dict[str, Any]


def template(foundation: Foundation, settings: ServingSettings) -> Document:
    """The template for an account, a region, and one application and stage."""
    region = f"pedigree-{foundation.region}"
    roles = (
        ("TrainingRole", TRAINING_ROLE, "sagemaker", training_policy(foundation), region),
        ("InstanceRole", EC2_ROLE, "ec2", ec2_policy(foundation), region),
        (
            "EndpointRole",
            settings.endpoint_role,
            "sagemaker",
            endpoint_policy(settings, foundation),
            "pedigree",
        ),
        (
            "FunctionRole",
            settings.function_role,
            "lambda",
            function_policy(settings, foundation),
            "pedigree",
        ),
    )
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Pedigree: the private bucket and the four roles of {settings.name}",
        "Resources": {
            "Bucket": _bucket(foundation),
            "BucketPolicy": _bucket_policy(foundation),
            **{
                logical: _role(name, service, policy, policy_name, foundation)
                for logical, name, service, policy, policy_name in roles
            },
            "InstanceProfile": {
                "Type": "AWS::IAM::InstanceProfile",
                "Properties": {"InstanceProfileName": EC2_ROLE, "Roles": [{"Ref": "InstanceRole"}]},
            },
        },
        "Outputs": {
            "Bucket": {"Value": {"Ref": "Bucket"}, "Description": "where everything is kept"}
        },
    }


def _bucket(foundation: Foundation) -> Document:
    """Kept when the stack is deleted: it holds what was trained."""
    closed = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    encryption = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    rules = [
        {
            "Id": "unfinished-uploads",
            "Status": "Enabled",
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UPLOAD_DAYS},
        },
        _expiry("old-runs", "runs/", RUN_DAYS),
        _expiry("old-answers", "capture/", CAPTURE_DAYS),
    ]
    return {
        "Type": "AWS::S3::Bucket",
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "BucketName": foundation.bucket,
            "PublicAccessBlockConfiguration": dict.fromkeys(closed, True),
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "BucketEncryption": {"ServerSideEncryptionConfiguration": [encryption]},
            "LifecycleConfiguration": {"Rules": rules},
            "Tags": [OWNER_TAG],
        },
    }


def _expiry(name: str, prefix: str, days: int) -> Document:
    return {"Id": name, "Status": "Enabled", "Prefix": prefix, "ExpirationInDays": days}


def _bucket_policy(foundation: Foundation) -> Document:
    name = foundation.bucket
    tls_only = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {
            "Bucket": {"Ref": "Bucket"},
            "PolicyDocument": {"Version": "2012-10-17", "Statement": [tls_only]},
        },
    }


def _role(
    name: str, service: str, policy: Policy, policy_name: str, foundation: Foundation
) -> Document:
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": name,
            "AssumeRolePolicyDocument": trust(service, foundation),
            "Policies": [{"PolicyName": policy_name, "PolicyDocument": policy}],
            "Tags": [OWNER_TAG],
        },
    }
