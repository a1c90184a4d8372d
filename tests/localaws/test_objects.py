"""The S3 data plane through plain boto3, raw HTTP and the AWS CLI."""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import json
import os
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug import Request
from werkzeug.test import EnvironBuilder

from localaws.storage.aws_chunked import BrokenBody, ChunkedBody
from localaws.storage.checksums import checksum_of
from localaws.storage.objects import Objects, after_prefix
from localaws.storage.s3_call import Call
from localaws.storage.s3_listing import ListOperations
from localaws.wire.protocol import AwsError, Caller
from tests.localaws.conftest import Client, fetch

MB = 1 << 20
BUCKET = "photos"
SIGNED = (
    "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
)


def md5(data: bytes) -> Any:
    return hashlib.md5(data, usedforsecurity=False)


@pytest.fixture
def s3(core: Client) -> Any:
    client = core.client("s3")
    client.create_bucket(Bucket=BUCKET)
    return client


def refused(call: Any, **params: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**params)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def put(s3: Any, key: str, body: bytes = b"x", **more: Any) -> Any:
    return s3.put_object(Bucket=BUCKET, Key=key, Body=body, **more)


def read(s3: Any, key: str, **more: Any) -> bytes:
    data: bytes = s3.get_object(Bucket=BUCKET, Key=key, **more)["Body"].read()
    return data


def keys(s3: Any) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def raw(core: Client, method: str, path: str, body: Any = b"", **headers: str) -> tuple[int, bytes]:
    return fetch(f"{core.url}{path}", method, body, Authorization=SIGNED, **headers)


def test_an_object_comes_back_as_it_went(s3: Any) -> None:
    expires = datetime(2030, 1, 1, tzinfo=UTC)
    answer = put(
        s3,
        "a/b.jpg",
        b"hello",
        ContentType="image/jpeg",
        CacheControl="no-cache",
        ContentEncoding="gzip",
        Expires=expires,
        Metadata={"Breed_Name": "Border Collie", "n-1": "2"},
        Tagging="split=train&label=dog%20one",
        StorageClass="STANDARD_IA",
    )
    etag = f'"{md5(b"hello").hexdigest()}"'
    assert answer["ETag"] == etag
    got = s3.get_object(Bucket=BUCKET, Key="a/b.jpg")
    assert got["Body"].read() == b"hello"
    head = s3.head_object(Bucket=BUCKET, Key="a/b.jpg")
    for facts in (got, head):
        assert facts["ETag"] == etag
        assert facts["ContentLength"] == 5
        assert facts["ContentType"] == "image/jpeg"
        assert facts["CacheControl"] == "no-cache"
        assert facts["ContentEncoding"] == "gzip"
        assert facts["Expires"] == expires
        assert facts["Metadata"] == {"breed_name": "Border Collie", "n-1": "2"}
        assert facts["StorageClass"] == "STANDARD_IA"
        assert facts["ServerSideEncryption"] == "AES256"
        assert abs(facts["LastModified"] - datetime.now(UTC)) < timedelta(minutes=1)
    tags = s3.get_object_tagging(Bucket=BUCKET, Key="a/b.jpg")["TagSet"]
    assert tags == [{"Key": "label", "Value": "dog one"}, {"Key": "split", "Value": "train"}]


@pytest.mark.parametrize(
    "key",
    [
        "a b+c",
        "ümläut/犬.jpg",
        "/leading",
        "trailing/",
        "a//b",
        "100%",
        "q?x=1&y#z",
        "tab\there",
        "a&<b>",
    ],
)
def test_any_key_is_put_listed_read_and_deleted(s3: Any, key: str) -> None:
    put(s3, key, key.encode())
    assert read(s3, key) == key.encode()
    assert keys(s3) == [key]
    assert s3.list_objects(Bucket=BUCKET)["Contents"][0]["Key"] == key
    s3.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": key})
    assert read(s3, "copy") == key.encode()
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key}]})
    assert keys(s3) == ["copy"]


def test_an_empty_object_is_an_object(s3: Any) -> None:
    put(s3, "empty", b"")
    assert read(s3, "empty") == b""
    assert s3.head_object(Bucket=BUCKET, Key="empty")["ContentLength"] == 0


