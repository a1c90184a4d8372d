"""S3's operations on one object: put, get, head, copy, delete, tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, unquote

from localaws.storage.blobs import CHUNK_BYTES
from localaws.storage.byte_ranges import ByteRange, part_range, requested_range
from localaws.storage.object_index import Entry
from localaws.storage.objects import Objects
from localaws.storage.s3_body import receive_body
from localaws.storage.s3_call import (
    Answer,
    Call,
    precondition_failed,
    quoted,
    read_unchanged,
    refuse_unkept,
    write_check,
)
from localaws.wire.protocol import AwsError

STORED_HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "WebsiteRedirectLocation",
    "StorageClass",
    "ServerSideEncryption",
    "SSEKMSKeyId",
)
_OVERRIDES = tuple(name for name in STORED_HEADERS if name.startswith(("C", "Expires")))
_SMALL_BYTES = 1 << 20
_MAX_TAGS = 10
_MAX_METADATA_BYTES = 2048
_MAX_KEY_BYTES = 1024


class ObjectOperations:
    """One method for each operation, named as botocore names it."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def put_object(self, call: Call) -> Answer:
        """Answered only when bytes and metadata are on disk."""
        refuse_unkept(call)
        self._objects.require_bucket(call.bucket)
        check = write_check(call.params)
        # A hopeless upload is refused before its body is read; `commit` decides again.
        check(self._objects.index.get(call.bucket, call.key))
        described = describe(call.params)
        blob = receive_body(call.request, self._objects.blobs)
        entry = self._objects.entry_for(call.bucket, call.key, blob, headers={})
        entry = self._objects.commit(replace(entry, **described), check)
        return Answer(values=written(entry))

    def get_object(self, call: Call) -> Answer:
        """The bytes, or the part of them that Range or PartNumber asks for."""
        refuse_unkept(call)
        entry, file = self._objects.open(call.bucket, call.key)
        try:
            answer, span = self._head(call, entry)
        except BaseException:
            file.close()
            raise
        if span is None:
            file.close()
            return answer
        return replace(answer, body=_slice(file, span))

    def head_object(self, call: Call) -> Answer:
        """Everything about the object but its bytes."""
        refuse_unkept(call)
        return self._head(call, self._objects.find(call.bucket, call.key))[0]

    def _head(self, call: Call, entry: Entry) -> tuple[Answer, ByteRange | None]:
        if read_unchanged(call.params, entry):
            values = {"ETag": quoted(entry.etag), "LastModified": entry.last_modified}
            return Answer(values=values, status=304), None
        values = facts(entry)
        for name in _OVERRIDES:
            values[name] = call.params.get(f"Response{name}", values.get(name))
        number = call.params.get("PartNumber")
        span = part_range(entry, number) if number else requested_range(call.params, entry.size)
        values["ContentLength"] = entry.size if span is None else span.length
        if span is not None:
            values["ContentRange"] = f"bytes {span.first}-{span.last}/{entry.size}"
        if number and entry.part_sizes:
            values["PartsCount"] = len(entry.part_sizes)
        if span is None and call.params.get("ChecksumMode") == "ENABLED":
            values |= checksum_members(entry)
        whole = ByteRange(first=0, last=entry.size - 1)
        return Answer(values=values, status=200 if span is None else 206), span or whole

    def delete_object(self, call: Call) -> Answer:
        """Deleting what does not exist succeeds, as in S3."""
        refuse_unkept(call)
        if "IfMatch" in call.params:
            self._objects.remove(call.bucket, call.key, write_check(call.params))
        else:
            self._objects.remove(call.bucket, call.key)
        return Answer(status=204)

    def delete_objects(self, call: Call) -> Answer:
        """Up to 1000 keys; each has its own result."""
        refuse_unkept(call)
        self._objects.require_bucket(call.bucket)
        request = call.params["Delete"]
        items = request.get("Objects", [])
        if not 1 <= len(items) <= 1000:
            text = "The XML you provided was not well-formed or did not validate against our schema"
            raise AwsError("MalformedXML", text)
        deleted, errors = [], []
        for item in items:
            try:
                condition = {"Key": item["Key"], "IfMatch": item.get("ETag")}
                self._objects.remove(call.bucket, item["Key"], write_check(condition))
                deleted.append({"Key": item["Key"]})
            except AwsError as error:
                if error.code == "NoSuchKey":
                    deleted.append({"Key": item["Key"]})
                else:
                    found = {"Key": item["Key"], "Code": error.code, "Message": error.message}
                    errors.append(found)
        return Answer(values={"Deleted": [] if request.get("Quiet") else deleted, "Errors": errors})

    def copy_object(self, call: Call) -> Answer:
        """A new object with the source's bytes, and its metadata unless told otherwise."""
        refuse_unkept(call)
        self._objects.require_bucket(call.bucket)
        params = call.params
        source, file = open_source(self._objects, params)
        replaces = params.get("MetadataDirective", "COPY") == "REPLACE"
        with file:
            if (source.bucket, source.key) == (call.bucket, call.key) and not replaces:
                text = (
                    "This copy request is illegal because it is trying to copy an object to "
                    "itself without changing the object's metadata."
                )
                raise AwsError("InvalidRequest", text)
            algorithm = params.get("ChecksumAlgorithm")
            wanted = {algorithm} if algorithm else set(source.checksums)
            blob = self._objects.blobs.receive(file.read, wanted)
        described = describe(params)
        if not replaces:
            described |= {"headers": source.headers, "metadata": source.metadata}
        if params.get("TaggingDirective", "COPY") == "COPY":
            described["tags"] = source.tags
        entry = self._objects.entry_for(call.bucket, call.key, blob, headers={})
        entry = self._objects.commit(replace(entry, **described), write_check(params))
        result = {"ETag": quoted(entry.etag), "LastModified": entry.last_modified}
        result |= checksum_members(entry)
        return Answer(values={"CopyObjectResult": result, "ServerSideEncryption": _sse(entry)})

    def put_object_tagging(self, call: Call) -> Answer:
        """Replace all tags."""
        refuse_unkept(call)
        tags = {tag["Key"]: tag.get("Value", "") for tag in call.params["Tagging"]["TagSet"]}
        self._objects.retag(call.bucket, call.key, _checked_tags(tags))
        return Answer()

    def get_object_tagging(self, call: Call) -> Answer:
        """All tags, sorted by key."""
        refuse_unkept(call)
        tags = self._objects.find(call.bucket, call.key).tags
        pairs = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
        return Answer(values={"TagSet": pairs})

    def delete_object_tagging(self, call: Call) -> Answer:
        """Remove all tags."""
        refuse_unkept(call)
        self._objects.retag(call.bucket, call.key, {})
        return Answer(status=204)


