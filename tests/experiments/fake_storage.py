"""The fake cloud's buckets and roles, with S3's and IAM's rules."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.experiments.build import ACCOUNT


class Refusal(Exception):
    """AWS says no: an error code and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An object. `claimed` is a size without the bytes, for objects too large to make."""

    data: bytes = b""
    claimed: int | None = None

    @property
    def size(self) -> int:
        return len(self.data) if self.claimed is None else self.claimed

    def open(self) -> io.BytesIO:
        return io.BytesIO(self.data) if self.claimed is None else _TooLarge()


class _TooLarge(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise AssertionError("something read an object that it should have refused")


@dataclass(kw_only=True)
class Bucket:
    """One bucket: its objects by key and its settings by name."""

    owner: str = ACCOUNT
    objects: dict[str, Stored] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


class Buckets:
    """All buckets. A listing holds at most `page` keys."""

    def __init__(self, page: int = 4) -> None:
        self.page = page
        self.held: dict[str, Bucket] = {}

    def create(self, name: str, *, place: str, region: str) -> None:
        if place != region:
            raise Refusal("IllegalLocationConstraintException", f"{place} is not {region}")
        if name in self.held and region != "us-east-1":
            raise Refusal("BucketAlreadyOwnedByYou", name)
        self.held.setdefault(name, Bucket())

    def check_owner(self, name: str, owner: str, *, missing: str) -> None:
        """Without an owner nothing is checked: another account's bucket may be open to all."""
        if owner not in ("", self._bucket(name, missing).owner):
            raise Refusal("403" if missing == "404" else "AccessDenied", "Forbidden")

    def configure(self, name: str, setting: str, value: Any) -> dict[str, Any]:
        self._bucket(name).settings[setting] = value
        return {}

    def setting(self, name: str, setting: str) -> Any:
        return self._bucket(name).settings.get(setting)

    def put(self, name: str, key: str, data: bytes) -> None:
        self._bucket(name).objects[key] = Stored(data=data)

    def put_hollow(self, name: str, key: str, size: int) -> None:
        self._bucket(name).objects[key] = Stored(claimed=size)

    def get(self, name: str, key: str, *, missing: str) -> Stored:
        found = self._bucket(name).objects.get(key)
        if found is None:
            raise Refusal(missing, f"The specified key does not exist: {key}")
        return found

    def listing(self, name: str, prefix: str, after: str = "") -> dict[str, Any]:
        objects = self._bucket(name).objects
        keys = sorted(key for key in objects if key.startswith(prefix) and key > after)
        shown = keys[: self.page]
        answer: dict[str, Any] = {
            "KeyCount": len(shown),
            "Contents": [{"Key": key, "Size": objects[key].size} for key in shown],
        }
        if len(keys) > len(shown):
            answer["NextContinuationToken"] = shown[-1]
        return answer if shown else {"KeyCount": 0}

    def _bucket(self, name: str, missing: str = "NoSuchBucket") -> Bucket:
        if name not in self.held:
            raise Refusal(missing, f"The specified bucket does not exist: {name}")
        return self.held[name]


@dataclass(kw_only=True)
class Role:
    """Who may take it, and its inline policies by name."""

    trust: Mapping[str, Any]
    policies: dict[str, Any] = field(default_factory=dict)


class Roles:
    """All roles and instance profiles."""

    def __init__(self) -> None:
        self.held: dict[str, Role] = {}
        self.profiles: dict[str, list[str]] = {}

    def create(self, name: str, trust: Mapping[str, Any]) -> dict[str, Any]:
        if name in self.held:
            raise Refusal("EntityAlreadyExists", f"Role with name {name} already exists.")
        self.held[name] = Role(trust=trust)
        return {}

    def get(self, name: str) -> Role:
        if name not in self.held:
            raise Refusal("NoSuchEntity", f"The role with name {name} cannot be found.")
        return self.held[name]

    def trusts(self, name: str, service: str) -> bool:
        """Whether the role is there and `service` may take it."""
        principals = [
            statement["Principal"].get("Service")
            for statement in (self.held[name].trust["Statement"] if name in self.held else ())
        ]
        return f"{service}.amazonaws.com" in principals

    def create_profile(self, name: str) -> dict[str, Any]:
        if name in self.profiles:
            raise Refusal("EntityAlreadyExists", f"Instance Profile {name} already exists.")
        self.profiles[name] = []
        return {}

    def profile(self, name: str) -> list[str]:
        if name not in self.profiles:
            raise Refusal("NoSuchEntity", f"Instance Profile {name} cannot be found.")
        return self.profiles[name]

    def add_to_profile(self, name: str, role: str) -> dict[str, Any]:
        self.get(role)
        if self.profile(name):
            raise Refusal("LimitExceeded", "Cannot exceed quota for InstanceSessionsPerProfile: 1")
        self.profiles[name].append(role)
        return {}
