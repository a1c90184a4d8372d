"""The quick refusal: which requests it takes, that it keeps the connection in step, and its id."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st

from serving.http.exchange import Message, Receive, Send
from serving.http.shedding import protocol_for, refusal_for, skippable

HEAD = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n"


class Gate:
    """Refuses while `full`; counts."""

    def __init__(self) -> None:
        self.full, self.refused, self.bad = True, 0, 0

    def refuses(self) -> bool:
        self.refused += self.full
        return self.full

    def malformed(self) -> None:
        self.bad += 1


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    """Answers 200 with the body."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Any]]


def talk(gate: Gate, conversation: Talk, *, head_s: float = 15.0, connections: int = 100) -> Any:
    """The conversation's result, with a real connection to a server behind `gate`."""

    async def scene() -> Any:
        config = uvicorn.Config(
            echo,
            http=protocol_for(gate, head_s=head_s, connections=connections),
            ws="none",
            lifespan="off",
            log_config=None,
        )
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as door:
            running = asyncio.create_task(server._serve([door]))
            reader, writer = await asyncio.open_connection(*door.getsockname())
            try:
                async with asyncio.timeout(10):
                    return await conversation(reader, writer)
            finally:
                writer.close()
                server.should_exit = True
                await running

    return asyncio.run(scene())


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return int(head[9:12]), await reader.readexactly(length)


@pytest.mark.parametrize(
    "data",
    [
        HEAD.replace(b"POST", b"GET"),
        HEAD.replace(b"/invocations", b"/invocationsx"),
        HEAD.replace(b"content-length: 5\r\n", b""),
        HEAD.replace(b"host", b"transfer-encoding: chunked\r\nhost"),
        HEAD.replace(b"host", b"Expect: 100-continue\r\nhost"),
        HEAD.replace(b"host", b"Content-Length: 6\r\nhost"),
        HEAD.replace(b": 5", b": +5"),
        HEAD.replace(b": 5", b": 99999999"),
        HEAD[:-2],
        b"",
    ],
)
def test_only_a_plain_whole_head_is_skipped(data: bytes) -> None:
    assert skippable(data) == 0
    assert skippable(HEAD) == len(HEAD) + 5


@given(st.binary(max_size=200))
def test_no_bytes_confuse_it(data: bytes) -> None:
    assert skippable(data) >= 0
    assert skippable(b"POST /invocations HTTP/1.1\r\n" + data) >= 0


@pytest.mark.parametrize(
    "line",
    [
        b"X-Request-Id: abc-1",
        b"X-Amzn-SageMaker-Inference-Id:abc-1 ",
        b"X-Amzn-SageMaker-Custom-Attributes: request-id=abc-1;timeout-ms=20000",
        b"x-amzn-sagemaker-custom-attributes:top_k=3,request-id=abc-1",
    ],
)
def test_the_refusal_has_the_id_that_came_and_says_when_to_come_back(line: bytes) -> None:
    named = HEAD.replace(b"host", line + b"\r\nhost")
    head, _, body = refusal_for(named).partition(b"\r\n\r\n")
    assert b"x-request-id: abc-1" in head and b"retry-after: 1" in head
    assert json.loads(body)["error"]["code"] == "busy"
    assert refusal_for(HEAD) != refusal_for(HEAD)


def test_a_connection_stays_in_step_through_refusals_and_answers() -> None:
    gate = Gate()

    async def scene(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[Any]:
        found = []
        writer.write(HEAD + b"he")
        found.append(await answer(reader))
        writer.write(b"llo" + HEAD + b"world" + HEAD)  # two pipelined, the last without its body
        found += [await answer(reader), await answer(reader)]
        writer.write(b"again")
        gate.full = False
        await asyncio.sleep(0.01)
        writer.write(HEAD[:20])
        await asyncio.sleep(0.01)
        writer.write(HEAD[20:] + b"hello")
        found.append(await answer(reader))
        gate.full = True
        writer.write(HEAD + b"hello")
        found.append(await answer(reader))
        return found

    found = talk(gate, scene)
    assert [status for status, _ in found] == [429, 429, 429, 200, 429]
    assert found[3][1] == b"hello" and gate.refused == 4


def test_what_is_no_http_is_told_so_in_json() -> None:
    gate = Gate()

    async def scene(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Any:
        writer.write(b"\x16\x03\x01 hello\r\n\r\n")
        return await answer(reader), await reader.read()

    (status, body), rest = talk(gate, scene)
    assert (status, rest, gate.bad) == (400, b"", 1)
    assert json.loads(body)["error"]["code"] == "bad_http"


@pytest.mark.parametrize("beginning", [b"", b"POST /invoc", HEAD[:-2]])
def test_a_head_that_never_ends_ends_its_connection(beginning: bytes) -> None:
    async def scene(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(beginning)
        return await reader.read()

    assert talk(Gate(), scene, head_s=0.05) == b""


def test_dripping_a_head_gains_no_time() -> None:
    async def scene(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        for sent in range(200):
            writer.write(b"x")
            await asyncio.sleep(0.01)
            if reader.at_eof():
                return sent
        return 200

    assert talk(Gate(), scene, head_s=0.1) < 100


def test_a_connection_that_was_answered_is_not_closed_for_a_head() -> None:
    gate = Gate()
    gate.full = False

    async def scene(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[int]:
        found = []
        for full in (False, True, False):
            gate.full = full
            writer.write(HEAD + b"hello")
            found.append((await answer(reader))[0])
            await asyncio.sleep(0.15)
        return found

    assert talk(gate, scene, head_s=0.05) == [200, 429, 200]


def test_too_many_connections_are_dropped() -> None:
    async def scene(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> bytes:
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""

    assert talk(Gate(), scene, connections=0) == b""