def test_what_is_missing_is_named(s3: Any) -> None:
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=BUCKET, Key="gone")
    with pytest.raises(s3.exceptions.NoSuchBucket):
        s3.list_objects_v2(Bucket="gone-bucket")
    assert refused(s3.head_object, Bucket=BUCKET, Key="gone") == ("404", 404)
    for call in (s3.get_object, s3.put_object, s3.delete_object):
        assert refused(call, Bucket="gone-bucket", Key="k") == ("NoSuchBucket", 404)
    assert refused(s3.get_object, Bucket=BUCKET, Key="k", VersionId="v1") == ("NoSuchVersion", 404)


def test_conditional_writes(s3: Any) -> None:
    etag = put(s3, "lock", b"one", IfNoneMatch="*")["ETag"]
    failed = ("PreconditionFailed", 412)
    assert refused(s3.put_object, Bucket=BUCKET, Key="lock", Body=b"2", IfNoneMatch="*") == failed
    assert refused(s3.put_object, Bucket=BUCKET, Key="lock", Body=b"2", IfMatch='"0"') == failed
    assert read(s3, "lock") == b"one"
    put(s3, "lock", b"two", IfMatch=etag)
    assert read(s3, "lock") == b"two"
    missing = refused(s3.put_object, Bucket=BUCKET, Key="new", Body=b"2", IfMatch=etag)
    assert missing == ("NoSuchKey", 404)
    assert refused(s3.delete_object, Bucket=BUCKET, Key="lock", IfMatch=etag) == failed


def test_only_one_of_many_writers_creates(core: Client, s3: Any) -> None:
    outcomes: list[str] = []

    def create(number: int) -> None:
        try:
            put(s3, "lock", str(number).encode(), IfNoneMatch="*")
            outcomes.append(str(number))
        except ClientError as error:
            assert error.response["Error"]["Code"] == "PreconditionFailed"

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 1
    assert read(s3, "lock").decode() == outcomes[0]


def test_conditional_reads(s3: Any) -> None:
    etag = put(s3, "k")["ETag"]
    later = datetime.now(UTC) + timedelta(hours=1)
    earlier = later - timedelta(hours=2)
    get = {"Bucket": BUCKET, "Key": "k"}
    assert refused(s3.get_object, **get, IfNoneMatch=etag) == ("304", 304)
    assert refused(s3.head_object, **get, IfModifiedSince=later) == ("304", 304)
    assert refused(s3.get_object, **get, IfMatch='"0"') == ("PreconditionFailed", 412)
    assert refused(s3.get_object, **get, IfUnmodifiedSince=earlier) == ("PreconditionFailed", 412)
    assert read(s3, "k", IfMatch=etag, IfUnmodifiedSince=earlier) == b"x"
    assert read(s3, "k", IfNoneMatch='"0"', IfModifiedSince=later) == b"x"


@pytest.mark.parametrize(
    ("text", "expected", "content_range"),
    [
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=8-", b"89", "bytes 8-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=5-500", b"56789", "bytes 5-9/10"),
        ("bytes=3-1", b"0123456789", None),
        ("lines=1-2", b"0123456789", None),
    ],
)
def test_ranges(s3: Any, text: str, expected: bytes, content_range: str | None) -> None:
    put(s3, "k", b"0123456789")
    got = s3.get_object(Bucket=BUCKET, Key="k", Range=text)
    assert got["Body"].read() == expected
    assert got.get("ContentRange") == content_range
    assert got["ResponseMetadata"]["HTTPStatusCode"] == (206 if content_range else 200)


