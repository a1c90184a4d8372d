"""Receive an uploaded body: decode it, write it to disk, and check every checksum it came with."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
from collections.abc import Collection, Mapping
from typing import Any, cast

from werkzeug import Request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from localaws.storage.aws_chunked import BrokenBody, ChunkedBody
from localaws.storage.blobs import Blob, Blobs
from localaws.storage.checksums import HASHERS, checksum_of
from localaws.storage.s3_call import not_implemented
from localaws.wire.protocol import AwsError

MAX_PUT_BYTES = 5 * 1024**3
_HEADER_PREFIX = "x-amz-checksum-"
_NOT_ALGORITHMS = ("mode", "type", "algorithm")


def receive_body(request: Request, blobs: Blobs, also: Collection[str] = ()) -> Blob:
    """The body as a blob that is synced but not in place. Raises `AwsError`.

    The blob carries the checksums that the request gave, in headers or trailers, and those that
    `also` asks for.
    """
    expected = _header_checksums(request.headers)
    announced = [
        name.strip().lower().removeprefix(_HEADER_PREFIX).upper()
        for name in request.headers.get("x-amz-trailer", "").split(",")
        if name.strip().lower().startswith(_HEADER_PREFIX)
    ]
    algorithms = {*expected, *announced, *also}
    for algorithm in algorithms - set(HASHERS):
        raise not_implemented(f"the checksum algorithm {algorithm}")
    payload_sha256 = request.headers.get("x-amz-content-sha256", "")
    check_payload = re.fullmatch("[0-9a-f]{64}", payload_sha256) is not None
    extra = {"SHA256"} if check_payload else set()
    md5 = _content_md5(request)
    size = _expected_size(request)
    chunked = None
    if is_aws_chunked(request):
        # Buffered, as the raw stream would be asked for a line byte by byte.
        chunked = ChunkedBody(io.BufferedReader(cast(io.RawIOBase, request.stream)))
    blob = _receive(request, chunked, blobs, algorithms | extra)
    try:
        if chunked is not None:
            expected |= _header_checksums(chunked.trailers)
        _verify(blob, size, md5, expected)
        if check_payload and base64.b64decode(blob.checksums["SHA256"]).hex() != payload_sha256:
            text = "The provided 'x-amz-content-sha256' header does not match what was computed."
            raise AwsError("XAmzContentSHA256Mismatch", text)
    except AwsError:
        blobs.discard(blob.blob_id)
        raise
    kept = {name: value for name, value in blob.checksums.items() if name in algorithms}
    return Blob(blob_id=blob.blob_id, size=blob.size, md5=blob.md5, checksums=kept)


def is_aws_chunked(request: Request) -> bool:
    """Whether the body is in the `aws-chunked` encoding."""
    by_hash = request.headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
    return by_hash or "aws-chunked" in request.headers.get("Content-Encoding", "")


def _receive(
    request: Request, chunked: ChunkedBody | None, blobs: Blobs, algorithms: set[str]
) -> Blob:
    try:
        return blobs.receive((chunked or request.stream).read, algorithms)
    except RequestEntityTooLarge as error:
        raise _too_large() from error
    except (BrokenBody, ClientDisconnected) as error:
        text = "You did not provide the number of bytes specified by the Content-Length header"
        raise AwsError("IncompleteBody", text) from error


def _too_large() -> AwsError:
    text = "Your proposed upload exceeds the maximum allowed size"
    return AwsError("EntityTooLarge", text, fields={"MaxSizeAllowed": MAX_PUT_BYTES})


def _expected_size(request: Request) -> int | None:
    text = request.headers.get("x-amz-decoded-content-length")
    if text is None and not is_aws_chunked(request):
        text = request.headers.get("Content-Length")
    if text is None:
        raise AwsError(
            "MissingContentLength",
            "You must provide the Content-Length HTTP header.",
            status=411,
        )
    if not text.isascii() or not text.isdigit():
        raise AwsError("InvalidArgument", f"{text!r} is no length")
    if int(text) > MAX_PUT_BYTES:
        raise _too_large()
    return int(text)


def _header_checksums(headers: Mapping[str, str] | Any) -> dict[str, str]:
    found = {}
    for name, value in headers.items():
        tail = name.lower().removeprefix(_HEADER_PREFIX)
        if tail != name.lower() and tail not in _NOT_ALGORITHMS:
            found[tail.upper()] = value
    return found


def _content_md5(request: Request) -> str | None:
    text = request.headers.get("Content-MD5")
    if text is None:
        return None
    try:
        digest = base64.b64decode(text, validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != 16:
        raise AwsError("InvalidDigest", "The Content-MD5 you specified is not valid.")
    return digest.hex()


def _verify(blob: Blob, size: int | None, md5: str | None, expected: Mapping[str, str]) -> None:
    if size is not None and blob.size != size:
        text = "You did not provide the number of bytes specified by the Content-Length header"
        raise AwsError("IncompleteBody", text)
    if md5 is not None and blob.md5 != md5:
        text = "The Content-MD5 you specified did not match what we received."
        raise AwsError("BadDigest", text)
    for algorithm, value in expected.items():
        if blob.checksums.get(algorithm) != value:
            text = f"The {algorithm} you specified did not match the calculated checksum."
            raise AwsError("BadDigest", text)


def verify_small_body(request: Request, data: bytes) -> None:
    """Check Content-MD5 of an XML body that was read whole. Raises `AwsError` BadDigest."""
    md5 = _content_md5(request)
    expected = _header_checksums(request.headers)
    known = {name: value for name, value in expected.items() if name in HASHERS}
    checksums = {name: checksum_of(name, data) for name in known}
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    _verify(Blob(blob_id="", size=len(data), md5=digest, checksums=checksums), None, md5, known)
