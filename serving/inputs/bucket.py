"""Photographs from S3, read with the role of the instance from allowed buckets only."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from serving.errors import RequestError, SettingError
from serving.inputs.exchange import Answer, AnswerTooLarge, ExchangeError, Peer, get
from serving.inputs.signature import Credentials, quoted_path, signed_headers

SETTING: Final = "PEDIGREE_S3_BUCKETS"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_CONTAINER_HOST = "169.254.170.2"
_MAX_KEY_BYTES = 1024
_MAX_CREDENTIALS_BYTES = 65_536
_RENEW_S = 300


@dataclass(frozen=True, kw_only=True)
class BucketSettings:
    """Where S3 is and whose photographs are read. `endpoint` is "" for AWS's own."""

    buckets: frozenset[str] = frozenset()
    region: str = "us-east-1"
    endpoint: str = ""
    max_bytes: int = 10_000_000
    timeout_s: float = 5.0
    at_once: int = 8

    @classmethod
    def of(cls, env: Mapping[str, str]) -> BucketSettings:
        """From the variables that the AWS SDKs read. Raises SettingError."""
        buckets = frozenset(env.get(SETTING, "").replace(",", " ").split())
        region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or "us-east-1"
        endpoint = env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL") or ""
        wrong = [name for name in buckets if not _BUCKET.fullmatch(name)]
        if wrong:
            raise SettingError(f"{SETTING} has {wrong[0]!r}", fix="list bucket names with commas")
        if not _REGION.fullmatch(region):
            raise SettingError(f"AWS_REGION is {region!r}", fix="use a region such as us-east-1")
        parts = urlsplit(endpoint)
        if endpoint and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise SettingError(f"AWS_ENDPOINT_URL is {endpoint!r}", fix="use https://host:port")
        return cls(buckets=buckets, region=region, endpoint=endpoint)


class BucketFetcher:
    """Fetches `s3://bucket/key`; no allowed bucket refuses everything. One event loop only."""

    def __init__(
        self,
        settings: BucketSettings,
        env: Mapping[str, str],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._env = env
        self._clock = clock
        self._tls = ssl.create_default_context() if settings.buckets else None
        self._places = asyncio.Semaphore(settings.at_once)
        self._kept: Credentials | None = None

    async def fetch(self, uri: str) -> bytes:
        """The object's bytes. Raises RequestError; codes begin with `s3_`."""
        bucket, key = self._place_of(uri)
        try:
            async with asyncio.timeout(self._settings.timeout_s), self._places:
                return self._body(await self._get(bucket, key))
        except TimeoutError:
            raise _refusal("s3_timeout", "S3 did not answer in time", "try again") from None
        except AnswerTooLarge as error:
            raise RequestError(
                413, "s3_too_many_bytes", str(error), "use a smaller photo"
            ) from error
        except ExchangeError as error:
            raise _refusal("s3_unreachable", f"S3: {error}", "try again") from error

    def _place_of(self, uri: str) -> tuple[str, str]:
        if not self._settings.buckets:
            raise RequestError(
                400,
                "s3_not_enabled",
                "reading photos from S3 is not enabled on this server",
                f"send the photo itself, or let the operator list its bucket in {SETTING}",
            )
        scheme, _, rest = uri.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme != "s3" or not key or not _is_key(key):
            raise RequestError(
                400, "s3_malformed", "the S3 address cannot be read", "use s3://bucket/key"
            )
        if bucket not in self._settings.buckets:
            raise RequestError(
                403,
                "s3_bucket_not_allowed",
                f"{bucket[:80]!r} is not among the buckets that photos are read from",
                f"let the operator list the bucket in {SETTING}",
            )
        return bucket, key

    async def _get(self, bucket: str, key: str) -> Answer:
        credentials = await self._credentials()
        peer, host, path = address_of(self._settings, bucket, key, self._tls)
        now = datetime.fromtimestamp(self._clock(), UTC)
        headers = signed_headers(host, path, credentials, region=self._settings.region, now=now)
        return await get(peer, path, headers, max_bytes=self._settings.max_bytes)

    def _body(self, answer: Answer) -> bytes:
        if answer.status == 200:
            return answer.body
        meaning = {
            301: "the bucket is in another region",
            307: "the bucket is in another region",
            403: "the endpoint's role may not read it",
            404: "there is no such object",
        }.get(answer.status, "S3 refused")
        raise _refusal("s3_status", f"{meaning} ({answer.status})", "check bucket, key and role")

    async def _credentials(self) -> Credentials:
        kept = self._kept
        if kept is None or kept.expires_at < self._clock() + _RENEW_S:
            kept = self._kept = _from_environment(self._env) or await self._from_container()
        return kept

    async def _from_container(self) -> Credentials:
        """The role's keys from the address that SageMaker and ECS give to a container."""
        path = self._env.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "")
        if not path.startswith("/"):
            raise _refusal(
                "s3_no_role", "the server has no AWS credentials", "give the endpoint a role"
            )
        peer = Peer(name=_CONTAINER_HOST, address=_CONTAINER_HOST, port=80, tls=None)
        headers = {"Host": _CONTAINER_HOST, "Accept": "application/json"}
        answer = await get(peer, path, headers, max_bytes=_MAX_CREDENTIALS_BYTES)
        return read_credentials(answer)


def _is_key(key: str) -> bool:
    try:
        raw = key.encode()
    except UnicodeEncodeError:
        return False
    segments = key.split("/")
    return len(raw) <= _MAX_KEY_BYTES and key.isprintable() and not {".", ".."} & {*segments}


def address_of(
    settings: BucketSettings, bucket: str, key: str, tls: ssl.SSLContext | None
) -> tuple[Peer, str, str]:
    """Peer, Host header and path: the bucket in the host where its certificate allows that."""
    if settings.endpoint:
        parts = urlsplit(settings.endpoint)
        name = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        used = tls if parts.scheme == "https" else None
        path = quoted_path(f"/{bucket}/{key}")
        return Peer(name=name, address=name, port=port, tls=used), parts.netloc, path
    suffix = "amazonaws.com.cn" if settings.region.startswith("cn-") else "amazonaws.com"
    name = f"s3.{settings.region}.{suffix}"
    if "." in bucket:
        return (
            Peer(name=name, address=name, port=443, tls=tls),
            name,
            quoted_path(f"/{bucket}/{key}"),
        )
    name = f"{bucket}.{name}"
    return Peer(name=name, address=name, port=443, tls=tls), name, quoted_path(f"/{key}")


def _from_environment(env: Mapping[str, str]) -> Credentials | None:
    key_id, secret = env.get("AWS_ACCESS_KEY_ID"), env.get("AWS_SECRET_ACCESS_KEY")
    if not key_id or not secret:
        return None
    return Credentials(key_id=key_id, secret=secret, token=env.get("AWS_SESSION_TOKEN", ""))


def read_credentials(answer: Answer) -> Credentials:
    """What the container's credentials address said. Raises ExchangeError."""
    try:
        content = json.loads(answer.body)
        expires = datetime.fromisoformat(content["Expiration"].replace("Z", "+00:00"))
        return Credentials(
            key_id=content["AccessKeyId"],
            secret=content["SecretAccessKey"],
            token=content.get("Token", ""),
            expires_at=expires.timestamp(),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExchangeError(
            f"the container's credentials cannot be read ({answer.status})"
        ) from error


def _refusal(code: str, message: str, fix: str) -> RequestError:
    return RequestError(422, code, message, fix)
