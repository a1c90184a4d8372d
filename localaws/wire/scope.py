"""Who sent a request, and to which service: its credential scope. Signatures are not verified."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from werkzeug import Request

from localaws.wire.protocol import AwsError

_V4 = re.compile(r"AWS4-HMAC-SHA256\s+.*?Credential=([^,\s]+)")
_V4A = re.compile(r"AWS4-ECDSA-P256-SHA256\s+.*?Credential=([^,\s]+)")
_SMITHY = re.compile(r"/service/[^/]+/operation/(\w+)/?")
_V2 = re.compile(r"AWS ([^:\s]+):")


@dataclass(frozen=True, kw_only=True)
class Scope:
    """`region` is empty where the signature names none (SigV2, SigV4a)."""

    access_key_id: str
    region: str
    service: str


def credential_scope(request: Request) -> Scope | None:
    """The scope in the Authorization header or the presigned query; None when unsigned."""
    header = request.headers.get("Authorization", "")
    found = _V4.match(header)
    if found:
        return _from_credential(found[1])
    found = _V4A.match(header)
    if found:
        parts = found[1].split("/")
        return Scope(access_key_id=parts[0], region="", service=parts[-2]) if parts[3:] else None
    if "X-Amz-Credential" in request.args:
        return _from_credential(request.args["X-Amz-Credential"])
    key = _V2.match(header)
    if key:
        return Scope(access_key_id=key[1], region="", service="s3")
    if "AWSAccessKeyId" in request.args and "Signature" in request.args:
        return Scope(access_key_id=request.args["AWSAccessKeyId"], region="", service="s3")
    return None


def _from_credential(text: str) -> Scope | None:
    parts = text.split("/")
    if len(parts) < 5:
        return None
    # An access key id may hold slashes, the other four never do.
    return Scope(access_key_id="/".join(parts[:-4]), region=parts[-3], service=parts[-2].lower())


def require_fresh(request: Request, now: float) -> None:
    """Raises `AwsError` AccessDenied when a presigned URL has expired at epoch second `now`."""
    expires_at: float | None = None
    try:
        if "X-Amz-Date" in request.args and "X-Amz-Expires" in request.args:
            signed = datetime.strptime(request.args["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
            expires_at = signed.replace(tzinfo=UTC).timestamp()
            expires_at += int(request.args["X-Amz-Expires"])
        elif "Signature" in request.args and "Expires" in request.args:
            expires_at = float(request.args["Expires"])
    except ValueError as error:
        text = "X-Amz-Date or X-Amz-Expires is malformed"
        raise AwsError("AuthorizationQueryParametersError", text) from error
    if expires_at is not None and now > expires_at:
        raise AwsError("AccessDenied", "Request has expired", status=403)


def operation_name(request: Request) -> str:
    """AWS's name of the operation, as far as the request says it."""
    target = request.headers.get("X-Amz-Target")
    if target:
        return target.rpartition(".")[2]
    if request.mimetype == "application/x-www-form-urlencoded":
        found = re.search(rb"(?:^|&)Action=(\w+)", request.get_data(cache=True))
        if found:
            return found[1].decode("ascii")
    smithy = _SMITHY.fullmatch(request.path)
    return smithy[1] if smithy else f"{request.method} {request.path}"
