"""One request before it is answered, and what has to be allowed for it, in IAM's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from werkzeug import Request

from localaws.wire.protocol import Caller

ANY = "*"
Context = Mapping[str, Sequence[str]]
_NOTHING: Context = {}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One thing to be allowed. `context` has the condition keys that are known of it."""

    action: str
    resource: str = ANY
    context: Context


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked. `prefix`: the service in the names of actions; `operation`: AWS's name of it;
    `params` by botocore's member names, empty where they are not read."""

    prefix: str
    operation: str
    params: Mapping[str, Any]
    request: Request
    caller: Caller
    context: Context

    def arn(self, rest: str, *, service: str = "", place: str | None = None) -> str:
        """The ARN that ends with `rest`; `place`: its region and account, if not the caller's."""
        where = f"{self.caller.region}:{self.caller.account_id}" if place is None else place
        return f"arn:aws:{service or self.prefix}:{where}:{rest}"

    def of(self, resource: str, action: str = "", more: Context = _NOTHING) -> Asked:
        """`action` (that of the operation, if empty) on `resource`; `more` condition keys."""
        name = action or f"{self.prefix}:{self.operation}"
        return Asked(action=name, resource=resource, context={**self.context, **more})

    def tagging(self, action: str, resource: str, tags: Any) -> list[Asked]:
        """AWS wants `action` too where a thing is made with tags; nothing without them."""
        if not tags:
            return []
        return [self.of(resource, action, tag_context("requesttag", tags))]

    def passing(self, role_arn: str, service: str) -> Asked:
        """iam:PassRole, for a role that is handed to an AWS service."""
        to = {"iam:passedtoservice": [f"{service}.amazonaws.com"]}
        return self.of(role_arn, "iam:PassRole", to)

    def role_arn(self, name: str) -> str:
        """The ARN of a role of the caller's account."""
        return self.arn(f"role/{name}", service="iam", place=f":{self.caller.account_id}")


def tag_context(kind: str, tags: Any) -> dict[str, list[str]]:
    """Condition keys of tags (a mapping, or a list of Key and Value): aws:<kind>/<key>."""
    pairs = tags.items() if isinstance(tags, Mapping) else _pairs(tags)
    found = {f"aws:{kind}/{key}".lower(): [str(value)] for key, value in pairs}
    keys = [name.partition("/")[2] for name in found]
    return {**found, "aws:tagkeys": keys} if kind == "requesttag" else found


def _pairs(tags: Iterable[Any]) -> list[tuple[str, str]]:
    return [
        (str(tag.get("Key", "")), str(tag.get("Value", "")))
        for tag in tags
        if isinstance(tag, Mapping)
    ]


def named_alike(operation: str, kinds: Mapping[str, str]) -> str | None:
    """The kind of thing that an operation's name begins to speak of, after its verb."""
    words = re.sub(r"^[A-Z][a-z]+", "", operation)
    return next((kind for kind in kinds if words.startswith(kind)), None)