def test_a_range_outside_is_refused(s3: Any) -> None:
    put(s3, "k", b"0123456789")
    assert refused(s3.get_object, Bucket=BUCKET, Key="k", Range="bytes=10-") == (
        "InvalidRange",
        416,
    )


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        # Check values of the published catalogues, for the text 123456789.
        ("CRC32", bytes.fromhex("cbf43926")),
        ("CRC32C", bytes.fromhex("e3069283")),
        ("CRC64NVME", bytes.fromhex("ae8b14860a799888")),
        ("SHA1", bytes.fromhex("f7c3bc1d808e04732adf679965ccc34ca7ae3441")),
        ("SHA256", hashlib.sha256(b"123456789").digest()),
    ],
)
def test_checksums_are_verified_kept_and_given_back(
    core: Client, s3: Any, algorithm: str, expected: bytes
) -> None:
    text = base64.b64encode(expected).decode()
    assert checksum_of(algorithm, b"123456789") == text
    header = f"x_amz_checksum_{algorithm.lower()}"
    status, _ = raw(core, "PUT", f"/{BUCKET}/k", b"123456789", **{header: text})
    assert status == 200
    head = s3.head_object(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"] == text
    assert head["ChecksumType"] == "FULL_OBJECT"
    status, answer = raw(core, "PUT", f"/{BUCKET}/k", b"12345678X", **{header: text})
    assert (status, b"<Code>BadDigest</Code>" in answer) == (400, True)
    assert read(s3, "k") == b"123456789"


def test_boto3_checksums_round_trip(s3: Any) -> None:
    answer = put(s3, "k", b"data", ChecksumAlgorithm="SHA256")
    assert answer["ChecksumSHA256"] == checksum_of("SHA256", b"data")
    assert read(s3, "k", ChecksumMode="ENABLED") == b"data"


def test_content_md5_and_payload_hash_are_verified(core: Client, s3: Any) -> None:
    good = base64.b64encode(md5(b"data").digest()).decode()
    assert raw(core, "PUT", f"/{BUCKET}/k", b"data", Content_MD5=good)[0] == 200
    for headers, code in (
        ({"Content_MD5": good}, b"BadDigest"),
        ({"Content_MD5": "short"}, b"InvalidDigest"),
        ({"x_amz_content_sha256": hashlib.sha256(b"data").hexdigest()}, b"XAmzContentSHA256"),
    ):
        status, answer = raw(core, "PUT", f"/{BUCKET}/k", b"DATA", **headers)
        assert (status, code in answer) == (400, True)
    assert read(s3, "k") == b"data"


def chunked(data: bytes, size: int, trailers: str = "", signed: bool = False) -> bytes:
    signature = ";chunk-signature=" + "0" * 64 if signed else ""
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    body = b"".join(b"%x%b\r\n%b\r\n" % (len(p), signature.encode(), p) for p in pieces)
    return body + f"0{signature}\r\n{trailers}\r\n".encode()


@pytest.mark.parametrize("signed", [False, True])
def test_aws_chunked_bodies_with_trailers(core: Client, s3: Any, signed: bool) -> None:
    data = os.urandom(200_000)
    crc = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
    trailers = f"x-amz-checksum-crc32:{crc}\r\n"
    if signed:
        trailers += "x-amz-trailer-signature:" + "0" * 64 + "\r\n"
    kind = "AWS4-HMAC-SHA256-PAYLOAD" if signed else "UNSIGNED-PAYLOAD"
    headers = {
        "Content_Encoding": "aws-chunked",
        "x_amz_content_sha256": f"STREAMING-{kind}-TRAILER",
        "x_amz_decoded_content_length": str(len(data)),
        "x_amz_trailer": "x-amz-checksum-crc32",
    }
    body = chunked(data, 65536, trailers, signed)
    assert raw(core, "PUT", f"/{BUCKET}/k", body, **headers)[0] == 200
    assert read(s3, "k") == data
    head = s3.head_object(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")
    assert head["ChecksumCRC32"] == crc
    assert "ContentEncoding" not in head
    bad = chunked(data[::-1], 65536, trailers, signed)
    status, answer = raw(core, "PUT", f"/{BUCKET}/k", bad, **headers)
    assert (status, b"BadDigest" in answer) == (400, True)
    status, answer = raw(core, "PUT", f"/{BUCKET}/k", body[:-90_000], **headers)
    assert (status, b"IncompleteBody" in answer) == (400, True)
    assert read(s3, "k") == data


def test_http_chunked_bodies_are_read_too(core: Client, s3: Any) -> None:
    pieces = iter([b"abc", b"def"])
    status, _ = raw(core, "PUT", f"/{BUCKET}/k", pieces, x_amz_decoded_content_length="6")
    assert status == 200
    assert read(s3, "k") == b"abcdef"
    status, answer = raw(core, "PUT", f"/{BUCKET}/k2", iter([b"abc"]))
    assert (status, b"MissingContentLength" in answer) == (411, True)


@given(st.binary(max_size=300), st.integers(1, 64), st.integers(1, 50))
def test_chunks_of_any_size_decode_to_the_data(data: bytes, size: int, step: int) -> None:
    body = ChunkedBody(io.BufferedReader(io.BytesIO(chunked(data, size, "x-a: b \r\n"))))
    decoded = b"".join(iter(lambda: body.read(step), b""))
    assert decoded == data
    assert body.trailers == {"x-a": "b"}


@given(st.binary(max_size=60))
def test_garbage_is_broken_and_never_loops(data: bytes) -> None:
    body = ChunkedBody(io.BytesIO(data))
    with pytest.raises(BrokenBody):
        while body.read(10):
            pass
        if body.trailers == {}:  # A well-formed empty body is no garbage.
            raise BrokenBody


def test_a_body_that_ends_early_changes_nothing(core: Client, s3: Any) -> None:
    put(s3, "k", b"old")
    connection = http.client.HTTPConnection("127.0.0.1", core.cloud.settings.port, timeout=10)
    connection.putrequest("PUT", f"/{BUCKET}/k")
    connection.putheader("Authorization", SIGNED)
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"only this")
    connection.close()
    assert read(s3, "k") == b"old"
    incoming = core.cloud.settings.state_dir / "s3" / "incoming"
    deadline = time.monotonic() + 5
    while list(incoming.iterdir()) and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert list(incoming.iterdir()) == []


def test_readers_see_the_old_or_the_new_object(s3: Any, core: Client) -> None:
    versions = [bytes([65 + number]) * 300_000 for number in range(4)]
    put(s3, "k", versions[0])
    done = threading.Event()
    seen: list[bytes] = []

    def look() -> None:
        while not done.is_set():
            seen.append(core.cloud.parts.objects.get(BUCKET, "k"))

    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(20):
        put(s3, "k", versions[number % 4])
    done.set()
    for reader in readers:
        reader.join()
    assert seen
    assert all(data in versions for data in seen)


def test_delete_and_delete_many(s3: Any) -> None:
    for name in ("a", "b", "c"):
        put(s3, name)
    assert s3.delete_object(Bucket=BUCKET, Key="a")["ResponseMetadata"]["HTTPStatusCode"] == 204
    s3.delete_object(Bucket=BUCKET, Key="a")
    request = {"Objects": [{"Key": "b"}, {"Key": "never"}]}
    assert s3.delete_objects(Bucket=BUCKET, Delete=request)["Deleted"] == request["Objects"]
    quiet = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "c"}], "Quiet": True})
    assert "Deleted" not in quiet
    assert keys(s3) == []
    too_many = {"Objects": [{"Key": str(number)} for number in range(1001)]}
    assert refused(s3.delete_objects, Bucket=BUCKET, Delete=too_many) == ("MalformedXML", 400)


