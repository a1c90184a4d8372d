"""What the services need of IAM roles: whether they may take one, and its credentials."""

from __future__ import annotations

import fnmatch
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlencode
from xml.etree import ElementTree

from moto.core.exceptions import ServiceException
from moto.iam.models import Role, iam_backends
from werkzeug import Request, Response
from werkzeug.test import EnvironBuilder

_PARTITION = "aws"
_ROLE_ARN_FIELDS = 6
_STS_VERSION = "2011-06-15"
_SCOPE = "AKIALOCALAWS/20000101/us-east-1/sts/aws4_request"


_put_policy = Role.put_policy


def _put_json(role: Any, name: str, document: Any) -> None:
    """moto keeps the inline policies of a stack as Python's text of them, which is no JSON."""
    _put_policy(role, name, document if isinstance(document, str) else json.dumps(document))


Role.put_policy = _put_json  # type: ignore[method-assign,assignment]


class Sts(Protocol):
    """Who answers STS requests: `localaws.account.records.Records`."""

    def respond(self, request: Request) -> Response:
        """The answer to one request."""


@dataclass(frozen=True, kw_only=True)
class RoleCredentials:
    """Temporary credentials of this machine's STS; `expires_at` is epoch seconds."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_at: float

    def environment(self) -> dict[str, str]:
        """The variables that AWS SDKs read."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_SESSION_TOKEN": self.session_token,
        }


def trusts(role_arn: str, service: str) -> bool:
    """Whether the role exists and its trust policy lets `service` assume it."""
    fields = role_arn.split(":", _ROLE_ARN_FIELDS - 1)
    try:
        role = iam_backends[fields[4]][_PARTITION].get_role_by_arn(arn=role_arn)
    except ServiceException:
        return False
    document: Any = role.assume_role_policy_document
    policy = json.loads(document) if isinstance(document, str) else document
    return any(_allows(statement, service) for statement in _many(policy.get("Statement", [])))


def assume(sts: Sts, role_arn: str, session_name: str, duration_s: int) -> RoleCredentials:
    """Credentials of the role (900 s to 12 h), known to the server's own STS."""
    form = {
        "Action": "AssumeRole",
        "Version": _STS_VERSION,
        "RoleArn": role_arn,
        "RoleSessionName": session_name,
        "DurationSeconds": str(duration_s),
    }
    environ = EnvironBuilder(
        method="POST",
        headers=[("Authorization", f"AWS4-HMAC-SHA256 Credential={_SCOPE}, SignedHeaders=host")],
        data=urlencode(form),
        content_type="application/x-www-form-urlencoded",
        base_url="http://127.0.0.1/",
    ).get_environ()
    response = sts.respond(Request(environ))
    if response.status_code != 200:
        raise RuntimeError(f"no credentials for {role_arn}: {response.get_data(as_text=True)}")
    root = ElementTree.fromstring(response.get_data())  # noqa: S314  (moto's answer)
    found = root.find(".//{*}Credentials")
    if found is None:
        raise RuntimeError(f"STS answered without credentials for {role_arn}")
    values = {item.tag.partition("}")[2]: item.text or "" for item in found}
    return RoleCredentials(
        access_key_id=values["AccessKeyId"],
        secret_access_key=values["SecretAccessKey"],
        session_token=values["SessionToken"],
        expires_at=datetime.fromisoformat(values["Expiration"]).timestamp(),
    )


def _allows(statement: dict[str, Any], service: str) -> bool:
    principal = statement.get("Principal", {})
    services = _many(principal.get("Service", [])) if isinstance(principal, dict) else []
    actions = _many(statement.get("Action", []))
    return (
        statement.get("Effect") == "Allow"
        and any(fnmatch.fnmatchcase("sts:assumerole", action.lower()) for action in actions)
        and (service in services or principal == "*")
    )


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
