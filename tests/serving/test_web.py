"""Photographs by URL: what is fetched, how, and the many things that are not."""

import asyncio
import ipaddress
import json
from collections.abc import Sequence

import pytest

from serving.errors import RequestError, SettingError
from serving.inputs.addresses import is_public
from serving.inputs.web import WebFetcher, WebLimits, is_host
from serving.settings import Settings
from tests.serving.builders import Got, call, drawn, encoded, make_app, one
from tests.serving.https_hosts import Trust, Web, answer, loopback_is_public, redirect, trust, web

HOST = "photos.example"
PHOTO = encoded(drawn())


def fetcher(
    host: Web, safe: Trust, *, name: str = HOST, limits: WebLimits | None = None
) -> WebFetcher:
    return WebFetcher(
        frozenset([name]),
        limits=limits,
        resolve=host.resolve,
        may_connect=loopback_is_public,
        tls=safe.client,
    )


def fetched(
    pages: dict[str, bytes], url: str, limits: WebLimits | None = None
) -> tuple[bytes | RequestError, Web]:
    """The bytes or the refusal, and the host with what it saw."""

    async def scene() -> tuple[bytes | RequestError, Web]:
        safe = trust(HOST)
        async with web(pages, safe.server) as host:
            try:
                return await fetcher(host, safe, limits=limits).fetch(url), host
            except RequestError as error:
                return error, host

    return asyncio.run(scene())


def code(found: bytes | RequestError) -> str:
    assert isinstance(found, RequestError), "it was fetched"
    assert 400 <= found.status < 500 and found.fix
    return found.code


def test_a_photo_is_fetched_with_the_hosts_name_and_without_a_proxy() -> None:
    found, host = fetched({"/a.jpg?w=1": answer(PHOTO)}, f"https://{HOST}/a.jpg?w=1#part")
    assert found == PHOTO
    assert f"host: {HOST}" in host.seen[0].lower() and host.accepted == 1


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 T", "308 P"])
def test_redirects_within_the_allowed_hosts_are_followed(status: str) -> None:
    pages = {"/a": redirect("/b?x=1#y", status), "/b?x=1": answer(PHOTO)}
    assert fetched(pages, f"https://{HOST}/a")[0] == PHOTO


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("http://photos.example/b", "url_malformed"),
        ("https://elsewhere.example/b", "url_host_not_allowed"),
        ("https://127.0.0.1/b", "url_host_not_allowed"),
        ("https://169.254.169.254/latest/meta-data/", "url_host_not_allowed"),
        ("file:///etc/passwd", "url_malformed"),
        ("//elsewhere.example/b", "url_host_not_allowed"),
        ("https://photos.example:8443/b", "url_host_not_allowed"),
        ("https://me@photos.example/b", "url_malformed"),
        ("https://[::1/", "url_malformed"),
        ("/a", "url_redirects"),
    ],
)
def test_every_redirect_is_checked_like_the_first_address(to: str, expected: str) -> None:
    found, _ = fetched({"/a": redirect(to), "/b": answer(PHOTO)}, f"https://{HOST}/a")
    assert code(found) == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (answer(b"x" * 2000), "url_too_many_bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000, "url_too_many_bytes"),
        (answer(b"", "404 Not Found"), "url_status"),
        (answer(b"", "204 No Content"), "url_status"),
        (answer(b"", "302 Found"), "url_status"),
        (answer(b"z", "200 OK", "Content-Encoding: gzip"), "url_encoding"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", "url_unreachable"),
        (b"hello", "url_unreachable"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000, "url_unreachable"),
        (b"HTTP/1.1 200 OK\r\nx-stall: 1\r\nContent-Length: 5\r\n\r\n", "url_timeout"),
        (b"x-stall", "url_timeout"),
    ],
)
def test_a_host_that_behaves_badly_is_left(page: bytes, expected: str) -> None:
    found, _ = fetched({"/a": page}, f"https://{HOST}/a", WebLimits(max_bytes=1000, timeout_s=0.4))
    assert code(found) == expected


