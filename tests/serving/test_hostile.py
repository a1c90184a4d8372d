"""Hostile bodies and URLs: every one a 4xx, and not one connection to where none may go."""

import asyncio
import base64
import json
import random
import resource
import socket
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from PIL import Image

from serving.http.app import App
from serving.inputs.web import WebFetcher
from serving.preprocess import ImageError, Limits, load
from tests.serving.builders import (
    TRANSFORM,
    Got,
    call,
    drawn,
    encoded,
    make_app,
    shared_data,
)

JSON = "application/json"
JPEG, PNG, WEBP = (encoded(drawn(), kind) for kind in ("JPEG", "PNG", "WEBP"))
PHOTO = base64.b64encode(JPEG).decode()
Case = tuple[str, bytes]


def png(width: int, height: int, *, depth: int = 8, colour: int = 2, data: bytes = b"") -> bytes:
    """A PNG whose header says what is asked; the data need not fit."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def webp(kind: bytes, rest: bytes) -> bytes:
    body = b"WEBP" + kind + struct.pack("<I", len(rest)) + rest
    return b"RIFF" + struct.pack("<I", len(body)) + body


def truncated() -> Iterator[Case]:
    """Photographs that end too early; a WebP is whole or nothing, too."""
    for whole in (JPEG, PNG, WEBP):
        for cut in (1, 2, 4, 8, 12, 16, 20, 30, 60, 100, 200, 300, 400, len(whole) // 2):
            yield "image/jpeg", whole[:cut]


def giants() -> Iterator[Case]:
    """Headers that promise more than may be held."""
    for side in (8000, 20_000, 65_535, 2**31 - 1, 2**32 - 1):
        yield "image/png", png(side, side)
        yield "image/png", png(side, side, depth=16, colour=6)
    yield "image/png", png(1, 2**31 - 1)
    yield "image/png", png(2**31 - 1, 1)
    yield "image/png", png(0, 0)
    yield "image/png", png(10, 0)
    for side in (8000, 16_383, 2**24 - 1):
        yield (
            "image/webp",
            webp(b"VP8X", b"\0\0\0\0" + (side - 1).to_bytes(3, "little") * 2 + b"\0" * 40),
        )
        short = min(side, 16_383)
        packed = (short | short << 14).to_bytes(4, "little")
        yield "image/webp", webp(b"VP8L", b"\x2f" + packed + b"\0" * 40)
        yield (
            "image/webp",
            webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", short, short) + b"\0" * 40),
        )
    for side in (20_000, 65_500):
        frame = (
            b"\xff\xc0\x00\x11\x08"
            + struct.pack(">HH", side, side)
            + b"\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01"
        )
        yield (
            "image/jpeg",
            b"\xff\xd8\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0" + frame + b"\xff\xd9",
        )


def strangers() -> Iterator[Case]:
    """Other formats, by whatever name."""
    for kind in ("GIF", "BMP", "TIFF", "PPM", "ICO", "TGA", "PCX", "DIB", "SGI", "EPS", "PDF"):
        yield "image/jpeg", encoded(drawn(), kind)
    for text in (
        *(
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>&e;",
        ),
        *(
            b"<html><script>alert(1)</script>",
            b"%PDF-1.7",
            b"%!PS-Adobe",
            b"PK\x03\x04",
            b"\x1f\x8b\x08",
            b"\x7fELF",
            b"MZ",
        ),
        *(
            b"#!/bin/sh\nid",
            b"\0" * 1000,
            b"\xff" * 1000,
            b"\0\0\0\x18ftypheic",
            b"\0\0\0\x1cftypavif",
            b"P6 99999 99999 255\n",
        ),
        *(
            b"\x00\x00\x01\x00",
            b"II*\x00\xff\xff\xff\xff",
            b"8BPS",
            b"gimp xcf",
            b"\x80\x04\x95cos\nsystem\n(S'id'\ntR.",
        ),
    ):
        yield "image/png", text
    frames = [drawn(seed=at) for at in range(3)]
    for kind in ("WEBP", "PNG"):
        yield "image/webp", encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    for kind in (
        "text/plain",
        "",
        "image/gif",
        "image/svg+xml",
        "multipart/form-data; boundary=x",
        "application/x-npy",
        "application/octet-stream",
        "*/*",
        "image/*",
        "\xff",
    ):
        yield kind, JPEG


def damaged() -> Iterator[Case]:
    """Photographs with something broken inside."""
    yield "image/png", PNG.replace(b"IDAT", b"IDAX")
    yield "image/png", png(10, 10, data=b"short")
    yield "image/png", png(10, 10, depth=3)
    yield "image/png", png(10, 10, colour=5)
    yield "image/jpeg", JPEG[:2] + JPEG[4:]
    yield "image/jpeg", JPEG[:2] + b"\xff" * 200
    yield "image/jpeg", JPEG.replace(b"\xff\xc0", b"\xff\xc3")
    yield "image/jpeg", JPEG.replace(b"\xff\xda", b"\xff\x01")
    yield "image/webp", WEBP[:20] + b"\0" * (len(WEBP) - 20)
    yield "image/jpeg", b""


def objects() -> Iterator[Case]:
    """JSON that is none, or names no photograph that may be had."""
    texts = (
        *(
            b"",
            b"{",
            b"}",
            b"null",
            b"true",
            b"1",
            b'"x"',
            b"[]",
            b"{}",
            b"[{}]",
            b"NaN",
            b"{'image': 1}",
        ),
        *(
            b'{"image"}',
            b'{"image":}',
            b"\xff\xfe{\x00",
            b"\x00",
            b"[" * 5000,
            b'{"a":' * 5000,
            b"1" * 5000,
            b"-" * 99,
        ),
        *(
            b'{"image": "\\ud800"}',
            b'{"image": "\\u0000"}',
            b'{"url": "\\ud800"}',
            b'{"s3": "\\ud800"}',
        ),
        *(
            b'{"image": 1e999}',
            b'{"images": NaN}',
            b"\xef\xbb\xbf{",
            b'{"image": "%s"}' % (b"A" * 7),
        ),
    )
    yield from ((JSON, text) for text in texts)
    values: tuple[Any, ...] = (
        None,
        True,
        1,
        1.5,
        [],
        {},
        [PHOTO],
        {"b64": PHOTO},
        "",
        " ",
        "%",
        "A",
        "data:,x",
        "ä",
        "A" * 100,
    )
    for value in values:
        yield JSON, json.dumps({"image": value}).encode()
        yield JSON, json.dumps({"images": [value]}).encode()
    for way in ("url", "s3"):
        for value in (None, 1, [], {}, ["x"], "", "x", "/etc/passwd", "../../x"):
            yield JSON, json.dumps({way: value}).encode()
    for both in (
        {"image": PHOTO, "s3": "s3://a/b"},
        {"images": [PHOTO], "image": PHOTO},
        {"url": "x", "instances": []},
    ):
        yield JSON, json.dumps(both).encode()
    tops: tuple[Any, ...] = (0, -1, 10**9, "5.0", "", None, [], {}, True, 1e9)
    for top in tops:
        yield JSON, json.dumps({"image": PHOTO, "top_k": top}).encode()
    outputs: tuple[Any, ...] = ("", "LOGITS", "pickle", 1, None, [], {})
    for output in outputs:
        yield JSON, json.dumps({"image": PHOTO, "output": output}).encode()
    yield JSON, json.dumps({"images": [PHOTO] * 17}).encode()
    yield JSON, json.dumps({"instances": [{"image": PHOTO, "url": "x"}]}).encode()


def bodies() -> list[Case]:
    return [*truncated(), *giants(), *strangers(), *damaged(), *objects()]


def ask_all(app: App, cases: Sequence[Case]) -> list[Got]:
    async def scene() -> list[Got]:
        return [await call(app, parts=[body], kind=kind) for kind, body in cases]

    return asyncio.run(scene())


def test_every_hostile_body_is_a_4xx() -> None:
    cases = bodies()
    assert len(cases) >= 150 and len({*cases}) > 0.95 * len(cases)
    app, log = make_app()
    wrong = [
        (kind, body[:60], got.status)
        for (kind, body), got in zip(cases, ask_all(app, cases), strict=True)
        if not 400 <= got.status < 500 or not got.body["error"]["fix"]
    ]
    assert wrong == []
    assert not [line for line in log if "fault" in line]
    assert ask_all(app, [("image/jpeg", JPEG)])[0].status == 200


def inner_hosts(port: int) -> Iterator[str]:
    """Ways to write this machine and its neighbours, with a port that is listened on."""
    for host in (
        *(
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "0",
            "0.0.0.0",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
        ),
        *(
            "127.0.0.1.",
            "localhost",
            "localhost.",
            "LOCALHOST",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
        ),
        *(
            "[0:0:0:0:0:0:0:1]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[fe80::1%25lo]",
            "①②⑦.⓪.⓪.①",
        ),
        *(
            "127。0。0。1",
            "１２７.0.0.1",
            "127.0.0.1%00.example",
            "%31%32%37.0.0.1",
            "ip6-localhost",
            "metadata",
            "metadata.google.internal",
        ),
        *(
            "169.254.169.254",
            "169.254.170.2",
            "[fd00:ec2::254]",
            "0xa9fea9fe",
            "2852039166",
            "10.0.0.1",
            "192.168.0.1",
            "172.16.0.1",
        ),
        *(
            "photos.example.",
            "photos.example.evil.test",
            "evil-photos.example",
            "photos.examplE.test",
            "xn--photos.example",
            "photos\u3002example",
        ),
    ):
        yield host
        yield f"{host}:{port}"


def urls(port: int) -> list[str]:
    """Over 120 URLs that lead, or might be read to lead, where nothing may be fetched."""
    found = [f"https://{host}/a.jpg" for host in inner_hosts(port)]
    good, bad = "photos.example", f"127.0.0.1:{port}"
    found += [
        *(
            f"https://{good}@{bad}/",
            f"https://{bad}@{good}/",
            f"https://{good}:x@{bad}/",
            f"https://{bad}#@{good}/",
        ),
        *(
            f"https://{bad}\\@{good}/",
            f"https://{good}\\@{bad}/",
            f"https://{bad}?@{good}/",
            f"https://{bad}/@{good}",
        ),
        *(
            f"https://{good}:{port}/",
            f"https://{good}:80/",
            f"https://{good}:0/",
            f"https://{good}:99999/",
            f"https://{good}:-1/",
        ),
        *(
            f"https://{good}:4 43/",
            f"https://{good}:٤٤٣/",
            f"https://{good}:443:443/",
            f"https:// {good}/",
            f"https://{good} /",
        ),
        *(
            f"https://{good}\t/a",
            f"https://{good}\r\nHost: {bad}/",
            f"https://{good}/\r\nX: y",
            f"https://{good}/a b",
            f"https://{good}/\x00",
        ),
        *(
            f"https://{good}/é",
            f"https://{good}/{'a' * 3000}",
            f" https://{good}/",
            f"https://{good}/\u202e",
            f"https:/{good}/a",
            f"https:{good}/a",
        ),
        *(
            f"http://{good}/",
            f"http://{bad}/",
            f"HTTP://{bad}/",
            f"ftp://{good}/",
            f"file://{good}/etc/passwd",
            "file:///etc/passwd",
        ),
        *(
            f"gopher://{bad}/_x",
            f"dict://{bad}/",
            f"ldap://{bad}/",
            f"tftp://{bad}/",
            f"ws://{bad}/",
            f"wss://{good}/",
            f"jar:https://{good}/!/",
        ),
        *(
            "data:image/jpeg;base64,AAAA",
            "javascript:alert(1)",
            "blob:x",
            "about:blank",
            "//photos.example/",
            "/a.jpg",
            "photos.example/a.jpg",
        ),
        *(
            "",
            " ",
            "https://",
            "https:///a",
            "https://[",
            "https://[::1",
            "https://]/",
            "https://:443/",
            "https://@/",
            "https://.",
            "https://..",
            "https://-",
        ),
        *(
            "unix:///var/run/docker.sock",
            "s3://bucket/key",
            "https+unix://x/",
            "view-source:https://photos.example/",
            "https\x00://photos.example/",
        ),
    ]
    return found


def test_no_hostile_url_is_fetched_or_connected_to() -> None:
    """The allowed host's own name leads to the listener here, and so does every other name."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = int(listener.getsockname()[1])

        async def resolve(_host: str, _port: int) -> Sequence[tuple[str, int]]:
            return [("127.0.0.1", port)]

        cases = [*urls(port), "https://photos.example/a.jpg", "https://PHOTOS.example:443/a"]
        assert len({*cases}) >= 120
        app, _ = make_app(web=WebFetcher(frozenset(["photos.example"]), resolve=resolve))
        requests = [(JSON, json.dumps({"url": url}).encode()) for url in cases]
        wrong = [
            (url, got.status)
            for url, got in zip(cases, ask_all(app, requests), strict=True)
            if not 400 <= got.status < 500 or not got.body["error"]["fix"]
        ]
        assert wrong == []
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_the_listener_would_count_a_connection() -> None:
    """Guards the test above: with the policy that lets the loopback through, one arrives."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])

        async def resolve(_host: str, _port: int) -> Sequence[tuple[str, int]]:
            return [("127.0.0.1", port)]

        fetcher = WebFetcher(
            frozenset(["photos.example"]), resolve=resolve, may_connect=lambda _: True
        )

        async def scene() -> None:
            asking = asyncio.create_task(fetcher.fetch("https://photos.example/a"))
            link, _ = await asyncio.to_thread(listener.accept)
            link.close()
            await asyncio.wait([asking])
            assert asking.exception() is not None

        asyncio.run(scene())


def test_the_shared_awkward_files_through_the_whole_app() -> None:
    folder = shared_data() / "awkward"
    entries = json.loads((folder / "manifest.json").read_text())["files"]
    app, _ = make_app()
    wrong = []
    for entry in entries:
        data, started = (folder / entry["file"]).read_bytes(), time.perf_counter()
        (got,) = ask_all(app, [("image/jpeg", data)])
        verdict = "accept" if got.status == 200 else "reject"
        slow = time.perf_counter() - started > 1
        if entry["expect"] not in (verdict, "either") or got.status >= 500 or slow:
            wrong.append((entry["file"], got.status))
    assert len(entries) == 45 and wrong == []


def peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def seeds() -> list[bytes]:
    small = drawn(size=(24, 18))
    exif = Image.Exif()
    exif[0x0112] = 6
    return [
        encoded(small, "JPEG", exif=exif),
        encoded(small, "JPEG", progressive=True),
        encoded(small.convert("CMYK"), "JPEG"),
        encoded(small.convert("L"), "JPEG"),
        encoded(small, "PNG"),
        encoded(small.convert("P"), "PNG"),
        encoded(small.convert("RGBA"), "PNG"),
        encoded(small, "WEBP"),
        encoded(small.convert("RGBA"), "WEBP", lossless=True),
    ]


def mutated(chance: random.Random, seed: bytes) -> bytes:
    """Bytes changed, cut out, doubled or exchanged, mostly behind the signature."""
    data = bytearray(seed)
    for _ in range(chance.choice((1, 2, 4, 16))):
        at = chance.randrange(3, len(data)) if len(data) > 3 else 0
        action = chance.randrange(5)
        if action == 0:
            data[at] = chance.randrange(256)
        elif action == 1:
            data[at : at + chance.randrange(1, 9)] = chance.choice(
                (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\xff\xd8\xff\xda")
            )
        elif action == 2:
            del data[at : at + chance.randrange(1, 40)]
        elif action == 3:
            data[at:at] = data[max(0, at - 30) : at]
        else:
            data[at] ^= 1 << chance.randrange(8)
        if len(data) < 4:
            break
    return bytes(data)


def test_twenty_thousand_mutated_photos_decode_or_are_refused() -> None:
    """In process; a crash of a decoder would end the test run. Memory stays where it was."""
    chance, limits = random.Random(20261122), Limits(max_decoded_pixels=500_000)
    many, outcomes = seeds(), {"decoded": 0, "refused": 0}
    load(many[0], TRANSFORM, limits)
    before = peak_kb()
    for number in range(20_000):
        try:
            pixels = load(mutated(chance, many[number % len(many)]), TRANSFORM, limits)
            assert pixels.shape == (3, 32, 32)
            outcomes["decoded"] += 1
        except ImageError as error:
            assert error.code and error.fix
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 2_000
    assert peak_kb() - before < 50_000
