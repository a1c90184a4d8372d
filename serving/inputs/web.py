"""Photographs from the web: allowed hosts, https and public addresses only.

The address that was checked is the one connected to; every redirect is checked like a new request.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import urljoin, urlsplit

from serving.errors import RequestError
from serving.inputs.addresses import Address, is_public
from serving.inputs.exchange import Answer, AnswerTooLarge, ExchangeError, Peer, get

SETTING: Final = "PEDIGREE_URL_HOSTS"
Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[tuple[str, int]]]]
"""Host and port to the addresses (IP, port) that answer for it. Raises OSError."""

_HOST = re.compile(r"(?!.*\.\d+$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")
_WRITTEN = re.compile(r"[!-\[\]-~]+")  # printable ASCII without space and backslash
_MAX_URL_CHARS = 2048
_HTTPS_PORT = 443
_REDIRECTS = (301, 302, 303, 307, 308)


def is_host(text: str) -> bool:
    """Whether `text` is a full host name in lower case: no IP address, no port, no dot at the end."""
    return len(text) <= 253 and _HOST.fullmatch(text) is not None


@dataclass(frozen=True, kw_only=True)
class WebLimits:
    """What one photograph from the web may take, redirects included."""

    max_bytes: int = 10_000_000
    timeout_s: float = 5.0
    max_redirects: int = 3
    at_once: int = 8


async def look_up(host: str, port: int) -> Sequence[tuple[str, int]]:
    """The system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(str(place[0]), int(place[1])) for *_, place in found]


class WebFetcher:
    """Fetches from `hosts`; an empty set refuses everything. One event loop only."""

    def __init__(
        self,
        hosts: frozenset[str],
        *,
        limits: WebLimits | None = None,
        resolve: Resolve = look_up,
        may_connect: Callable[[Address], bool] = is_public,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._hosts = hosts
        self._limits = limits or WebLimits()
        self._resolve = resolve
        self._may_connect = may_connect
        self._tls = tls or (ssl.create_default_context() if hosts else None)
        self._places = asyncio.Semaphore(self._limits.at_once)

    async def fetch(self, url: str) -> bytes:
        """The bytes behind `url`. Raises RequestError; codes begin with `url_`."""
        self._host_of(url)  # what can be refused at once does not wait for a place
        try:
            async with asyncio.timeout(self._limits.timeout_s), self._places:
                return await self._follow(url)
        except TimeoutError:
            limit = self._limits.timeout_s
            raise _refusal(
                "url_timeout", f"the photo did not arrive within {limit:g} s", "send the photo"
            ) from None

    async def _follow(self, url: str) -> bytes:
        for _ in range(self._limits.max_redirects + 1):
            answer = await self._get(url)
            if answer.status == 200:
                return _plain_body(answer)
            if answer.status not in _REDIRECTS or not answer.headers.get("location"):
                raise _refusal(
                    "url_status", f"the host answered {answer.status}", "check the address"
                )
            url = _absolute(url, answer.headers["location"])
        raise _refusal("url_redirects", "too many redirects", "give the photo's own address")

    async def _get(self, url: str) -> Answer:
        host = self._host_of(url)
        address, port = await self._checked_address(host)
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {
            "Host": host,
            "Accept": "image/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
            "User-Agent": "pedigree-serving",
        }
        peer = Peer(name=host, address=address, port=port, tls=self._tls)
        try:
            return await get(peer, target, headers, max_bytes=self._limits.max_bytes)
        except AnswerTooLarge as error:
            raise RequestError(
                413, "url_too_many_bytes", str(error), "use a smaller photo"
            ) from error
        except ExchangeError as error:
            raise _refusal("url_unreachable", f"{host}: {error}", "check the address") from error

    def _host_of(self, url: str) -> str:
        """The allowed host of a well-formed URL, before anything is looked up."""
        if not self._hosts:
            raise RequestError(
                400,
                "url_not_enabled",
                "fetching a photo by URL is not enabled on this server",
                f"send the photo itself, or let the operator list its host in {SETTING}",
            )
        if len(url) > _MAX_URL_CHARS or not _WRITTEN.fullmatch(url):
            raise _malformed("it has spaces, control or other characters, or is too long")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise _malformed(str(error)) from error
        if parts.scheme != "https":
            raise _malformed("only https is fetched")
        if "@" in parts.netloc:
            raise _malformed("it has a user name")
        if host not in self._hosts or port not in (None, _HTTPS_PORT):
            raise RequestError(
                403,
                "url_host_not_allowed",
                f"{parts.netloc[:200]!r} is not among the hosts that photos are fetched from",
                f"let the operator list the host in {SETTING} (port {_HTTPS_PORT} only)",
            )
        return host

    async def _checked_address(self, host: str) -> tuple[str, int]:
        """The first address of a host, all of whose addresses are public."""
        try:
            places = await self._resolve(host, _HTTPS_PORT)
            addresses = [ipaddress.ip_address(place[0]) for place in places]
        except (OSError, ValueError, UnicodeError) as error:
            raise _refusal("url_unreachable", f"{host} has no address", "check it") from error
        if not addresses:
            raise _refusal("url_unreachable", f"{host} has no address", "check it")
        if not all(map(self._may_connect, addresses)):
            raise RequestError(
                403,
                "url_address_not_public",
                f"{host} leads to an address that is not public",
                "use a host on the internet, or send the photo itself",
            )
        return str(addresses[0]), places[0][1]


def _plain_body(answer: Answer) -> bytes:
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise _refusal("url_encoding", "the host sent the photo compressed", "send the photo")
    return answer.body


def _absolute(url: str, location: str) -> str:
    try:
        return urljoin(url, location).partition("#")[0]
    except ValueError as error:
        raise _malformed(f"the redirect leads nowhere ({error})") from error


def _refusal(code: str, message: str, fix: str) -> RequestError:
    return RequestError(422, code, message, fix)


def _malformed(reason: str) -> RequestError:
    return RequestError(
        400, "url_malformed", f"the URL cannot be fetched: {reason}", "use https://host/path"
    )
