"""A web of our own on the loopback interface: a certificate authority, hosts, and a resolver."""

import asyncio
import contextlib
import datetime
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from serving.inputs.addresses import Address

_DAY = datetime.timedelta(days=1)


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, issuer: str
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    return built.sign(signer, hashes.SHA256())


@dataclass(frozen=True, kw_only=True)
class Trust:
    """TLS settings of a server called `name`, and of a client that trusts its authority."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@cache
def trust(*names: str) -> Trust:
    """For one certificate with the first name; the others are only told apart by SNI."""
    authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate("authority.test", authority, authority, "authority.test")
    leaf = _certificate(names[0], key, authority, "authority.test")
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        place = Path(folder, "server.pem")
        place.write_bytes(secret + leaf.public_bytes(pem))
        server.load_cert_chain(place)
    client = ssl.create_default_context(cadata=root.public_bytes(pem).decode())
    return Trust(server=server, client=client)


@dataclass(kw_only=True)
class Web:
    """Answers by path; `seen` holds the heads of the requests, `accepted` counts connections."""

    port: int
    seen: list[str] = field(default_factory=list)
    accepted: int = 0

    async def resolve(self, host: str, port: int) -> Sequence[tuple[str, int]]:
        """Every name leads here, whatever the port."""
        del host, port
        return [("127.0.0.1", self.port)]


def loopback_is_public(address: Address) -> bool:
    """The policy of a test whose internet is the loopback interface."""
    return address == ipaddress.ip_address("127.0.0.1")


@contextlib.asynccontextmanager
async def web(pages: dict[str, bytes], tls: ssl.SSLContext | None) -> AsyncIterator[Web]:
    """A running host: `pages` maps a path to the bytes of its whole HTTP answer."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        host = Web(port=int(door.getsockname()[1]))

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            host.accepted += 1
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                host.seen.append(head)
                page = pages.get(head.split()[1], answer(b"", "404 Not Found"))
                writer.write(page)
                await writer.drain()
                if b"x-stall" in page:
                    await reader.read()
            writer.close()

        server = await asyncio.start_server(serve, sock=door, ssl=tls)
        try:
            yield host
        finally:
            server.close()


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """An HTTP answer with a Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def redirect(to: str, status: str = "302 Found") -> bytes:
    """An HTTP answer that leads elsewhere."""
    return answer(b"", status, f"Location: {to}")
