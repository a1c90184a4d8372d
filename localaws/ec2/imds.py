"""The instance metadata service, version 2 and (where the instance allows it) version 1."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from werkzeug import Request, Response

from localaws.account.roles import RoleCredentials

TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
TTL_MAX_S = 21_600
_TOKENS_MAX = 10_000
_RENEW_S = 600.0
_UNTRUSTED = "AssumeRoleUnauthorizedAccess"


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What one instance may know of itself. `values` are by path below `latest/`."""

    values: Mapping[str, str]
    tokens_required: bool
    enabled: bool
    role_name: str | None = None
    assume: Callable[[], RoleCredentials | None] = field(default=lambda: None)


# Whose metadata a request wants: None for an instance that does not run.
Lookup = Callable[[str], Metadata | None]
_Verdict = Literal["ok", "unauthorized"]


class Imds:
    """Answers `/<instance id>/latest/...`. `now` is real time: clients compare it with theirs."""

    def __init__(self, lookup: Lookup, now: Callable[[], float]) -> None:
        self._lookup = lookup
        self._now = now
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, str], float] = {}
        self._credentials: dict[str, RoleCredentials] = {}

    def respond(self, request: Request, path: str) -> Response:
        """The answer for `path`, which starts with the instance's id."""
        instance_id, _, wanted = path.strip("/").partition("/")
        metadata = self._lookup(instance_id)
        if metadata is None:
            return _text("no such instance\n", 404)
        if not metadata.enabled or "X-Forwarded-For" in request.headers:
            return _text("", 403)
        if wanted == "latest/api/token":
            return self._token(request, instance_id)
        if request.method not in ("GET", "HEAD"):
            return _text("", 405)
        if self._check(request, instance_id, metadata) == "unauthorized":
            return _text("", 401)
        return self._value(instance_id, metadata, wanted, is_folder=path.endswith("/"))

    def _token(self, request: Request, instance_id: str) -> Response:
        if request.method != "PUT":
            return _text("", 405)
        text = request.headers.get(TTL_HEADER, "")
        if not text.isdecimal() or not 1 <= int(text) <= TTL_MAX_S:
            return _text("", 400)
        token, now = secrets.token_urlsafe(42), self._now()
        with self._lock:
            if len(self._tokens) >= _TOKENS_MAX:
                self._tokens = {key: end for key, end in self._tokens.items() if end > now}
            if len(self._tokens) >= _TOKENS_MAX:
                return _text("", 503)
            self._tokens[instance_id, token] = now + int(text)
        response = _text(token, 200)
        response.headers[TTL_HEADER] = text
        return response

    def _check(self, request: Request, instance_id: str, metadata: Metadata) -> _Verdict:
        token = request.headers.get(TOKEN_HEADER)
        if token is None:
            return "unauthorized" if metadata.tokens_required else "ok"
        with self._lock:
            ends_at = self._tokens.get((instance_id, token), 0.0)
        return "ok" if ends_at > self._now() else "unauthorized"

    def _value(
        self, instance_id: str, metadata: Metadata, wanted: str, *, is_folder: bool
    ) -> Response:
        role = f"latest/meta-data/iam/security-credentials/{metadata.role_name}"
        if metadata.role_name is not None and wanted == role:
            return _text(self._role_document(instance_id, metadata), 200)
        name = wanted.removeprefix("latest/")
        if name in metadata.values and wanted != name and not is_folder:
            return _text(metadata.values[name], 200)
        names = [*metadata.values, *([role.removeprefix("latest/")] if metadata.role_name else [])]
        listing = _listing(names, name.rstrip("/"))
        if wanted in ("", "latest"):
            listing = ["latest"] if wanted == "" else _listing(names, "")
        return _text("\n".join(listing), 200) if listing else _text("", 404)

    def _role_document(self, instance_id: str, metadata: Metadata) -> str:
        now = self._now()
        with self._lock:
            known = self._credentials.get(instance_id)
        if known is None or known.expires_at - now < _RENEW_S:
            known = metadata.assume()
            if known is None:
                text = f"EC2 cannot assume the role {metadata.role_name}."
                stamp = {"Code": _UNTRUSTED, "Message": text, "LastUpdated": _stamp(now)}
                return json.dumps(stamp, indent=2)
            with self._lock:
                self._credentials[instance_id] = known
        document = {
            "Code": "Success",
            "LastUpdated": _stamp(now),
            "Type": "AWS-HMAC",
            "AccessKeyId": known.access_key_id,
            "SecretAccessKey": known.secret_access_key,
            "Token": known.session_token,
            "Expiration": _stamp(known.expires_at),
        }
        return json.dumps(document, indent=2)


def _listing(names: list[str], folder: str) -> list[str]:
    """The entries of a folder, once each; folders end with a slash."""
    start = f"{folder}/" if folder else ""
    found: dict[str, None] = {}
    for name in names:
        if name.startswith(start):
            entry, slash, _ = name.removeprefix(start).partition("/")
            found[entry + slash] = None
    return sorted(found)


def _text(body: str, status: int) -> Response:
    return Response(body, status=status, content_type="text/plain")


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
