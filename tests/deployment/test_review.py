"""What `doctor` finds: roles that drifted, services never used, and too little room."""

from __future__ import annotations

from typing import Any

from deployment.access.quotas import room
from deployment.access.review import drift, review
from deployment.access.stack import apply_init, plan_init
from deployment.access.template import template
from experiments.foundation import Foundation
from tests.deployment.account import Account
from tests.deployment.builders import settings

PLACE = Foundation(account_id="123456789012", region="us-east-1")


def made() -> Account:
    account = Account()
    plan = plan_init(account, settings())
    apply_init(account, plan, clock=account.moment.clock(), say=lambda text: None)
    return account


def policy_of(logical: str) -> dict[str, Any]:
    role = template(PLACE, settings())["Resources"][logical]["Properties"]
    document: dict[str, Any] = role["Policies"][0]["PolicyDocument"]
    return document


def test_roles_as_generated_do_not_drift_and_what_is_unused_is_named() -> None:
    account = made()
    found = review(account, settings(), clock=account.moment.clock())
    assert [role.role for role in found] == [
        "pedigree-training",
        "pedigree-ec2",
        "pedigree-endpoint-dogs-prod",
        "pedigree-lambda-dogs-prod",
    ]
    assert all(role.exists and role.drift == () for role in found)
    assert {role.role: role.unused for role in found} == {
        "pedigree-training": ("ecr", "s3:PutObject"),
        "pedigree-ec2": ("ecr", "s3:PutObject"),
        "pedigree-endpoint-dogs-prod": ("ecr",),  # it may not put objects
        "pedigree-lambda-dogs-prod": ("ecr",),
    }
    account.last_access_days = 200
    later = review(account, settings(), clock=account.moment.clock())
    assert {role.unused for role in later} == {("ecr", "s3")}


def test_roles_that_are_not_there_are_said_so() -> None:
    account = Account()
    found = review(account, settings(), clock=account.moment.clock())
    assert not any(role.exists for role in found)


def test_drift_is_told_grant_by_grant() -> None:
    wanted = policy_of("FunctionRole")
    assert drift(wanted, wanted) == ()
    assert drift(wanted, None) == ("its policy is not there",)
    ask, logs = wanted["Statement"]
    wider = {**ask, "Resource": ["*"]}
    assert drift(wanted, {"Version": "2012-10-17", "Statement": [wider, logs]}) == (
        "missing: sagemaker:InvokeEndpoint on"
        " arn:aws:sagemaker:us-east-1:123456789012:endpoint/dogs-prod",
        "added: sagemaker:InvokeEndpoint on *",
    )


def test_too_little_room_is_seen_before_anything_is_spent() -> None:
    account = Account()
    assert all(one.is_enough for one in room(account, settings()))
    account.unreserved, account.quota = 104, 5
    concurrency, instances = room(account, settings())
    assert (concurrency.wanted, concurrency.there, concurrency.is_enough) == (5, 4, False)
    assert (instances.wanted, instances.there, instances.is_enough) == (6, 5, False)
    untold = room(account, settings(instance_type="ml.c5.large"))[1]
    assert untold.there is None and untold.is_enough
