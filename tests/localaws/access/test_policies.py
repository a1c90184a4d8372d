"""IAM's evaluation: wildcards, denies, Not elements, conditions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.access.policies import Decision, evaluate, like


def policy(**statement: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": {"Effect": "Allow", **statement}}


def decide(*policies: dict[str, Any], action: str = "s3:GetObject", **context: str) -> Decision:
    values = {key.replace("__", ":").lower(): [value] for key, value in context.items()}
    return evaluate(policies, action=action, resource="arn:aws:s3:::dogs/a.jpg", context=values)


ALL = policy(Action="*", Resource="*")


@pytest.mark.parametrize(
    ("action", "resource", "allowed"),
    [
        ("s3:GetObject", "*", True),
        ("S3:getobject", "arn:aws:s3:::dogs/*", True),
        (["s3:Put*", "s3:Get*"], "arn:aws:s3:::dogs/?.jpg", True),
        ("s3:GetObject", "arn:aws:s3:::cats/*", False),
        ("s3:GetObject", "arn:aws:s3:::DOGS/*", False),
        ("s3:GetObjectAcl", "*", False),
        ("sagemaker:*", "*", False),
        ("s3:GetObject", [], False),
    ],
)
def test_actions_ignore_case_and_resources_do_not(
    action: Any, resource: Any, allowed: bool
) -> None:
    found = decide(policy(Action=action, Resource=resource))
    assert found is (Decision.ALLOWED if allowed else Decision.IMPLICIT_DENY)


def test_a_deny_wins_wherever_it_stands() -> None:
    deny = policy(Effect="Deny", Action="s3:*", Resource="arn:aws:s3:::dogs/*")
    assert decide(ALL, deny) is decide(deny, ALL) is Decision.EXPLICIT_DENY
    assert decide() is Decision.IMPLICIT_DENY


def test_not_action_and_not_resource() -> None:
    assert decide(policy(NotAction="iam:*", Resource="*")) is Decision.ALLOWED
    assert decide(policy(NotAction="s3:*", Resource="*")) is Decision.IMPLICIT_DENY
    assert decide(policy(Action="*", NotResource="arn:aws:s3:::cats/*")) is Decision.ALLOWED
    assert decide(policy(Action="*", NotResource="arn:aws:s3:::dogs/*")) is Decision.IMPLICIT_DENY


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ({"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}, True),
        ({"StringEquals": {"aws:RequestedRegion": ["us-east-1", "eu-west-1"]}}, True),
        ({"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}}, False),
        ({"StringLike": {"aws:RequestedRegion": "eu-*"}}, True),
        ({"StringEquals": {"aws:absent": "x"}}, False),
        ({"StringEqualsIfExists": {"aws:absent": "x"}}, True),
        ({"StringNotEquals": {"aws:absent": "x"}}, True),
        ({"Null": {"aws:absent": "true"}}, True),
        ({"Null": {"aws:RequestedRegion": True}}, False),
        ({"Bool": {"aws:SecureTransport": True}}, True),
        ({"Bool": {"aws:SecureTransport": "false"}}, False),
        ({"NumericLessThanEquals": {"s3:max-keys": 10}}, True),
        ({"ForAnyValue:StringEquals": {"aws:RequestedRegion": "eu-west-1"}}, True),
        ({"ForAllValues:StringEquals": {"aws:absent": "x"}}, True),
    ],
)
def test_conditions(condition: dict[str, Any], allowed: bool) -> None:
    context = {"aws__requestedregion": "eu-west-1", "aws__securetransport": "true"}
    values = {**context, "s3__max-keys": "10"}
    found = decide(policy(Action="*", Resource="*", Condition=condition), **values)
    assert found is (Decision.ALLOWED if allowed else Decision.IMPLICIT_DENY)


def test_an_operator_that_is_not_evaluated_is_an_error() -> None:
    with pytest.raises(ValueError, match="IpAddress"):
        decide(policy(Action="*", Resource="*", Condition={"IpAddress": {"aws:SourceIp": "1"}}))


def test_variables_in_resources() -> None:
    own = policy(Action="*", Resource="arn:aws:s3:::${aws:username}/*")
    assert decide(own, aws__username="dogs") is Decision.ALLOWED
    assert decide(own, aws__username="cats") is Decision.IMPLICIT_DENY


@given(text=st.text(max_size=20))
def test_a_pattern_without_wildcards_is_itself(text: str) -> None:
    plain = text.replace("*", "x").replace("?", "y")
    assert like(plain, plain) and like(plain, "*") and not like(f"{plain}z", plain)
