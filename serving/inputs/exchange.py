"""One GET over one connection, with every length and the whole time limited. No proxies."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import h11

_CHUNK_BYTES = 65_536


class ExchangeError(Exception):
    """The other side could not be reached, or what it said is no whole HTTP answer."""


class AnswerTooLarge(ExchangeError):
    """The answer is over the limit."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Where to connect, and under which name: `address` is an IP address, or a trusted host.

    With `tls` the certificate must be good for `name`.
    """

    name: str
    address: str
    port: int
    tls: ssl.SSLContext | None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def get(peer: Peer, target: str, headers: Mapping[str, str], *, max_bytes: int) -> Answer:
    """GET `target` (path and query). `headers` must hold Host. The caller limits the time.

    Raises ExchangeError, and AnswerTooLarge for a body over `max_bytes`.
    """
    try:
        async with _connected(peer) as (reader, writer):
            talk = h11.Connection(h11.CLIENT)
            request = h11.Request(method="GET", target=target, headers=list(headers.items()))
            writer.write(talk.send(request) + talk.send(h11.EndOfMessage()))
            await writer.drain()
            return await _answer(talk, reader, max_bytes)
    except (OSError, ssl.SSLError, h11.ProtocolError, ValueError) as error:
        raise ExchangeError(f"{type(error).__name__}: {str(error)[:200]}") from error


@contextlib.asynccontextmanager
async def _connected(
    peer: Peer,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    name = peer.name if peer.tls else None
    reader, writer = await asyncio.open_connection(
        peer.address, peer.port, ssl=peer.tls, server_hostname=name
    )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()  # nothing more is wanted of it, not even a polite end


async def _answer(talk: h11.Connection, reader: asyncio.StreamReader, max_bytes: int) -> Answer:
    head: h11.Response | None = None
    parts: list[bytes] = []
    held = 0
    while True:
        event = talk.next_event()
        if event is h11.NEED_DATA:
            talk.receive_data(await reader.read(_CHUNK_BYTES))
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            held += len(event.data)
            if held > max_bytes:
                raise AnswerTooLarge(f"the answer is over {max_bytes} bytes")
            parts.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            named = {name.decode("latin-1"): text.decode("latin-1") for name, text in head.headers}
            return Answer(status=head.status_code, headers=named, body=b"".join(parts))
        elif not isinstance(event, h11.InformationalResponse):
            raise ExchangeError("the other side closed the connection")
