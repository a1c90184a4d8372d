from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from experiments.errors import CloudError
from experiments.foundation import (
    EC2_ROLE,
    TRAINING_ROLE,
    Foundation,
    Standing,
    ec2_policy,
    observe_foundation,
    plan_foundation,
    training_policy,
    trust,
)
from tests.experiments.build import foundation
from tests.experiments.fake_cloud import FakeCloud
from tests.experiments.fake_storage import Bucket

# Actions for which AWS defines no resource (its service authorization reference).
KNOW_NO_RESOURCE = {
    "ecr:GetAuthorizationToken",
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
}


def complete() -> Standing:
    home = foundation()
    return Standing(
        bucket=True,
        bucket_closed=True,
        roles={TRAINING_ROLE: training_policy(home), EC2_ROLE: ec2_policy(home)},
        ec2_profile=True,
        profile_role=True,
        closed_group=True,
    )


def operations(standing: Standing) -> list[str]:
    return [call.operation for call in plan_foundation(foundation(), standing)]


def stand_up(cloud: FakeCloud) -> tuple[Foundation, int]:
    """Observe, plan and perform; how many calls that took."""
    home, standing = observe_foundation(cloud)
    calls = plan_foundation(home, standing)
    for call in calls:
        cloud.perform(call)
    return home, len(calls)


def test_nothing_missing_needs_no_call() -> None:
    assert operations(complete()) == []


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        (
            {"bucket": False, "bucket_closed": False},
            [
                "create_bucket",
                "put_public_access_block",
                "put_bucket_encryption",
                "put_bucket_policy",
            ],
        ),
        (
            {"bucket_closed": False},
            ["put_public_access_block", "put_bucket_encryption", "put_bucket_policy"],
        ),
        (
            {"roles": {TRAINING_ROLE: training_policy(foundation())}},
            ["create_role", "put_role_policy"],
        ),
        (
            {"roles": {TRAINING_ROLE: None, EC2_ROLE: ec2_policy(foundation())}},
            ["put_role_policy"],
        ),
        (
            {"roles": {TRAINING_ROLE: {"Version": "2012-10-17"}, EC2_ROLE: None}},
            ["put_role_policy", "put_role_policy"],
        ),
        (
            {"ec2_profile": False, "profile_role": False},
            ["create_instance_profile", "add_role_to_instance_profile"],
        ),
        ({"profile_role": False}, ["add_role_to_instance_profile"]),
        ({"closed_group": False}, ["create_security_group"]),
    ],
)
def test_only_what_is_missing_is_planned(changes: dict[str, Any], wanted: list[str]) -> None:
    assert operations(replace(complete(), **changes)) == wanted


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_an_empty_account_is_brought_up_once(region: str) -> None:
    cloud = FakeCloud(region=region)
    home, first = stand_up(cloud)
    assert first == 11
    assert observe_foundation(cloud)[1] == replace(
        complete(),
        roles={TRAINING_ROLE: training_policy(home), EC2_ROLE: ec2_policy(home)},
    )
    assert stand_up(cloud) == (home, 0)


@pytest.mark.parametrize("done", range(11))
def test_standing_up_goes_on_where_it_broke_off(done: int) -> None:
    cloud = FakeCloud(region="eu-west-1")
    home, standing = observe_foundation(cloud)
    for call in plan_foundation(home, standing)[:done]:
        cloud.perform(call)
    stand_up(cloud)
    assert stand_up(cloud) == (home, 0)
    assert set(cloud.buckets.held[home.bucket].settings) == {"public", "encryption", "policy"}
    assert cloud.roles.profiles == {EC2_ROLE: [EC2_ROLE]}


def test_a_policy_that_somebody_changed_is_brought_back() -> None:
    cloud = FakeCloud()
    home, _ = stand_up(cloud)
    held = cloud.roles.get(EC2_ROLE).policies
    (name,) = held
    held[name] = {"Version": "2012-10-17", "Statement": []}
    assert stand_up(cloud) == (home, 1)
    assert held == {name: ec2_policy(home)}


def test_a_second_region_takes_nothing_from_the_first() -> None:
    first = FakeCloud()
    second = replace(first, region="eu-west-1")
    assert [stand_up(cloud)[1] for cloud in (first, second, first, second)] == [11, 7, 0, 0]
    for role in (TRAINING_ROLE, EC2_ROLE):
        policies = str(first.roles.get(role).policies)
        assert "pedigree-123456789012-us-east-1/runs/*" in policies
        assert "pedigree-123456789012-eu-west-1/runs/*" in policies


def test_no_inbound_rule_is_ever_made_and_one_that_somebody_made_is_refused() -> None:
    cloud = FakeCloud()
    stand_up(cloud)
    assert not [call for call in cloud.calls if "ingress" in call.operation]
    (group,) = cloud.groups.values()
    assert group["IpPermissions"] == []
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    group["IpPermissions"].append(ssh)
    with pytest.raises(CloudError, match="lets something in") as caught:
        observe_foundation(cloud)
    assert "remove its inbound rules" in caught.value.fix


def test_a_bucket_of_this_name_in_another_account_is_refused() -> None:
    cloud = FakeCloud()
    cloud.buckets.held[foundation().bucket] = Bucket(owner="999999999999")
    with pytest.raises(CloudError) as caught:
        observe_foundation(cloud)
    assert caught.value.code == "403"


def statements(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for statement in document["Statement"]:
        assert statement["Effect"] == "Allow"
        yield statement


@pytest.mark.parametrize("policy", [training_policy(foundation()), ec2_policy(foundation())])
def test_no_policy_reaches_beyond_its_own_things(policy: dict[str, Any]) -> None:
    for statement in statements(policy):
        assert not any("*" in action for action in statement["Action"]), statement
        assert "NotResource" not in statement
        assert "NotAction" not in statement
        if statement["Resource"] == ["*"]:
            assert set(statement["Action"]) <= KNOW_NO_RESOURCE
            continue
        for resource in statement["Resource"]:
            assert resource.startswith("arn:aws:"), statement
            assert resource.rpartition(":")[2].strip("*/"), statement


def test_a_run_may_write_only_below_runs() -> None:
    home = foundation()
    for policy in (training_policy(home), ec2_policy(home)):
        written = [
            resource
            for statement in statements(policy)
            if any(action.startswith("s3:Put") for action in statement["Action"])
            for resource in statement["Resource"]
        ]
        assert written == [f"arn:aws:s3:::{home.bucket}/runs/*"]


def test_roles_are_taken_by_one_service_each_and_for_this_account() -> None:
    (training,) = trust("sagemaker", foundation())["Statement"]
    assert training["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    assert training["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": f"arn:aws:sagemaker:{foundation().region}:123456789012:*"},
    }
    (plain,) = trust("ec2", foundation())["Statement"]
    assert plain["Principal"] == {"Service": "ec2.amazonaws.com"}


def test_the_bucket_is_closed() -> None:
    cloud = FakeCloud()
    home, _ = stand_up(cloud)
    settings = cloud.buckets.held[home.bucket].settings
    assert set(settings["public"].values()) == {True}
    assert len(settings["public"]) == 4
    (deny,) = settings["policy"]["Statement"]
    assert (deny["Effect"], deny["Principal"], deny["Action"]) == ("Deny", "*", "s3:*")
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert "AES256" in json.dumps(settings["encryption"])
