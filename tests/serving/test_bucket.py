"""Photographs from S3: signed as botocore signs, from listed buckets, with the container's keys."""

import asyncio
import json
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.errors import RequestError, SettingError
from serving.inputs.bucket import BucketFetcher, BucketSettings, address_of, read_credentials
from serving.inputs.exchange import Answer, ExchangeError
from serving.inputs.signature import Credentials, quoted_path, signed_headers
from tests.serving.builders import drawn, encoded
from tests.serving.https_hosts import Web, answer, web

PHOTO = encoded(drawn())
KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
NOW = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)


@settings(max_examples=60, deadline=None)
@given(key=st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=30))
def test_signatures_are_those_of_botocore(key: str) -> None:
    host = "bucket.s3.eu-west-1.amazonaws.com"
    path = quoted_path(f"/{key}")
    ours = signed_headers(
        host, path, Credentials(key_id="AKID", secret="s", token="t"), region="eu-west-1", now=NOW
    )
    theirs = AWSRequest("GET", f"https://{host}{path}", headers={"X-Amz-Date": ours["x-amz-date"]})
    theirs.context["timestamp"] = ours["x-amz-date"]
    theirs.headers["X-Amz-Security-Token"] = "t"
    theirs.headers["X-Amz-Content-SHA256"] = ours["x-amz-content-sha256"]
    signer = S3SigV4Auth(BotoCredentials("AKID", "s", "t"), "s3", "eu-west-1")
    canonical = signer.canonical_request(theirs)
    signature = signer.signature(signer.string_to_sign(theirs, canonical), theirs)
    assert ours["authorization"].endswith(f"Signature={signature}")


def fetched(
    pages: dict[str, bytes], uri: str, buckets: str = "dogs, more.dogs"
) -> tuple[bytes | RequestError, Web]:
    async def scene() -> tuple[bytes | RequestError, Web]:
        async with web(pages, None) as host:
            env = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{host.port}", **KEYS}
            given = BucketSettings.of({"PEDIGREE_S3_BUCKETS": buckets, **env})
            try:
                return await BucketFetcher(given, env).fetch(uri), host
            except RequestError as error:
                return error, host

    return asyncio.run(scene())


def test_an_object_is_fetched_signed() -> None:
    found, host = fetched({"/dogs/a%20b/%C3%A9.jpg": answer(PHOTO)}, "s3://dogs/a b/é.jpg")
    assert found == PHOTO
    assert "AWS4-HMAC-SHA256 Credential=AKID/" in host.seen[0]
    assert "x-amz-security-token: t" in host.seen[0].lower()


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("s3://cats/a.jpg", "s3_bucket_not_allowed"),
        ("s3://dogs/", "s3_malformed"),
        ("s3://dogs", "s3_malformed"),
        ("s3:dogs/a", "s3_malformed"),
        ("https://dogs/a", "s3_malformed"),
        ("s3://dogs/../cats/a", "s3_malformed"),
        ("s3://dogs/./a", "s3_malformed"),
        ("s3://dogs/a\nb", "s3_malformed"),
        ("s3://dogs/\ud800", "s3_malformed"),
        (f"s3://dogs/{'a' * 1025}", "s3_malformed"),
        ("s3://169.254.169.254/latest", "s3_bucket_not_allowed"),
        ("s3://dogs@evil.example/a", "s3_bucket_not_allowed"),
    ],
)
def test_what_is_not_allowed_is_never_asked_for(uri: str, code: str) -> None:
    found, host = fetched({}, uri)
    assert isinstance(found, RequestError) and found.code == code and found.fix
    assert host.accepted == 0


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found", "301 Moved", "500 Oops"])
def test_what_s3_refuses_is_a_clients_error(status: str) -> None:
    found, _ = fetched({"/dogs/a": answer(b"", status)}, "s3://dogs/a")
    assert isinstance(found, RequestError)
    assert (found.status, found.code) == (422, "s3_status") and status[:3] in found.message


def test_without_a_bucket_or_a_role_it_is_refused_with_the_setting() -> None:
    found, _ = fetched({}, "s3://dogs/a", buckets="")
    assert isinstance(found, RequestError) and "PEDIGREE_S3_BUCKETS" in found.fix
    no_role = BucketFetcher(BucketSettings(buckets=frozenset(["dogs"])), {})
    with pytest.raises(RequestError) as caught:
        asyncio.run(no_role.fetch("s3://dogs/a"))
    assert caught.value.code == "s3_no_role"


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"PEDIGREE_S3_BUCKETS": "Not_A_Bucket"}, "PEDIGREE_S3_BUCKETS"),
        ({"AWS_REGION": "nowhere"}, "AWS_REGION"),
        ({"AWS_ENDPOINT_URL": "ftp://x"}, "AWS_ENDPOINT_URL"),
    ],
)
def test_settings_that_cannot_be_used_are_named(env: dict[str, str], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        BucketSettings.of(env)


def test_keys_are_never_shown() -> None:
    text = repr(Credentials(key_id="AKIDSECRET", secret="hidden", token="hidden"))
    assert "hidden" not in text and "SECRET" not in text


def test_a_host_is_the_buckets_own_where_its_certificate_covers_it() -> None:
    plain, dotted = (
        address_of(BucketSettings(region="eu-west-1"), bucket, "k", None)
        for bucket in ("dogs", "more.dogs")
    )
    assert (plain[1], plain[2]) == ("dogs.s3.eu-west-1.amazonaws.com", "/k")
    assert (dotted[1], dotted[2]) == ("s3.eu-west-1.amazonaws.com", "/more.dogs/k")
    assert urlsplit(f"https://{plain[1]}").hostname == plain[0].name


def test_the_containers_credentials_are_read() -> None:
    content = {
        "AccessKeyId": "AKID",
        "SecretAccessKey": "s",
        "Token": "t",
        "Expiration": "2026-11-22T23:00:00Z",
    }
    read = read_credentials(Answer(status=200, headers={}, body=json.dumps(content).encode()))
    assert (read.key_id, read.token, read.expires_at) == ("AKID", "t", NOW.timestamp())
    with pytest.raises(ExchangeError):
        read_credentials(Answer(status=200, headers={}, body=b"[]"))