def test_broken_xml_is_refused(core: Client, s3: Any) -> None:
    entity = b'<!DOCTYPE x [<!ENTITY a "b">]><Delete><Object><Key>&a;</Key></Object></Delete>'
    for body in (b"<Delete>", b"", b"<Delete></Delete>", entity, entity.decode().encode("utf-16")):
        status, answer = raw(core, "POST", f"/{BUCKET}?delete", body)
        assert (status, b"MalformedXML" in answer) == (400, True)
    status, answer = raw(core, "POST", f"/{BUCKET}?delete", b"<Delete/>", Content_MD5="AAAA")
    assert (status, b"InvalidDigest" in answer) == (400, True)


def test_copies(s3: Any) -> None:
    s3.create_bucket(Bucket="other-bucket")
    source = {"Bucket": BUCKET, "Key": "a"}
    etag = put(s3, "a", b"data", Metadata={"m": "1"}, ContentType="text/x", Tagging="t=1")["ETag"]
    result = s3.copy_object(Bucket="other-bucket", Key="b", CopySource=source)
    assert result["CopyObjectResult"]["ETag"] == etag
    head = s3.head_object(Bucket="other-bucket", Key="b")
    assert (head["Metadata"], head["ContentType"], head["TagCount"]) == ({"m": "1"}, "text/x", 1)
    s3.copy_object(
        Bucket=BUCKET, Key="a", CopySource=source, MetadataDirective="REPLACE", Metadata={"m": "2"}
    )
    assert s3.head_object(Bucket=BUCKET, Key="a")["Metadata"] == {"m": "2"}
    copy = {"Bucket": BUCKET, "Key": "a", "CopySource": source}
    assert refused(s3.copy_object, **copy) == ("InvalidRequest", 400)
    assert refused(s3.copy_object, **copy, CopySourceIfMatch="0") == ("PreconditionFailed", 412)
    gone = {"Bucket": BUCKET, "Key": "gone"}
    assert refused(s3.copy_object, Bucket=BUCKET, Key="c", CopySource=gone)[0] == "NoSuchKey"
    taken = refused(
        s3.copy_object, Bucket="other-bucket", Key="b", CopySource=source, IfNoneMatch="*"
    )
    assert taken == ("PreconditionFailed", 412)


