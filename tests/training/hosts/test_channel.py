"""Messages between agents: whole or not at all, and never without a limit."""

import os
import socket
from collections.abc import Iterator

import pytest

from training.hosts.channel import Channel


@pytest.fixture
def pair() -> Iterator[tuple[Channel, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield Channel.on(one), other


def test_a_message_in_parts_is_read_when_it_is_whole(pair: tuple[Channel, socket.socket]) -> None:
    channel, other = pair
    other.sendall(b'{"kind": "be')
    assert channel.receive() == [] and not channel.closed
    other.sendall(b'at"}\n{"kind": "done"}\n')
    assert channel.receive() == [{"kind": "beat"}, {"kind": "done"}]


def test_the_last_words_of_one_that_hangs_up_are_heard(pair: tuple[Channel, socket.socket]) -> None:
    channel, other = pair
    other.sendall(b'{"kind": "done"}\n')
    other.close()
    assert channel.receive() == [{"kind": "done"}] and channel.closed
    channel.send(kind="beat")
    assert channel.closed


@pytest.mark.parametrize("data", [b"nonsense\n", b"\xff\xfe\n", b"x" * 70_000])
def test_nonsense_and_floods_end_the_conversation(
    pair: tuple[Channel, socket.socket], data: bytes
) -> None:
    channel, other = pair
    other.sendall(data)
    assert channel.receive() == [] and channel.closed


def test_what_nobody_reads_is_not_kept_for_ever() -> None:
    reading, writing = os.pipe()
    quiet_reading, quiet_writing = os.pipe()
    channel = Channel(quiet_reading, writing)
    for _ in range(10_000):
        channel.send(kind="x" * 100)
        if channel.closed:
            break
    assert channel.closed
    channel.close()
    os.close(reading)
    os.close(quiet_writing)
