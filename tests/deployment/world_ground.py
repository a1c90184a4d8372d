"""The ground of the world: time, refusals, objects and roles."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from deployment.clock import Clock

ROLE_DELAY_S = 12.0


class Refused(Exception):
    """AWS's answer to a request it does not take."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass
class Moment:
    """The world's time, in seconds since its beginning."""

    seconds: float = 0.0
    origin: datetime = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.origin + timedelta(seconds=self.seconds)

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.seconds += seconds

    def clock(self) -> Clock:
        return Clock(now=self.now, monotonic=lambda: self.seconds, sleep=self.sleep)


@dataclass
class Objects:
    """S3: bodies, ETags and checksums by key."""

    bodies: dict[str, bytes] = field(default_factory=dict)

    def put_object(self, Bucket: str, Key: str, Body: bytes, **more: Any) -> dict[str, Any]:
        del Bucket
        there = self.bodies.get(Key)
        if more.get("IfNoneMatch") == "*" and there is not None:
            raise Refused("PreconditionFailed", "At least one of the pre-conditions did not hold")
        if "IfMatch" in more and (there is None or more["IfMatch"] != _etag(there)):
            code = "NoSuchKey" if there is None else "PreconditionFailed"
            raise Refused(code, "At least one of the pre-conditions did not hold")
        checksum = more.get("ChecksumSHA256")
        if checksum is not None and checksum != _checksum(Body):
            raise Refused("BadDigest", "The SHA256 you specified did not match what we received")
        self.bodies[Key] = Body
        return {"ETag": _etag(Body)}

    def delete_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        del Bucket
        self.bodies.pop(Key, None)
        return {}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        del Bucket
        if Key not in self.bodies:
            raise Refused("NoSuchKey", "The specified key does not exist.")
        body = self.bodies[Key]
        return {"Body": io.BytesIO(body), "ETag": _etag(body), "ContentLength": len(body)}

    def head_object(self, Bucket: str, Key: str, ChecksumMode: str) -> dict[str, Any]:
        del Bucket, ChecksumMode
        if Key not in self.bodies:
            raise Refused("404", "Not Found")
        return {"ETag": _etag(self.bodies[Key]), "ChecksumSHA256": _checksum(self.bodies[Key])}

    def list_objects_v2(self, Bucket: str, Prefix: str, Delimiter: str = "") -> dict[str, Any]:
        del Bucket
        found = sorted(key for key in self.bodies if key.startswith(Prefix))
        if Delimiter:
            folders = {key[: key.index(Delimiter, len(Prefix)) + 1] for key in found}
            return {"CommonPrefixes": [{"Prefix": folder} for folder in sorted(folders)]}
        return {"Contents": [{"Key": key, "Size": len(self.bodies[key])} for key in found]}


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def _checksum(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


@dataclass
class Roles:
    """IAM: roles and their inline policies; a new role can be taken only after a while."""

    moment: Moment
    made_at: dict[str, float] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)

    def create_role(self, RoleName: str, **more: Any) -> dict[str, Any]:
        if RoleName in self.made_at:
            raise Refused("EntityAlreadyExists", f"Role with name {RoleName} already exists.")
        assert json.loads(more["AssumeRolePolicyDocument"])["Statement"]
        self.made_at[RoleName] = self.moment.seconds
        return {}

    def put_role_policy(
        self, RoleName: str, PolicyName: str, PolicyDocument: str
    ) -> dict[str, Any]:
        assert PolicyName == "pedigree"
        self.get_role(RoleName)
        self.policies[RoleName] = json.loads(PolicyDocument)
        return {}

    def get_role(self, RoleName: str) -> dict[str, Any]:
        if RoleName not in self.made_at:
            raise Refused("NoSuchEntity", f"The role with name {RoleName} cannot be found.")
        return {"Role": {"RoleName": RoleName}}

    def get_role_policy(self, RoleName: str, PolicyName: str) -> dict[str, Any]:
        if RoleName not in self.policies:
            raise Refused("NoSuchEntity", f"The role policy with name {PolicyName} is not there.")
        return {"PolicyDocument": self.policies[RoleName]}

    def can_be_taken(self, arn: str) -> bool:
        made = self.made_at.get(arn.rsplit("/", 1)[-1])
        return made is not None and self.moment.seconds - made >= ROLE_DELAY_S