def test_tags(s3: Any) -> None:
    put(s3, "k")
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}]
    s3.put_object_tagging(Bucket=BUCKET, Key="k", Tagging={"TagSet": tags})
    assert s3.get_object_tagging(Bucket=BUCKET, Key="k")["TagSet"] == tags
    s3.delete_object_tagging(Bucket=BUCKET, Key="k")
    assert s3.get_object_tagging(Bucket=BUCKET, Key="k")["TagSet"] == []
    eleven = {"TagSet": [{"Key": str(number), "Value": ""} for number in range(11)]}
    assert refused(s3.put_object_tagging, Bucket=BUCKET, Key="k", Tagging=eleven)[0] == "BadRequest"
    assert refused(s3.get_object_tagging, Bucket=BUCKET, Key="gone") == ("NoSuchKey", 404)


def test_listing_pages_and_prefixes(s3: Any) -> None:
    names = ["a/1", "a/2", "b", "c/1/x", "c/2/y", "d"]
    for name in names:
        put(s3, name)
    pages = list(
        s3.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, PaginationConfig={"PageSize": 2}
        )
    )
    assert [len(page["Contents"]) for page in pages] == [2, 2, 2]
    assert [item["Key"] for page in pages for item in page["Contents"]] == names
    top = s3.list_objects_v2(Bucket=BUCKET, Delimiter="/")
    assert [p["Prefix"] for p in top["CommonPrefixes"]] == ["a/", "c/"]
    assert [item["Key"] for item in top["Contents"]] == ["b", "d"]
    assert top["KeyCount"] == 4
    below = s3.list_objects(Bucket=BUCKET, Prefix="c/", Delimiter="/", MaxKeys=1)
    assert below["CommonPrefixes"] == [{"Prefix": "c/1/"}]
    assert (below["IsTruncated"], below["NextMarker"]) == (True, "c/1/")
    after = s3.list_objects_v2(Bucket=BUCKET, StartAfter="b", MaxKeys=1)
    assert after["Contents"][0]["Key"] == "c/1/x"
    assert s3.list_objects_v2(Bucket=BUCKET, MaxKeys=0)["KeyCount"] == 0
    bad_token = refused(s3.list_objects_v2, Bucket=BUCKET, ContinuationToken="é")
    assert bad_token[0] == "InvalidArgument"
    versions = s3.list_object_versions(Bucket=BUCKET, Prefix="a/")["Versions"]
    assert [(v["Key"], v["VersionId"], v["IsLatest"]) for v in versions] == [
        ("a/1", "null", True),
        ("a/2", "null", True),
    ]


KEY = st.text(st.sampled_from("ab/é\U0001f415\x7f"), min_size=1, max_size=5)


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Objects]:
    store = Objects(tmp_path / "s3")
    yield store
    store.close()


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
@given(
    st.sets(KEY, max_size=12), KEY | st.just(""), st.sampled_from(["", "/", "a"]), st.integers(1, 4)
)
def test_pages_together_are_the_listing(
    objects: Objects, names: set[str], prefix: str, delimiter: str, size: int
) -> None:
    bucket = f"bucket-{time.monotonic_ns()}"
    for name in names:
        objects.put(bucket, name, b"")
    expected: list[str] = []
    for name in sorted(names):
        if name.startswith(prefix):
            end = name.find(delimiter, len(prefix)) if delimiter else -1
            item = name if end < 0 else name[: end + 1]
            if item not in expected[-1:]:
                expected.append(item)
    assert list(paged(objects, bucket, prefix, delimiter, size)) == expected


