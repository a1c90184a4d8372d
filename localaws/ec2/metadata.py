"""An instance's own view of its records: what IMDS tells it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from moto.iam.models import iam_backends

from localaws.account.roles import RoleCredentials, Sts, assume, trusts
from localaws.ec2.imds import Metadata

_CREDENTIALS_S = 6 * 3600
_PARTITION = "aws"


def metadata_of(
    instance: Any, *, user_data: bytes | None, sts: Sts, reclaimed_at: float | None = None
) -> Metadata:
    """The metadata of moto's instance; credentials come from the role of its profile.

    `reclaimed_at` is the epoch second at which a spot instance with a notice will end.
    """
    role = _role_of(instance)
    options = instance.metadata_options
    values = _values(instance)
    if reclaimed_at is not None:
        values |= _notice(reclaimed_at)
    if user_data is not None:
        values["user-data"] = user_data.decode("utf-8", "replace")
    if options.instance_metadata_tags == "enabled":
        tags = {tag["key"]: tag["value"] for tag in instance.get_tags()}
        values |= {f"meta-data/tags/instance/{key}": value for key, value in tags.items()}
    if role is not None:
        values["meta-data/iam/info"] = json.dumps(_profile_info(instance), indent=2)

    def credentials() -> RoleCredentials | None:
        if role is None or not trusts(role.arn, "ec2.amazonaws.com"):
            return None
        return assume(sts, role.arn, instance.id, _CREDENTIALS_S)

    return Metadata(
        values=values,
        tokens_required=options.http_tokens == "required",
        enabled=options.http_endpoint != "disabled",
        role_name=None if role is None else role.name,
        assume=credentials,
    )


def _values(instance: Any) -> dict[str, str]:
    address = str(instance.private_ip)
    names = {
        "ami-id": instance.image_id,
        "ami-launch-index": str(instance.ami_launch_index),
        "hostname": instance.private_dns_name,
        "instance-action": "none",
        "instance-id": instance.id,
        "instance-life-cycle": instance.lifecycle or "on-demand",
        "instance-type": instance.instance_type,
        "local-hostname": instance.private_dns_name,
        "local-ipv4": address,
        "placement/availability-zone": str(instance.availability_zone),
        "placement/region": instance.region_name,
        "security-groups": "\n".join(group.name for group in instance.security_groups),
        "services/domain": "amazonaws.com",
        "services/partition": _PARTITION,
    }
    values = {f"meta-data/{name}": value for name, value in names.items()}
    values["dynamic/instance-identity/document"] = json.dumps(_identity(instance), indent=2)
    return values


def _notice(at: float) -> dict[str, str]:
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    action = json.dumps({"action": "terminate", "time": stamp})
    return {"meta-data/spot/instance-action": action, "meta-data/spot/termination-time": stamp}


def _identity(instance: Any) -> Mapping[str, Any]:
    launched = instance.launch_time.replace(tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "accountId": instance.owner_id,
        "architecture": instance.architecture,
        "availabilityZone": instance.availability_zone,
        "billingProducts": None,
        "imageId": instance.image_id,
        "instanceId": instance.id,
        "instanceType": instance.instance_type,
        "pendingTime": launched,
        "privateIp": instance.private_ip,
        "region": instance.region_name,
        "version": "2017-09-30",
    }


def _profile_info(instance: Any) -> Mapping[str, str]:
    profile = instance.iam_instance_profile
    return {
        "Code": "Success",
        "InstanceProfileArn": profile["Arn"],
        "InstanceProfileId": profile["Id"],
    }


def _role_of(instance: Any) -> Any | None:
    """The role of the instance's profile, or None."""
    profile = instance.iam_instance_profile
    if not profile:
        return None
    iam = iam_backends[instance.owner_id][_PARTITION]
    found = [p for p in iam.get_instance_profiles() if p.arn == profile["Arn"]]
    return found[0].roles[0] if found and found[0].roles else None
