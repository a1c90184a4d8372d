"""The one door to AWS: makes clients, performs calls, and translates what comes back.

`local` is localaws on a loopback port, `aws` the real thing. Nothing outside this module knows which.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from experiments.errors import CloudError
from experiments.records import Basis, Call

CloudName = Literal["local", "aws"]
_LOCAL_KEY = "localaws"


class Cloud(Protocol):
    """What every executor needs of a cloud. Tests hand in a working fake."""

    region: str
    basis: Basis

    @property
    def account_id(self) -> str: ...

    def ask(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """Make one request and return the answer's members. Raises CloudError."""

    def perform(self, call: Call) -> dict[str, Any]:
        """Make the request that a plan holds. Raises CloudError."""

    def pages(self, service: str, operation: str, member: str, **params: Any) -> list[Any]:
        """All items of `member` over every page of a listing."""

    def client(self, service: str) -> Any:
        """The boto3 client itself, for streams and transfers."""


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What a role's session signs with. Never shown."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a cloud is. `endpoint_url` is None for AWS itself.

    `keys` None: those of the shell on AWS, and the account's owner on this machine.
    """

    name: CloudName
    region: str
    endpoint_url: str | None
    keys: Keys | None = None


class Boto3Cloud:
    """A cloud reached by boto3. Clients are made once each and shared between threads.

    A call that may pass is made up to `attempts` times. `connections` go to a service at once.
    """

    def __init__(
        self,
        address: Address,
        *,
        session: Callable[[], Any] | None = None,
        attempts: int = 5,
        connections: int = 32,
    ) -> None:
        self.address = address
        self._attempts, self._connections = attempts, connections
        self.region = address.region
        self.basis = Basis.SIMULATED if address.endpoint_url else Basis.BILLED
        self._session = session or self._new_session
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._account: str | None = None

    def _new_session(self) -> Any:
        import boto3

        keys = self.address.keys
        if keys is not None:
            return boto3.session.Session(
                region_name=self.region,
                aws_access_key_id=keys.access_key_id,
                aws_secret_access_key=keys.secret_access_key,
                aws_session_token=keys.session_token,
            )
        if self.address.endpoint_url is None:
            return boto3.session.Session(region_name=self.region)
        return boto3.session.Session(
            region_name=self.region,
            aws_access_key_id=_LOCAL_KEY,
            aws_secret_access_key=_LOCAL_KEY,
        )

    def client(self, service: str) -> Any:
        from botocore.config import Config

        with self._lock:
            if service not in self._clients:
                config = Config(
                    retries={"mode": "standard", "total_max_attempts": self._attempts},
                    connect_timeout=5,
                    read_timeout=70,
                    max_pool_connections=self._connections,
                    # A proxy set for the world outside cannot reach this machine's loopback.
                    proxies={} if self.address.endpoint_url else None,
                    s3={"addressing_style": "path"} if self.address.endpoint_url else {},
                )
                self._clients[service] = self._session().client(
                    service, endpoint_url=self.address.endpoint_url, config=config
                )
            return self._clients[service]

    @property
    def account_id(self) -> str:
        if self._account is None:
            self._account = str(self.ask("sts", "get_caller_identity")["Account"])
        return self._account

    def ask(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: dict[str, Any] = getattr(self.client(service), operation)(**params)
        except (BotoCoreError, ClientError) as error:
            raise _translated(self.address, service, operation, error) from error
        return answer

    def perform(self, call: Call) -> dict[str, Any]:
        return self.ask(call.service, call.operation, **call.params)

    def pages(self, service: str, operation: str, member: str, **params: Any) -> list[Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            pages = self.client(service).get_paginator(operation).paginate(**params)
            return [item for page in pages for item in page.get(member, [])]
        except (BotoCoreError, ClientError) as error:
            raise _translated(self.address, service, operation, error) from error


def taking(cloud: Boto3Cloud, role_arn: str) -> Boto3Cloud:
    """The same cloud as a role sees it, for an hour. Raises CloudError."""
    session = {"RoleArn": role_arn, "RoleSessionName": "pedigree"}
    found = cloud.ask("sts", "assume_role", **session)["Credentials"]
    keys = Keys(
        access_key_id=found["AccessKeyId"],
        secret_access_key=found["SecretAccessKey"],
        session_token=found["SessionToken"],
    )
    return Boto3Cloud(replace(cloud.address, keys=keys))


def _translated(address: Address, service: str, operation: str, error: Exception) -> CloudError:
    from botocore.exceptions import ClientError, ParamValidationError

    if isinstance(error, ClientError):
        return _refused(service, operation, error.response)
    if isinstance(error, ParamValidationError):
        return CloudError(
            f"{service} {operation} was not sent: {error}",
            fix="report this; the request is not one that AWS knows",
            code="ParamValidation",
        )
    return _unreachable(address, service, operation, error)


_FIXES: Mapping[str, str] = {
    "403": "the bucket is another account's, or your AWS user lacks the permission for it",
    "AccessDenied": "give your AWS user the permission named above",
    "AccessDeniedException": "give your AWS user the permission named above",
    "ExpiredToken": "sign in to AWS again",
    "InvalidClientTokenId": "check the AWS credentials in this shell",
    "ResourceLimitExceeded": "ask AWS for a higher quota, or use another instance type",
    "ThrottlingException": "wait a minute and run the same command again",
}


def _refused(service: str, operation: str, response: Mapping[str, Any]) -> CloudError:
    error = response.get("Error", {})
    code = str(error.get("Code", "Unknown"))
    return CloudError(
        f"{service} {operation} was refused: {code}: {error.get('Message', '')}",
        fix=_FIXES.get(code, "see the message above; `pedigree doctor` checks the set-up"),
        code=code,
        members={k: v for k, v in response.items() if k not in ("Error", "ResponseMetadata")},
    )


def _unreachable(address: Address, service: str, operation: str, error: Exception) -> CloudError:
    if address.endpoint_url:
        fix = "start it with `pedigree cloud up`, or see why it stopped with `pedigree cloud logs`"
    else:
        fix = "check the network and that AWS credentials are set in this shell (`aws configure`)"
    return CloudError(f"{service} {operation} got no answer: {error}", fix=fix, code="Unreachable")


def images_complete(cloud: Cloud) -> bool:
    """Whether a host has every package that training needs, whatever image it names.

    localaws runs every program with this machine's packages; AWS's images lack OpenVINO.
    """
    return cloud.basis is Basis.SIMULATED


def is_code(error: CloudError, *codes: str) -> bool:
    """True if AWS gave one of these error codes."""
    return error.code in codes


_ROLE_WAITS_S = (1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0, 15.0)
_ROLE_WORDS = re.compile(
    r"[Cc]ould not assume|cannot be assumed|Invalid IAM Instance Profile"
    r"|not authorized to perform: sts:AssumeRole"
)


def perform_with_role(
    cloud: Cloud, call: Call, *, sleep: Callable[[float], None]
) -> dict[str, Any]:
    """Make a request that hands a role to a service, trying again while AWS does not know it yet.

    A role or profile can be taken up to a minute after it was made. Raises CloudError.
    """
    for wait_s in _ROLE_WAITS_S:
        try:
            return cloud.perform(call)
        except CloudError as error:
            if not _ROLE_WORDS.search(error.message):
                raise
        sleep(wait_s)
    return cloud.perform(call)
