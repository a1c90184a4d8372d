"""What an S3 operation is given and gives back, and the errors that several of them share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from werkzeug import Request

from localaws.storage.object_index import Check, Entry
from localaws.wire.protocol import AwsError, Caller

# Members that ask for what is not kept here; an error is better than a silent no.
_REFUSED = (
    "SSECustomerAlgorithm",
    "ObjectLockMode",
    "ObjectLockLegalHoldStatus",
    "WriteOffsetBytes",
    "CopySourceSSECustomerAlgorithm",
)
_SAME_AS_PRIVATE = ("private", "bucket-owner-full-control", "bucket-owner-read")


@dataclass(frozen=True, kw_only=True)
class Call:
    """One S3 request. `params` has the model's member names, without a streamed `Body`."""

    params: Mapping[str, Any]
    request: Request
    caller: Caller

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return str(self.params["Bucket"])

    @property
    def key(self) -> str:
        """The object's key."""
        return str(self.params["Key"])


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Members of the output shape; `body` is the payload when that is a stream."""

    values: Mapping[str, Any] = field(default_factory=dict)
    status: int | None = None
    body: bytes | Iterable[bytes] | None = None


def not_implemented(what: str) -> AwsError:
    """The error for what S3 does and localaws does not."""
    text = f"localaws does not implement {what}; localaws/DIFFERENCES.md lists what it does"
    return AwsError("NotImplemented", text, status=501)


def refuse_unkept(call: Call) -> None:
    """Raises `AwsError` when the request relies on something that is not kept here."""
    for name in _REFUSED:
        if name in call.params:
            raise not_implemented(f"S3 {name}")
    if call.params.get("ACL", "private") not in _SAME_AS_PRIVATE:
        text = "The bucket does not allow ACLs"
        raise AwsError("AccessControlListNotSupported", text)
    if call.params.get("ExpectedBucketOwner", call.caller.account_id) != call.caller.account_id:
        raise AwsError("AccessDenied", "Access Denied", status=403)
    if call.params.get("VersionId", "null") != "null":
        raise AwsError("NoSuchVersion", "The specified version does not exist.", status=404)


def quoted(etag: str) -> str:
    """The ETag as headers and XML carry it."""
    return f'"{etag}"'


def etag_matches(wanted: str, etag: str) -> bool:
    """Whether an If-Match or If-None-Match value names this ETag."""
    names = [name.strip().removeprefix("W/").strip('"') for name in wanted.split(",")]
    return "*" in names or etag in names


def precondition_failed(condition: str) -> AwsError:
    """412, naming the header that failed."""
    text = "At least one of the pre-conditions you specified did not hold"
    return AwsError("PreconditionFailed", text, status=412, fields={"Condition": condition})


def write_check(params: Mapping[str, Any]) -> Check:
    """The check for a write with If-Match or If-None-Match, run against the old object."""
    if_match, if_none_match = params.get("IfMatch"), params.get("IfNoneMatch")
    if if_none_match not in (None, "*"):
        raise not_implemented("If-None-Match with anything but * on a write")

    def check(old: Entry | None) -> None:
        if if_none_match is not None and old is not None:
            raise precondition_failed("If-None-Match")
        if if_match is None:
            return
        if old is None:
            text = "The specified key does not exist."
            raise AwsError("NoSuchKey", text, status=404, fields={"Key": params["Key"]})
        if not etag_matches(if_match, old.etag):
            raise precondition_failed("If-Match")

    return check


def read_unchanged(params: Mapping[str, Any], entry: Entry, prefix: str = "") -> bool:
    """Whether a read's conditions mean "not modified". Raises `AwsError` 412.

    Follows RFC 9110: If-Match overrides If-Unmodified-Since, If-None-Match If-Modified-Since.
    """
    modified = int(entry.last_modified)
    if_match = params.get(f"{prefix}IfMatch")
    if if_match is not None:
        if not etag_matches(if_match, entry.etag):
            raise precondition_failed("If-Match")
    elif modified > params.get(f"{prefix}IfUnmodifiedSince", modified):
        raise precondition_failed("If-Unmodified-Since")
    if_none_match = params.get(f"{prefix}IfNoneMatch")
    if if_none_match is not None:
        return etag_matches(if_none_match, entry.etag)
    since = params.get(f"{prefix}IfModifiedSince")
    return since is not None and modified <= since


def http_date(epoch_s: float) -> str:
    """A time as HTTP headers carry it."""
    return format_datetime(datetime.fromtimestamp(epoch_s, UTC), usegmt=True)
