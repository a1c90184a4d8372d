"""What must exist in an account before a run can start: a private bucket and two roles.

`plan_foundation` compares what is wanted with what is there and returns only the missing calls.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experiments.access import (
    EC2_ROLE,
    TRAINING_ROLE,
    Foundation,
    Policy,
    ec2_policy,
    training_policy,
    trust,
)
from experiments.aws import Cloud, is_code
from experiments.errors import CloudError
from experiments.records import Call

__all__ = [
    "CLOSED_GROUP",
    "EC2_ROLE",
    "OWNER_TAG",
    "TRAINING_ROLE",
    "Foundation",
    "Policy",
    "Standing",
    "bucket_calls",
    "ec2_policy",
    "observe_foundation",
    "observe_role",
    "plan_foundation",
    "role_calls",
    "training_policy",
    "trust",
]
CLOSED_GROUP = "pedigree-closed"
"""The security group without an inbound rule, in the account's default VPC."""
OWNER_TAG = {"Key": "pedigree:owner", "Value": "pedigree"}


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What is there now: the bucket and whether it is closed, the policy of each role that exists,
    the instance profile and whether its role is in it, the security group without inbound rules."""

    bucket: bool
    bucket_closed: bool
    roles: Mapping[str, Policy | None]
    ec2_profile: bool
    profile_role: bool
    closed_group: bool


def _role_policies(foundation: Foundation) -> dict[str, tuple[str, Policy]]:
    return {
        TRAINING_ROLE: ("sagemaker", training_policy(foundation)),
        EC2_ROLE: ("ec2", ec2_policy(foundation)),
    }


def bucket_calls(foundation: Foundation) -> list[Call]:
    """Create the bucket, then close it: no public access, encrypted, TLS only."""
    name = foundation.bucket
    create: dict[str, Any] = {"Bucket": name}
    if foundation.region != "us-east-1":
        create["CreateBucketConfiguration"] = {"LocationConstraint": foundation.region}
    block = dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
    )
    deny: Policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }
    encryption = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    why = "the bucket is private"
    return [
        Call(service="s3", operation="create_bucket", params=create, why=f"no bucket {name} yet"),
        Call(
            service="s3",
            operation="put_public_access_block",
            params={"Bucket": name, "PublicAccessBlockConfiguration": block},
            why=why,
        ),
        Call(
            service="s3",
            operation="put_bucket_encryption",
            params={"Bucket": name, "ServerSideEncryptionConfiguration": encryption},
            why=why,
        ),
        Call(
            service="s3",
            operation="put_bucket_policy",
            params={"Bucket": name, "Policy": json.dumps(deny)},
            why=why,
        ),
    ]


def role_calls(
    foundation: Foundation,
    role: str,
    service: str,
    policy: Policy,
    now: Policy | None,
    exists: bool,
    policy_name: str = "pedigree",
) -> list[Call]:
    """Create a role or bring one inline policy of it in line; nothing if both already agree."""
    calls = []
    if not exists:
        params = {
            "RoleName": role,
            "AssumeRolePolicyDocument": json.dumps(trust(service, foundation)),
            "Tags": [OWNER_TAG],
        }
        calls.append(
            Call(service="iam", operation="create_role", params=params, why=f"no role {role} yet")
        )
    if now != policy:
        params = {"RoleName": role, "PolicyName": policy_name, "PolicyDocument": json.dumps(policy)}
        why = f"{role} may do what its work needs and nothing else"
        calls.append(Call(service="iam", operation="put_role_policy", params=params, why=why))
    return calls


def _profile_calls() -> list[Call]:
    why = "an EC2 instance takes its role through a profile"
    steps: dict[str, dict[str, Any]] = {
        "create_instance_profile": {"Tags": [OWNER_TAG]},
        "add_role_to_instance_profile": {"RoleName": EC2_ROLE},
    }
    return [
        Call(
            service="iam",
            operation=operation,
            params={"InstanceProfileName": EC2_ROLE, **more},
            why=why,
        )
        for operation, more in steps.items()
    ]


def plan_foundation(foundation: Foundation, standing: Standing) -> tuple[Call, ...]:
    """The calls that bring an account from `standing` to what runs need; empty if nothing is missing."""
    calls = [] if standing.bucket_closed else bucket_calls(foundation)
    if standing.bucket:
        calls = calls[1:]
    for role, (service, policy) in _role_policies(foundation).items():
        exists = role in standing.roles
        now = standing.roles.get(role)
        name = _policy_name(foundation)
        calls += role_calls(foundation, role, service, policy, now, exists, name)
    profile = [] if standing.profile_role else _profile_calls()
    calls += profile[1:] if standing.ec2_profile else profile
    return tuple(calls if standing.closed_group else [*calls, _group_call()])


def _group_call() -> Call:
    """A new group lets nothing in and everything out; without a VPC it is in the default one."""
    tags = [{"ResourceType": "security-group", "Tags": [OWNER_TAG]}]
    params = {
        "GroupName": CLOSED_GROUP,
        "Description": "Hosts of Pedigree: nothing may come in",
        "TagSpecifications": tags,
    }
    why = "nothing may connect to an instance from outside"
    return Call(service="ec2", operation="create_security_group", params=params, why=why)


def _policy_name(foundation: Foundation) -> str:
    """Roles are an account's, buckets a region's: each region has its own policy on the role."""
    return f"pedigree-{foundation.region}"


def observe_role(
    cloud: Cloud, role: str, policy_name: str = "pedigree"
) -> tuple[bool, Policy | None]:
    """Whether a role exists, and its inline policy of this name."""
    try:
        cloud.ask("iam", "get_role", RoleName=role)
    except CloudError as error:
        if is_code(error, "NoSuchEntity"):
            return False, None
        raise
    try:
        answer = cloud.ask("iam", "get_role_policy", RoleName=role, PolicyName=policy_name)
    except CloudError as error:
        if is_code(error, "NoSuchEntity"):
            return True, None
        raise
    document = answer["PolicyDocument"]
    return True, json.loads(document) if isinstance(document, str) else document


def _exists(cloud: Cloud, service: str, operation: str, **params: Any) -> bool:
    try:
        cloud.ask(service, operation, **params)
    except CloudError as error:
        if is_code(error, "404", "NoSuchBucket", "NoSuchBucketPolicy", "NoSuchEntity", "NotFound"):
            return False
        raise
    return True


def _observe_profile(cloud: Cloud) -> tuple[bool, bool]:
    """Whether the instance profile exists, and whether the role is in it."""
    try:
        answer = cloud.ask("iam", "get_instance_profile", InstanceProfileName=EC2_ROLE)
    except CloudError as error:
        if is_code(error, "NoSuchEntity"):
            return False, False
        raise
    held = [role["RoleName"] for role in answer["InstanceProfile"]["Roles"]]
    return True, EC2_ROLE in held


def _observe_group(cloud: Cloud) -> bool:
    """Whether the closed group exists. Raises CloudError if somebody opened it."""
    named = {"Name": "group-name", "Values": [CLOSED_GROUP]}
    found = cloud.pages("ec2", "describe_security_groups", "SecurityGroups", Filters=[named])
    if any(group.get("IpPermissions") for group in found):
        raise CloudError(
            f"the security group {CLOSED_GROUP} lets something in",
            fix="remove its inbound rules, or delete the group: it is made again",
        )
    return bool(found)


def observe_foundation(cloud: Cloud) -> tuple[Foundation, Standing]:
    """Ask what is there. A bucket of this name in another account is refused (error code 403)."""
    foundation = Foundation(account_id=cloud.account_id, region=cloud.region)
    name = _policy_name(foundation)
    seen = {role: observe_role(cloud, role, name) for role in _role_policies(foundation)}
    mine = {"Bucket": foundation.bucket, "ExpectedBucketOwner": foundation.account_id}
    profile, profile_role = _observe_profile(cloud)
    return foundation, Standing(
        bucket=_exists(cloud, "s3", "head_bucket", **mine),
        # The policy is the last thing that `bucket_calls` sets.
        bucket_closed=_exists(cloud, "s3", "get_bucket_policy", **mine),
        roles={role: policy for role, (exists, policy) in seen.items() if exists},
        ec2_profile=profile,
        profile_role=profile_role,
        closed_group=_observe_group(cloud),
    )