def paged(objects: Objects, bucket: str, prefix: str, delimiter: str, size: int) -> Iterator[str]:
    params: dict[str, Any] = {
        "Bucket": bucket,
        "Prefix": prefix,
        "Delimiter": delimiter,
        "MaxKeys": size,
    }
    caller = Caller(account_id="1", region="us-east-1", access_key_id="A")
    while True:
        request = Request(EnvironBuilder().get_environ())
        call = Call(params=params, request=request, caller=caller)
        values = ListOperations(objects).list_objects_v2(call).values
        items = [item["Key"] for item in values["Contents"]]
        items += [item["Prefix"] for item in values["CommonPrefixes"]]
        assert len(items) == values["KeyCount"] <= size
        yield from sorted(items)
        if not values["IsTruncated"]:
            return
        params["ContinuationToken"] = values["NextContinuationToken"]


@given(KEY)
def test_after_prefix_is_above_everything_with_the_prefix(prefix: str) -> None:
    after = after_prefix(prefix)
    assert after is not None
    assert after > prefix + "\U0010ffff"
    assert not after.startswith(prefix)
    assert after_prefix("\U0010ffff") is None
    assert after_prefix("\ud7ff") == "\ue000"


def test_multipart_upload_by_transfer(s3: Any, tmp_path: Path) -> None:
    data = os.urandom(12 * MB + 5)
    source = tmp_path / "big"
    source.write_bytes(data)
    config = TransferConfig(multipart_threshold=5 * MB, multipart_chunksize=5 * MB)
    s3.upload_file(str(source), BUCKET, "big", Config=config, ExtraArgs={"Metadata": {"a": "b"}})
    head = s3.head_object(Bucket=BUCKET, Key="big", ChecksumMode="ENABLED")
    parts = [data[at : at + 5 * MB] for at in range(0, len(data), 5 * MB)]
    digests = b"".join(md5(part).digest() for part in parts)
    assert head["ETag"] == f'"{md5(digests).hexdigest()}-3"'
    assert head["Metadata"] == {"a": "b"}
    crcs = b"".join(zlib.crc32(part).to_bytes(4, "big") for part in parts)
    assert head["ChecksumCRC32"] == checksum_of("CRC32", crcs) + "-3"
    assert head["ChecksumType"] == "COMPOSITE"
    s3.download_file(BUCKET, "big", str(tmp_path / "back"), Config=config)
    assert (tmp_path / "back").read_bytes() == data
    second = s3.get_object(Bucket=BUCKET, Key="big", PartNumber=2)
    assert second["Body"].read() == parts[1]
    assert second["PartsCount"] == 3
    s3.copy({"Bucket": BUCKET, "Key": "big"}, BUCKET, "copied", Config=config)
    assert read(s3, "copied") == data
    assert s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads") is None


def test_multipart_rules(s3: Any) -> None:
    where = {"Bucket": BUCKET, "Key": "k"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    etags = {
        number: s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=body)["ETag"]
        for number, body in ((1, b"a" * 5 * MB), (2, b"small"), (3, b"end"))
    }

    def complete(*numbers: int, **more: Any) -> Any:
        parts = [{"PartNumber": n, "ETag": etags.get(n, '"0"')} for n in numbers]
        return {"UploadId": upload, "MultipartUpload": {"Parts": parts}, **where, **more}

    finish = s3.complete_multipart_upload
    assert refused(finish, **complete(2, 1)) == ("InvalidPartOrder", 400)
    assert refused(finish, **complete(1, 9)) == ("InvalidPart", 400)
    assert refused(finish, **complete(1, 2, 3)) == ("EntityTooSmall", 400)
    assert refused(finish, **complete()) == ("MalformedXML", 400)
    listed = s3.list_parts(**where, UploadId=upload, MaxParts=2)
    assert [part["Size"] for part in listed["Parts"]] == [5 * MB, 5]
    assert (listed["IsTruncated"], listed["NextPartNumberMarker"]) == (True, 2)
    rest = s3.list_parts(**where, UploadId=upload, PartNumberMarker=2)
    assert [part["PartNumber"] for part in rest["Parts"]] == [3]
    assert s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"][0]["UploadId"] == upload
    put(s3, "k", b"taken")
    assert refused(finish, **complete(1, 3, IfNoneMatch="*")) == ("PreconditionFailed", 412)
    finish(**complete(1, 3))
    assert read(s3, "k") == b"a" * 5 * MB + b"end"
    assert refused(finish, **complete(1)) == ("NoSuchUpload", 404)


