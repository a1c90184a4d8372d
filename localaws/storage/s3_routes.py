"""Which S3 operation a request asks for; the path alone does not say."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from werkzeug import Request

from localaws.wire.protocol import load_model
from localaws.wire.request import raw_path

# Query names that select a bucket's configuration; moto keeps it.
_CONFIGURATION_NAMES = (
    "abac accelerate acl analytics cors encryption intelligent-tiering inventory lifecycle"
    " location logging metadataConfiguration metadataTable metrics notification object-lock"
    " ownershipControls policy policyStatus publicAccessBlock replication requestPayment tagging"
    " versioning website"
)
BUCKET_CONFIGURATION = frozenset(_CONFIGURATION_NAMES.split())
_UNKEPT_NAMES = "acl annotation encryption legal-hold renameObject restore retention select torrent"
_UNKEPT = frozenset(_UNKEPT_NAMES.split())
CONFIGURATION = "BucketConfiguration"


@dataclass(frozen=True, kw_only=True)
class Address:
    """What a request's host and path name; both are empty for the service itself."""

    bucket: str
    key: str


def address_of(request: Request) -> Address:
    """Bucket and key, from `/bucket/key` or from `bucket.localhost`."""
    path = unquote(raw_path(request)).removeprefix("/")
    host = request.host.rpartition(":")[0] or request.host
    if host.endswith(".localhost"):
        bucket = host.removesuffix(".localhost").removesuffix(".s3")
        return Address(bucket=bucket, key=path)
    bucket, _, key = path.partition("/")
    return Address(bucket=bucket, key=key)


def operation_for(request: Request, address: Address) -> str | None:
    """botocore's name of the operation (`CONFIGURATION` if it has none); None: not done here."""
    names = set(request.args)
    if not address.key:
        return _bucket_operation(request.method, names, request)
    if names & _UNKEPT:
        return None
    choose = _OBJECT_OPERATIONS.get(request.method)
    return choose(names, request) if choose else None


def _bucket_operation(method: str, names: set[str], request: Request) -> str | None:
    if method == "POST":
        return "DeleteObjects" if "delete" in names else None
    if method == "DELETE" and not names & BUCKET_CONFIGURATION:
        return "DeleteBucket"
    if method == "GET" and not names & BUCKET_CONFIGURATION:
        if "uploads" in names:
            return "ListMultipartUploads"
        if "versions" in names:
            return "ListObjectVersions"
        return "ListObjectsV2" if request.args.get("list-type") == "2" else "ListObjects"
    selected = min(names & BUCKET_CONFIGURATION, default="")
    return forwarded_operations().get((method, selected), CONFIGURATION)


@functools.cache
def forwarded_operations() -> Mapping[tuple[str, str], str]:
    """The names of the bucket operations that moto answers, by method and query name."""
    model = load_model("s3")
    found: dict[tuple[str, str], str] = {}
    for name in model.operation_names:
        http = model.operation_model(name).http
        path, _, query = http["requestUri"].partition("?")
        selected = query.partition("&")[0].partition("=")[0]
        if path == "/{Bucket}" and (selected in BUCKET_CONFIGURATION or not selected):
            found.setdefault((http["method"], selected), name)
    return found


def _put(names: set[str], request: Request) -> str:
    is_copy = "x-amz-copy-source" in request.headers
    if "uploadId" in names:
        return "UploadPartCopy" if is_copy else "UploadPart"
    if "tagging" in names:
        return "PutObjectTagging"
    return "CopyObject" if is_copy else "PutObject"


def _get(names: set[str], _: Request) -> str | None:
    if "uploadId" in names:
        return "ListParts"
    if "tagging" in names:
        return "GetObjectTagging"
    return "GetObjectAttributes" if "attributes" in names else "GetObject"


def _delete(names: set[str], _: Request) -> str:
    if "uploadId" in names:
        return "AbortMultipartUpload"
    return "DeleteObjectTagging" if "tagging" in names else "DeleteObject"


def _post(names: set[str], _: Request) -> str | None:
    if "uploads" in names:
        return "CreateMultipartUpload"
    return "CompleteMultipartUpload" if "uploadId" in names else None


_OBJECT_OPERATIONS: dict[str, Callable[[set[str], Request], str | None]] = {
    "PUT": _put,
    "GET": _get,
    "HEAD": lambda names, request: "HeadObject",
    "DELETE": _delete,
    "POST": _post,
}