def describe(params: Mapping[str, Any]) -> dict[str, Any]:
    """`Entry` fields from a request that creates an object. Raises `AwsError`."""
    if len(params["Key"].encode()) > _MAX_KEY_BYTES:
        raise AwsError("KeyTooLongError", "Your key is too long")
    metadata = {name.lower(): value for name, value in params.get("Metadata", {}).items()}
    if sum(len(name) + len(value) for name, value in metadata.items()) > _MAX_METADATA_BYTES:
        text = "Your metadata headers exceed the maximum allowed metadata size"
        raise AwsError("MetadataTooLarge", text)
    headers = {name: str(params[name]) for name in STORED_HEADERS if name in params}
    headers.setdefault("ContentType", "binary/octet-stream")
    coding = [c.strip() for c in headers.pop("ContentEncoding", "").split(",")]
    real = [c for c in coding if c and c != "aws-chunked"]
    if real:
        headers["ContentEncoding"] = ",".join(real)
    tags = dict(parse_qsl(params.get("Tagging", ""), keep_blank_values=True))
    return {"headers": headers, "metadata": metadata, "tags": _checked_tags(tags)}


def _checked_tags(tags: Mapping[str, str]) -> Mapping[str, str]:
    if len(tags) > _MAX_TAGS:
        raise AwsError("BadRequest", "Object tags cannot be greater than 10")
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise AwsError("InvalidTag", "The TagKey or TagValue you have provided is invalid")
    return tags


def open_source(objects: Objects, params: Mapping[str, Any]) -> tuple[Entry, BinaryIO]:
    """The object that x-amz-copy-source names, open, its conditions checked."""
    path, _, query = params["CopySource"].partition("?")
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    version = dict(parse_qsl(query)).get("versionId", "null")
    if not key or version != "null":
        raise AwsError("InvalidArgument", "Invalid copy source object key or version")
    entry, file = objects.open(bucket, key)
    try:
        if read_unchanged(params, entry, "CopySource"):
            raise precondition_failed("x-amz-copy-source-If-None-Match")
    except BaseException:
        file.close()
        raise
    return entry, file


def checksum_members(entry: Entry) -> dict[str, Any]:
    """The checksum members of an answer; empty when none were given."""
    members: dict[str, Any] = {f"Checksum{name}": text for name, text in entry.checksums.items()}
    return members | ({"ChecksumType": entry.checksum_type} if members else {})


def written(entry: Entry) -> dict[str, Any]:
    """What S3 answers to a successful write."""
    values = {"ETag": quoted(entry.etag), "ServerSideEncryption": _sse(entry)}
    return values | checksum_members(entry)


def facts(entry: Entry) -> dict[str, Any]:
    """The headers of GetObject and HeadObject, without length and checksums."""
    stored: dict[str, Any] = dict(entry.headers)
    if stored.get("StorageClass") == "STANDARD":
        del stored["StorageClass"]
    return stored | {
        "AcceptRanges": "bytes",
        "ETag": quoted(entry.etag),
        "LastModified": entry.last_modified,
        "Metadata": dict(entry.metadata),
        "ServerSideEncryption": _sse(entry),
        "TagCount": len(entry.tags) or None,
    }


def _sse(entry: Entry) -> str:
    return entry.headers.get("ServerSideEncryption", "AES256")


def _slice(file: BinaryIO, span: ByteRange) -> bytes | _FileSlice:
    if span.length <= _SMALL_BYTES:
        with file:
            file.seek(span.first)
            return file.read(span.length)
    return _FileSlice(file, span)


class _FileSlice:
    """A part of a file in chunks; `close` also works before the first chunk was asked for."""

    def __init__(self, file: BinaryIO, span: ByteRange) -> None:
        file.seek(span.first)
        self._file = file
        self._left = span.length

    def __iter__(self) -> Iterator[bytes]:
        while self._left and (data := self._file.read(min(CHUNK_BYTES, self._left))):
            self._left -= len(data)
            yield data

    def close(self) -> None:
        self._file.close()
