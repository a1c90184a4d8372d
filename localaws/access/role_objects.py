"""S3 as a role may see it: what a service reads and writes for a role needs the role's policies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from localaws.access.policies import Context, Decision, evaluate
from localaws.access.principals import policies_of
from localaws.storage.objects import ObjectInfo
from localaws.wire.protocol import AwsError

_NOTHING: Context = {}


class ObjectStore(Protocol):
    """What a service needs of S3: `localaws.storage.objects.Objects`, or a role's view of it."""

    def get(self, bucket: str, key: str) -> bytes:
        """The object's bytes. Raises `AwsError`."""

    def put(
        self,
        bucket: str,
        key: str,
        data: bytes | Path,
        *,
        content_type: str = "binary/octet-stream",
    ) -> str:
        """Store the bytes, or a copy of the file; the ETag. Raises `AwsError`."""

    def list(self, bucket: str, prefix: str) -> Sequence[ObjectInfo]:
        """Every object whose key starts with `prefix`. Raises `AwsError`."""

    def download(self, bucket: str, key: str, path: Path) -> None:
        """Write the object to `path`. Raises `AwsError`."""

    def exists(self, bucket: str, key: str) -> bool:
        """Whether there is such an object."""


class RoleObjects:
    """`objects`, held against the identity policies of a role: AccessDenied where none allows it."""

    def __init__(self, objects: ObjectStore, role_arn: str, account_id: str) -> None:
        self._objects = objects
        self._role_arn = role_arn
        self._account_id = account_id

    def get(self, bucket: str, key: str) -> bytes:
        """The object's bytes. Raises `AwsError`."""
        self._require("s3:GetObject", f"{bucket}/{key}")
        return self._objects.get(bucket, key)

    def put(
        self,
        bucket: str,
        key: str,
        data: bytes | Path,
        *,
        content_type: str = "binary/octet-stream",
    ) -> str:
        """Store the bytes, or a copy of the file; the ETag. Raises `AwsError`."""
        self._require("s3:PutObject", f"{bucket}/{key}")
        return self._objects.put(bucket, key, data, content_type=content_type)

    def list(self, bucket: str, prefix: str) -> Sequence[ObjectInfo]:
        """Every object whose key starts with `prefix`. Raises `AwsError`."""
        self._require("s3:ListBucket", bucket, {"s3:prefix": [prefix]})
        return self._objects.list(bucket, prefix)

    def download(self, bucket: str, key: str, path: Path) -> None:
        """Write the object to `path`. Raises `AwsError`."""
        self._require("s3:GetObject", f"{bucket}/{key}")
        self._objects.download(bucket, key, path)

    def exists(self, bucket: str, key: str) -> bool:
        """Whether there is such an object. Raises `AwsError`."""
        self._require("s3:GetObject", f"{bucket}/{key}")
        return self._objects.exists(bucket, key)

    def _require(self, action: str, path: str, context: Context = _NOTHING) -> None:
        resource = f"arn:aws:s3:::{path}"
        known = {"aws:securetransport": ["true"], "aws:principalaccount": [self._account_id]}
        policies = policies_of(self._account_id, self._role_arn) or []
        decision = evaluate(
            policies, action=action, resource=resource, context={**known, **context}
        )
        if decision is not Decision.ALLOWED:
            name = self._role_arn.rpartition("/")[2]
            who = f"arn:aws:sts::{self._account_id}:assumed-role/{name}/SageMaker"
            raise denied(who, action, resource, decision, code="AccessDenied", status=403)


def denied(
    who: str, action: str, resource: str, decision: Decision, *, code: str, status: int
) -> AwsError:
    """The refusal in AWS's words."""
    explicit = decision is Decision.EXPLICIT_DENY
    why = (
        "with an explicit deny in an identity-based policy"
        if explicit
        else f"because no identity-based policy allows the {action} action"
    )
    on = "" if resource == "*" else f" on resource: {resource}"
    text = f"User: {who} is not authorized to perform: {action}{on} {why}"
    return AwsError(code, text, status=status)
