"""AWS Signature Version 4 for a GET from S3, by the description in the IAM user guide.

The standard library is enough for it, and boto3 would add 35 MB to the image.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

_NO_BODY: Final = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A role's keys. `expires_at` in seconds since 1970, infinite for keys that stay."""

    key_id: str
    secret: str
    token: str = ""
    expires_at: float = float("inf")

    def __repr__(self) -> str:
        return f"Credentials({self.key_id[:4]}…)"


def quoted_path(text: str) -> str:
    """A path with everything but unreserved characters and slashes percent-encoded, once."""
    return quote(text, safe="/-_.~")


def signed_headers(
    host: str, path: str, credentials: Credentials, *, region: str, now: datetime
) -> Mapping[str, str]:
    """The headers of a GET of `path` (as `quoted_path` gives it) from S3 at `host`."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    headers = {"host": host, "x-amz-content-sha256": _NO_BODY, "x-amz-date": stamp}
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"GET\n{path}\n\n{lines}\n{names}\n{_NO_BODY}"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    key = f"AWS4{credentials.secret}".encode()
    for part in (stamp[:8], region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    signed = f"Credential={credentials.key_id}/{scope}, SignedHeaders={names}"
    return {**headers, "authorization": f"AWS4-HMAC-SHA256 {signed}, Signature={signature}"}
