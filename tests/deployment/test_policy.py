"""Least privilege: every resource is named, and what a role may do is what its work needs."""

from __future__ import annotations

import json

from deployment.policy import endpoint_policy, function_policy
from experiments.foundation import Foundation
from tests.deployment.builders import settings

PLACE = Foundation(account_id="123456789012", region="us-east-1")


def test_the_function_may_ask_one_endpoint_and_write_its_own_log() -> None:
    policy = function_policy(settings(), PLACE)
    actions = {action for part in policy["Statement"] for action in part["Action"]}
    assert actions == {
        "sagemaker:InvokeEndpoint",
        "logs:CreateLogGroup",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    }
    ask = policy["Statement"][0]
    assert ask["Resource"] == ["arn:aws:sagemaker:us-east-1:123456789012:endpoint/dogs-prod"]
    logs = policy["Statement"][1]["Resource"]
    group = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/dogs-prod"
    assert logs == [group, f"{group}:*"]


def test_the_endpoint_reads_the_models_of_its_own_application_only() -> None:
    policy = endpoint_policy(settings(), PLACE)
    reads = [p for p in policy["Statement"] if any(a.startswith("s3:") for a in p["Action"])]
    assert [(p["Action"], p["Resource"]) for p in reads] == [
        (["s3:GetObject"], ["arn:aws:s3:::pedigree-123456789012-us-east-1/models/dogs-prod/*"])
    ]


def test_a_star_stands_only_where_aws_knows_no_resources() -> None:
    for policy in (endpoint_policy(settings(), PLACE), function_policy(settings(), PLACE)):
        assert len(json.dumps(policy)) < 10_240  # what an inline policy may have
        for part in policy["Statement"]:
            assert not any("*" in action for action in part["Action"])
            if "*" in part["Resource"]:
                assert part["Action"] == ["ecr:GetAuthorizationToken"] or part["Condition"]
