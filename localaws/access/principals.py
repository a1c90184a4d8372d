"""Who calls, and the policies of that user or role, from moto's IAM and STS."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from moto.core.exceptions import ServiceException
from moto.iam.models import IAMBackend, iam_backends
from moto.sts.models import sts_backends

from localaws.access.policies import Policy

_PARTITION = "aws"


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A user or an assumed role. `arn` is what AWS's messages name; `source_arn` has the policies."""

    arn: str
    source_arn: str


def principal_of(account_id: str, access_key_id: str) -> Principal | None:
    """The owner of an access key; None for a key that IAM and STS did not give out."""
    role = sts_backends[account_id][_PARTITION].get_assumed_role_from_access_key(access_key_id)
    if role is not None:
        name = role.role_arn.rpartition("/")[2]
        arn = f"arn:aws:sts::{account_id}:assumed-role/{name}/{role.session_name}"
        return Principal(arn=arn, source_arn=role.role_arn)
    for user in _iam(account_id).users.values():
        if any(key.access_key_id == access_key_id for key in user.access_keys):
            return Principal(arn=user.arn, source_arn=user.arn)
    return None


def policies_of(account_id: str, arn: str) -> list[Policy] | None:
    """The identity policies of a user, group or role; None where there is no such principal."""
    owner = _owner(account_id, arn)
    if owner is None:
        return None
    found = _own_policies(owner)
    if ":user/" in arn:
        for group in _iam(account_id).groups.values():
            if owner in group.users:
                found += _own_policies(group)
    return found


def roles_of_profile(account_id: str, name: str) -> list[str]:
    """The ARNs of the roles in an instance profile; none where there is no such profile."""
    found = [one for one in _iam(account_id).instance_profiles.values() if one.name == name]
    return [role.arn for one in found for role in one.roles]


def _owner(account_id: str, arn: str) -> Any:
    iam = _iam(account_id)
    try:
        if ":role/" in arn:
            return iam.get_role_by_arn(arn=arn)
        owners = iam.users if ":user/" in arn else iam.groups
        return next((one for one in owners.values() if one.arn == arn), None)
    except ServiceException:
        return None


def _own_policies(owner: Any) -> list[Policy]:
    inline = [_document(text) for text in owner.policies.values()]
    attached = [
        _document(version.document)
        for one in owner.managed_policies.values()
        for version in one.versions
        if version.is_default
    ]
    return inline + attached


def _document(text: Any) -> Policy:
    policy: Policy = json.loads(text) if isinstance(text, str) else text
    return policy


def _iam(account_id: str) -> IAMBackend:
    return iam_backends[account_id][_PARTITION]
