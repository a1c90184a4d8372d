"""What EC2's requests need: a launch is held against everything that it makes or uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from moto.ec2.models import ec2_backends

from localaws.access.principals import roles_of_profile
from localaws.access.question import ANY, Asked, Question, tag_context

_INSTANCES = (
    "TerminateInstances",
    "StopInstances",
    "StartInstances",
    "RebootInstances",
    "GetConsoleOutput",
    "ModifyInstanceAttribute",
)
_ONE = {
    "DeleteVolume": ("VolumeId", "volume"),
    "DeleteSecurityGroup": ("GroupId", "security-group"),
    "AuthorizeSecurityGroupIngress": ("GroupId", "security-group"),
    "AuthorizeSecurityGroupEgress": ("GroupId", "security-group"),
    "RevokeSecurityGroupIngress": ("GroupId", "security-group"),
    "RevokeSecurityGroupEgress": ("GroupId", "security-group"),
}
_KINDS = {"i": "instance", "vol": "volume", "sg": "security-group", "subnet": "subnet"}
_KINDS |= {"eni": "network-interface", "vpc": "vpc", "ami": "image"}


def asked(question: Question) -> list[Asked]:
    """Everything that must be allowed."""
    params, operation = question.params, question.operation
    if operation == "RunInstances":
        return _launch(question)
    if operation in _INSTANCES:
        ids = params.get("InstanceIds") or [params.get("InstanceId", ANY)]
        return [_tagged(question, "instance", str(one)) for one in ids]
    if operation in ("CreateTags", "DeleteTags"):
        tags = tag_context("requesttag", params.get("Tags", []))
        return [
            question.of(question.arn(f"{_kind(str(one))}/{one}"), more=tags)
            for one in params.get("Resources", [])
        ]
    if operation == "CreateSecurityGroup":
        made = [question.of(question.arn(f"{kind}/*")) for kind in ("security-group", "vpc")]
        return made + _tags_of_new(question)
    if operation in _ONE and _ONE[operation][0] in params:
        member, kind = _ONE[operation]
        return [_tagged(question, kind, str(params[member]))]
    return [question.of(ANY)]


def _launch(question: Question) -> list[Asked]:
    params = question.params
    image = question.arn(f"image/{params.get('ImageId', ANY)}", place=f"{question.caller.region}:")
    resources = [image, *(question.arn(f"{kind}/*") for kind in ("instance", "volume"))]
    resources.append(question.arn("network-interface/*"))
    cards = [card for card in params.get("NetworkInterfaces", []) if isinstance(card, Mapping)]
    groups = [*params.get("SecurityGroupIds", []), *(g for c in cards for g in c.get("Groups", []))]
    subnets = [params.get("SubnetId"), *(card.get("SubnetId") for card in cards)]
    for kind, ids in (("security-group", groups), ("subnet", [s for s in subnets if s])):
        resources += [question.arn(f"{kind}/{one}") for one in ids or [ANY]]
    if params.get("KeyName"):
        resources.append(question.arn(f"key-pair/{params['KeyName']}"))
    found = [question.of(resource) for resource in resources]
    return found + _tags_of_new(question) + _passed(question)


def _tags_of_new(question: Question) -> list[Asked]:
    """ec2:CreateTags for what is tagged as it is made."""
    made = {"ec2:createaction": [question.operation]}
    return [
        question.of(
            question.arn(f"{one.get('ResourceType', ANY)}/*"),
            "ec2:CreateTags",
            {**made, **tag_context("requesttag", one["Tags"])},
        )
        for one in question.params.get("TagSpecifications", [])
        if one.get("Tags")
    ]


def _passed(question: Question) -> list[Asked]:
    profile = question.params.get("IamInstanceProfile", {})
    name = profile.get("Name") or str(profile.get("Arn", "")).rpartition("/")[2]
    roles: Iterable[str] = roles_of_profile(question.caller.account_id, name) if name else []
    return [question.passing(role, "ec2") for role in roles]


def _tagged(question: Question, kind: str, one: str) -> Asked:
    """The action on something that is there, with the tags that it has."""
    backend: Any = ec2_backends[question.caller.account_id][question.caller.region]
    tags = tag_context("resourcetag", backend.tags.get(one, {}))
    return question.of(question.arn(f"{kind}/{one}"), more=tags)


def _kind(one: str) -> str:
    return _KINDS.get(one.partition("-")[0], ANY)
