"""What AWS holds of an application, as a plan needs it. A digest of it is what a plan is good for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from deployment.policy import Policy
from deployment.store import Live

Seen = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class EndpointSeen:
    """An endpoint. `config_name` is the configuration that it has or is changing to."""

    status: str
    config_name: str
    instance_type: str
    initial_instances: int
    instances: int
    serverless_memory_mb: int = 0
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class VersionSeen:
    """`$LATEST` or a published version. `settling`: an update of it is still under way."""

    version: str
    code_sha256: str
    config: Seen
    state: str = "Active"
    settling: bool = False


@dataclass(frozen=True, kw_only=True)
class ProvisionedSeen:
    """Warm environments of a version or alias: how many were asked for, and AWS's status."""

    qualifier: str
    requested: int
    status: str


@dataclass(frozen=True, kw_only=True)
class AliasSeen:
    """The alias and the revision that moving it must find unchanged."""

    version: str
    revision_id: str
    weighted: bool


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Everything a plan is decided on. None or absent means: not there."""

    roles: Mapping[str, Policy | None]
    files: Mapping[str, str]
    stored_bytes: int
    model: Seen | None
    endpoint_config: Seen | None
    endpoint: EndpointSeen | None
    scalable_target: Seen | None
    scaling_policy: Seen | None
    function: VersionSeen | None
    versions: tuple[VersionSeen, ...]
    provisioned: tuple[ProvisionedSeen, ...]
    reserved: int | None
    alias: AliasSeen | None
    function_url: Seen | None
    alarms: Mapping[str, Seen]
    alarming: tuple[str, ...]
    live: Live

    @property
    def digest(self) -> str:
        """Changes whenever anything here does.

        Of the instances that run only whether there is more than one, which decides how an update
        may go; of the alarms not which are on at the moment.
        """
        content = asdict(self)
        del content["alarming"]
        if content["endpoint"] is not None:
            content["endpoint"]["instances"] = min(content["endpoint"]["instances"], 2)
        text = json.dumps(content, sort_keys=True, default=str)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
