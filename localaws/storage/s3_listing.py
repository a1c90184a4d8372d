"""S3's listings of a bucket: objects (both versions), object versions."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from localaws.storage.object_index import Entry
from localaws.storage.objects import Objects, after_prefix
from localaws.storage.s3_call import Answer, Call, quoted, refuse_unkept
from localaws.wire.protocol import AwsError

_PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class Page:
    """Items after a position; a common prefix counts as one item. `last` is the last item."""

    entries: tuple[Entry, ...]
    prefixes: tuple[str, ...]
    truncated: bool
    last: str


class ListOperations:
    """One method for each operation, named as botocore names it."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def list_objects_v2(self, call: Call) -> Answer:
        """Up to 1000 items, by continuation token."""
        params = call.params
        token = params.get("ContinuationToken")
        after = _decode_token(token) if token else params.get("StartAfter", "")
        page = self._page(call, after)
        owner = _owner(call) if params.get("FetchOwner") else None
        values = self._shared(call, page, owner) | {
            "KeyCount": len(page.entries) + len(page.prefixes),
            "ContinuationToken": token,
            "StartAfter": _encoder(params)(params["StartAfter"])
            if "StartAfter" in params
            else None,
            "NextContinuationToken": _encode_token(page.last) if page.truncated else None,
        }
        return Answer(values=values)

    def list_objects(self, call: Call) -> Answer:
        """The first version: by marker; NextMarker only with a delimiter, as in S3."""
        params = call.params
        page = self._page(call, params.get("Marker", ""))
        encode = _encoder(params)
        has_next = page.truncated and params.get("Delimiter")
        values = self._shared(call, page, _owner(call)) | {
            "Marker": encode(params.get("Marker", "")),
            "NextMarker": encode(page.last) if has_next else None,
        }
        return Answer(values=values)

    def list_object_versions(self, call: Call) -> Answer:
        """Every object as its only version, `null`: versions are not kept."""
        params = call.params
        page = self._page(call, params.get("KeyMarker", ""))
        encode = _encoder(params)
        shared = self._shared(call, page, _owner(call))
        versions = [
            item | {"VersionId": "null", "IsLatest": True} for item in shared.pop("Contents")
        ]
        values = shared | {
            "Versions": versions,
            "KeyMarker": encode(params.get("KeyMarker", "")),
            "NextKeyMarker": encode(page.last) if page.truncated else None,
            "NextVersionIdMarker": "null" if page.truncated else None,
        }
        return Answer(values=values)

    def _page(self, call: Call, after: str) -> Page:
        refuse_unkept(call)
        self._objects.require_bucket(call.bucket)
        limit = call.params.get("MaxKeys", _PAGE)
        if limit < 0:
            raise AwsError(
                "InvalidArgument", "Argument maxKeys must be an integer from 0 to 2^31-1"
            )
        prefix, delimiter = call.params.get("Prefix", ""), call.params.get("Delimiter", "")
        found = _items(self._objects, call.bucket, prefix, delimiter, after)
        return _collect(found, min(limit, _PAGE))

    def _shared(self, call: Call, page: Page, owner: Mapping[str, str] | None) -> dict[str, Any]:
        params = call.params
        encode = _encoder(params)
        delimiter = params.get("Delimiter")
        return {
            "IsTruncated": page.truncated,
            "Name": call.bucket,
            "Prefix": encode(params.get("Prefix", "")),
            "Delimiter": encode(delimiter) if delimiter else None,
            "MaxKeys": params.get("MaxKeys", _PAGE),
            "EncodingType": params.get("EncodingType"),
            "Contents": [_listed(entry, encode, owner) for entry in page.entries],
            "CommonPrefixes": [{"Prefix": encode(prefix)} for prefix in page.prefixes],
        }


def _items(
    objects: Objects, bucket: str, prefix: str, delimiter: str, after: str
) -> Iterator[Entry | str]:
    """Entries, and each common prefix once, in order, above `after`."""
    position: str | None = after + "\0" if after else ""
    if after and _common_prefix(after, prefix, delimiter) == after:
        position = after_prefix(after)
    while position is not None:
        for entry in objects.walk(bucket, prefix, position):
            common = _common_prefix(entry.key, prefix, delimiter)
            if common is not None:
                yield common
                position = after_prefix(common)
                break
            yield entry
        else:
            return


def _common_prefix(key: str, prefix: str, delimiter: str) -> str | None:
    if not delimiter or not key.startswith(prefix):
        return None
    end = key.find(delimiter, len(prefix))
    return None if end < 0 else key[: end + len(delimiter)]


def _collect(items: Iterator[Entry | str], limit: int) -> Page:
    entries: list[Entry] = []
    prefixes: list[str] = []
    last = ""
    truncated = False
    for item in items:
        if len(entries) + len(prefixes) >= limit:
            truncated = limit > 0
            break
        if isinstance(item, str):
            prefixes.append(item)
            last = item
        else:
            entries.append(item)
            last = item.key
    return Page(entries=tuple(entries), prefixes=tuple(prefixes), truncated=truncated, last=last)


def _listed(entry: Entry, encode: Any, owner: Mapping[str, str] | None) -> dict[str, Any]:
    return {
        "Key": encode(entry.key),
        "LastModified": entry.last_modified,
        "ETag": quoted(entry.etag),
        "ChecksumAlgorithm": list(entry.checksums),
        "ChecksumType": entry.checksum_type if entry.checksums else None,
        "Size": entry.size,
        "StorageClass": entry.headers.get("StorageClass", "STANDARD"),
        "Owner": owner,
    }


def _owner(call: Call) -> dict[str, str]:
    return {"ID": call.caller.account_id}


def _encoder(params: Mapping[str, Any]) -> Any:
    if params.get("EncodingType") == "url":
        return lambda text: quote(text, safe="/-_.*")
    return lambda text: text


def _encode_token(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode()


def _decode_token(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        text = "The continuation token provided is incorrect"
        raise AwsError("InvalidArgument", text) from error
