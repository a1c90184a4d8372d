"""The demo's least-privilege operator: a role that may launch, promote, ask, and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.aws import Boto3Cloud
    from experiments.foundation import Foundation
    from experiments.records import Call

ROLE = "pedigree-operator"


def operator_calls(foundation: Foundation) -> tuple[Call, ...]:
    """Make a role of the policies that a notebook's launches and `promote-model` are given. Pure.

    The account itself may take it; a role's inline policies may have 10,240 characters together.
    """
    from deployment.access.table import operator_policy
    from experiments.foundation import OWNER_TAG
    from experiments.notebooks.policy import notebook_policy
    from experiments.records import Call

    account = f"arn:aws:iam::{foundation.account_id}:root"
    allow = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"}
    trust = {"Version": "2012-10-17", "Statement": [allow]}
    role: dict[str, Any] = {
        "RoleName": ROLE,
        "AssumeRolePolicyDocument": json.dumps(trust),
        "Tags": [OWNER_TAG],
    }
    policies = {"launch": notebook_policy(foundation), "promote": operator_policy(foundation)}
    why = "whoever runs the demo may do what its commands need"
    return (
        Call(service="iam", operation="create_role", params=role, why=why),
        *(
            Call(
                service="iam",
                operation="put_role_policy",
                params={"RoleName": ROLE, "PolicyName": name, "PolicyDocument": json.dumps(policy)},
                why=why,
            )
            for name, policy in policies.items()
        ),
    )


def take_operator(owner: Boto3Cloud) -> Boto3Cloud:
    """Lay the foundation and the role as the account's owner; the cloud as the role sees it.

    Raises CloudError.
    """
    from experiments.aws import is_code, taking
    from experiments.errors import CloudError
    from experiments.foundation import observe_foundation, plan_foundation

    foundation, standing = observe_foundation(owner)
    for call in (*plan_foundation(foundation, standing), *operator_calls(foundation)):
        try:
            owner.perform(call)
        except CloudError as error:
            if not is_code(error, "EntityAlreadyExists"):
                raise
    return taking(owner, foundation.role_arn(ROLE))