def test_an_aborted_upload_leaves_nothing(core: Client, s3: Any) -> None:
    where = {"Bucket": BUCKET, "Key": "k"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"part")
    s3.abort_multipart_upload(**where, UploadId=upload)
    gone = refused(s3.upload_part, **where, UploadId=upload, PartNumber=1, Body=b"part")
    assert gone == ("NoSuchUpload", 404)
    blobs = core.cloud.settings.state_dir / "s3" / "blobs"
    assert list(blobs.glob("??/*")) == []


def test_a_full_object_checksum_of_parts(s3: Any) -> None:
    where = {"Bucket": BUCKET, "Key": "k"}
    begun = s3.create_multipart_upload(
        **where, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
    )
    part = s3.upload_part(
        **where, UploadId=begun["UploadId"], PartNumber=1, Body=b"whole", ChecksumAlgorithm="CRC32"
    )
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    finish = {**where, "UploadId": begun["UploadId"], "MultipartUpload": parts}
    wrong = refused(s3.complete_multipart_upload, **finish, ChecksumCRC32="AAAAAA==")
    assert wrong == ("BadDigest", 400)
    done = s3.complete_multipart_upload(**finish)
    assert done["ChecksumCRC32"] == checksum_of("CRC32", b"whole")
    assert read(s3, "k", ChecksumMode="ENABLED") == b"whole"


@pytest.mark.parametrize("signature_version", ["s3", "s3v4"])
def test_presigned_urls(core: Client, s3: Any, signature_version: str) -> None:
    signer = core.client("s3", signature_version=signature_version)
    where = {"Bucket": BUCKET, "Key": "a b.txt"}
    url = signer.generate_presigned_url("put_object", Params=where)
    # The content type of a form has tricked S3 servers into storing nothing.
    form = "application/x-www-form-urlencoded"
    assert fetch(url, "PUT", b"a=1&b=2", Content_Type=form)[0] == 200
    url = signer.generate_presigned_url("get_object", Params=where)
    assert fetch(url) == (200, b"a=1&b=2")
    status, answer = fetch(signer.generate_presigned_url("get_object", Params=where, ExpiresIn=-10))
    assert (status, b"Request has expired" in answer) == (403, True)


def test_buckets_in_the_host_name(core: Client) -> None:
    host = {"Host": "named-bucket.localhost:4599"}
    assert raw(core, "PUT", "/", **host)[0] == 200
    assert raw(core, "PUT", "/a/b", b"data", **host)[0] == 200
    assert raw(core, "GET", "/a/b", **host) == (200, b"data")
    assert b"<Key>a/b</Key>" in raw(core, "GET", "/?list-type=2", **host)[1]
    assert core.client("s3").list_buckets()["Buckets"][0]["Name"] == "named-bucket"
    assert raw(core, "DELETE", "/", **host)[0] == 409
    assert raw(core, "DELETE", "/a/b", **host)[0] == 204
    assert raw(core, "DELETE", "/", **host)[0] == 204


def test_overrides_of_answer_headers(s3: Any) -> None:
    put(s3, "k")
    got = s3.get_object(Bucket=BUCKET, Key="k", ResponseContentType="text/plain")
    assert got["ContentType"] == "text/plain"


def test_a_bucket_with_objects_stays(s3: Any, core: Client) -> None:
    put(s3, "k")
    assert refused(s3.delete_bucket, Bucket=BUCKET) == ("BucketNotEmpty", 409)
    assert read(s3, "k") == b"x"
    s3.delete_object(Bucket=BUCKET, Key="k")
    s3.delete_bucket(Bucket=BUCKET)
    assert refused(s3.head_bucket, Bucket=BUCKET) == ("404", 404)
    assert core.cloud.parts.records.bucket_exists(BUCKET) is False