def test_the_certificate_must_be_the_hosts() -> None:
    async def scene() -> str:
        safe = trust("somebody.else")
        async with web({"/a": answer(PHOTO)}, safe.server) as host:
            with pytest.raises(RequestError) as caught:
                await fetcher(host, safe).fetch(f"https://{HOST}/a")
            assert host.seen == []
        return caught.value.code

    assert asyncio.run(scene()) == "url_unreachable"


@pytest.mark.parametrize("addresses", [("10.0.0.1",), ("93.184.216.34", "127.0.0.1"), ("::1",)])
def test_a_name_that_leads_inside_is_not_connected_to(addresses: Sequence[str]) -> None:
    async def resolve(_host: str, port: int) -> Sequence[tuple[str, int]]:
        return [(address, port) for address in addresses]

    closed = WebFetcher(frozenset([HOST]), resolve=resolve, tls=trust(HOST).client)
    with pytest.raises(RequestError) as caught:
        asyncio.run(closed.fetch(f"https://{HOST}/a"))
    assert (caught.value.status, caught.value.code) == (403, "url_address_not_public")


def test_an_address_that_changes_between_check_and_use_does_not_matter() -> None:
    """The name is looked up once for a request; the second answer would be an inner address."""
    asked: list[str] = []

    async def scene() -> bytes:
        safe = trust(HOST)
        async with web({"/a": answer(PHOTO)}, safe.server) as host:

            async def resolve(name: str, port: int) -> Sequence[tuple[str, int]]:
                asked.append(name)
                return await host.resolve(name, port) if len(asked) == 1 else [("10.0.0.1", port)]

            return await WebFetcher(
                frozenset([HOST]),
                resolve=resolve,
                may_connect=loopback_is_public,
                tls=safe.client,
            ).fetch(f"https://{HOST}/a")

    assert asyncio.run(scene()) == PHOTO and asked == [HOST]


def test_nothing_is_fetched_unless_a_host_is_listed() -> None:
    with pytest.raises(RequestError, match="PEDIGREE_URL_HOSTS") as caught:
        asyncio.run(WebFetcher(frozenset()).fetch(f"https://{HOST}/a"))
    assert caught.value.code == "url_not_enabled"


def test_the_well_known_test_event_is_answered() -> None:
    """The event that tutorials of this kind send, byte for byte, through the whole app."""
    host = "s3.amazonaws.com"
    path = "/cdn-origin-etr.akc.org/wp-content/uploads/2017/11/20113314/Carolina-Dog-standing-outdoors.jpg"
    event = json.dumps({"url": f"https://{host}{path}"}).encode()

    async def scene() -> Got:
        safe = trust(host)
        async with web({path: answer(PHOTO)}, safe.server) as running:
            app, _ = make_app(web=fetcher(running, safe, name=host))
            return await call(app, parts=[event], kind="application/json")

    got = asyncio.run(scene())
    assert got.status == 200
    assert got.body["predictions"][0]["label"] == "red"
    closed, _ = make_app()
    refused = one(closed, parts=[event], kind="application/json")
    assert "PEDIGREE_URL_HOSTS" in refused.body["error"]["fix"]


@pytest.mark.parametrize(
    "text",
    [
        *("8.8.8.8", "1.1.1.1", "93.184.216.34", "172.15.0.1", "172.32.0.1", "192.167.1.1"),
        *("100.63.0.1", "100.128.0.1", "223.255.255.255", "2606:4700::1111", "2a00:1450::5"),
    ],
)
def test_public_addresses(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.9.9.9", "169.254.169.254"),
        *("169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.168.1.1"),
        *(
            "192.88.99.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
        ),
        *("::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b:1::1"),
        *("100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "fc00::1", "fd00:ec2::254"),
        *("fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "3fff::1", "5f00::1", "4000::1"),
    ],
)
def test_addresses_that_are_not(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


def test_hosts_are_listed_by_their_full_names_only() -> None:
    assert Settings.of({"PEDIGREE_URL_HOSTS": "a.example, b.example"}).url_hosts == {
        "a.example",
        "b.example",
    }
    for wrong in ("localhost", "*.example", "1.2.3.4", "https://a.example", "A.example", "a.b."):
        assert not is_host(wrong)
        with pytest.raises(SettingError, match="PEDIGREE_URL_HOSTS"):
            Settings.of({"PEDIGREE_URL_HOSTS": wrong})