def test_what_is_not_kept_is_refused(s3: Any) -> None:
    more = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    missing = ("NotImplemented", 501)
    assert refused(s3.put_object, Bucket=BUCKET, Key="k", Body=b"", **more) == missing
    assert refused(s3.get_object_acl, Bucket=BUCKET, Key="k") == missing
    assert refused(s3.put_object, Bucket=BUCKET, Key="k", ACL="public-read")[1] == 400
    owner = {"ExpectedBucketOwner": "999999999999"}
    assert refused(s3.get_object, Bucket=BUCKET, Key="k", **owner) == ("AccessDenied", 403)


def test_unsigned_requests_are_refused(core: Client, s3: Any) -> None:
    put(s3, "k")
    assert fetch(f"{core.url}/{BUCKET}/k")[0] == 403


def test_too_long_keys_and_metadata(s3: Any) -> None:
    long_key = refused(s3.put_object, Bucket=BUCKET, Key="k" * 1025, Body=b"")
    assert long_key == ("KeyTooLongError", 400)
    metadata = {"a": "b" * 3000}
    assert refused(s3.put_object, Bucket=BUCKET, Key="k", Metadata=metadata)[1] == 400


def test_in_process_objects(objects: Objects, tmp_path: Path) -> None:
    etag = objects.put("b", "a/1", b"one")
    assert etag == md5(b"one").hexdigest()
    file = tmp_path / "two"
    file.write_bytes(b"two!")
    objects.put("b", "a/2", file)
    assert objects.get("b", "a/2") == b"two!"
    assert [(o.key, o.size) for o in objects.list("b", "a/")] == [("a/1", 3), ("a/2", 4)]
    assert (objects.exists("b", "a/1"), objects.exists("b", "x")) == (True, False)
    target = tmp_path / "deep" / "copy"
    objects.download("b", "a/1", target)
    target.write_bytes(b"scribble")
    assert objects.get("b", "a/1") == b"one"
    with pytest.raises(AwsError, match="NoSuchKey"):
        objects.get("b", "x")


def test_buckets_are_asked_for(tmp_path: Path) -> None:
    store = Objects(tmp_path / "s3", bucket_exists=lambda bucket: bucket == "known")
    store.put("known", "k", b"")
    for call in (lambda: store.put("other", "k", b""), lambda: store.list("other", "")):
        with pytest.raises(AwsError, match="NoSuchBucket"):
            call()
    assert store.exists("other", "k") is False
    store.close()


def test_leftovers_of_a_crash_are_swept(tmp_path: Path) -> None:
    first = Objects(tmp_path / "s3")
    first.put("b", "kept", b"kept")
    unnamed = first.blobs.receive(io.BytesIO(b"renamed, not in the index").read)
    first.blobs.keep(unnamed.blob_id)
    first.blobs.receive(io.BytesIO(b"not even renamed").read)
    first.close()
    again = Objects(tmp_path / "s3")
    assert again.get("b", "kept") == b"kept"
    assert len(list((tmp_path / "s3").glob("blobs/??/*"))) == 1
    assert list((tmp_path / "s3" / "incoming").iterdir()) == []
    again.close()


@pytest.mark.slow
def test_the_aws_command_line(core: Client, tmp_path: Path) -> None:
    environment = os.environ | {
        "AWS_ENDPOINT_URL": core.url,
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }

    def aws(*arguments: str) -> str:
        program = str(Path(sys.executable).with_name("aws"))
        done = subprocess.run(
            [program, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "a.txt").write_text("hello")
    (source / "sub" / "big").write_bytes(os.urandom(9 * MB))
    aws("s3", "mb", "s3://cli-bucket")
    aws("s3", "sync", str(source), "s3://cli-bucket/data/")
    assert "sub/" in aws("s3", "ls", "s3://cli-bucket/data/")
    aws("s3", "cp", "s3://cli-bucket/data/sub/big", str(tmp_path / "big"))
    assert (tmp_path / "big").read_bytes() == (source / "sub" / "big").read_bytes()
    aws("s3", "mv", "s3://cli-bucket/data/a.txt", "s3://cli-bucket/b.txt")
    head = json.loads(aws("s3api", "head-object", "--bucket", "cli-bucket", "--key", "b.txt"))
    assert head["ContentLength"] == 5
    aws("s3", "rb", "--force", "s3://cli-bucket")
    assert json.loads(aws("s3api", "list-buckets"))["Buckets"] == []
