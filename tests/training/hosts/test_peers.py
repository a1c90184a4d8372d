"""Agents over real sockets: they meet, pass on the first cause, and are not taken in by strangers."""

import json
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.training.builders import free_port
from training.errors import ClusterError
from training.hosts.cluster import Rendezvous
from training.hosts.peers import Peers, open_peers
from training.hosts.verdict import Cause, Rank

HOSTS = ("algo-1", "algo-2", "algo-3")
SECONDS = 400.0


@pytest.fixture
def meeting() -> Rendezvous:
    return Rendezvous(rank=0, world=3, master="127.0.0.1", port=free_port(), job="dogs")


@pytest.fixture
def agents(meeting: Rendezvous) -> Iterator[list[Peers]]:
    made = [
        open_peers(meeting, Rank(number=n, host=name), HOSTS, 0) for n, name in enumerate(HOSTS)
    ]
    yield made
    for agent in made:
        agent.close()


def talk(agents: list[Peers], start: float, rounds: int = 6) -> list[Cause | None]:
    """Several rounds of a second each, on a clock of our own; the last causes."""
    causes: list[Cause | None] = []
    for turn in range(rounds):
        causes = [agent.tick(start + turn) for agent in agents]
    return causes


def test_they_meet_and_agree_on_a_port(agents: list[Peers]) -> None:
    now = talk(agents, 1000.0)
    assert now == [None, None, None]
    ports = {agent.port for agent in agents}
    assert len(ports) == 1 and ports.pop() > 0


def test_a_cause_on_one_host_reaches_all(agents: list[Peers]) -> None:
    talk(agents, 1000.0)
    cause = Cause(message="rank 2 on host algo-3 was killed", fix="look")
    agents[2].tell_end(cause)
    assert agents[0].tick(1006.0) == cause
    agents[0].tell_end(cause)
    assert agents[1].tick(1006.0) == cause


def test_one_that_is_done_may_leave(agents: list[Peers]) -> None:
    talk(agents, 1000.0)
    agents[1].tell_end(None)
    agents[1].close()
    assert agents[0].tick(1006.0) is None and agents[2].tick(1006.0) is None


def test_one_that_leaves_without_a_word_is_named(agents: list[Peers]) -> None:
    talk(agents, 1000.0)
    agents[2].close()
    found = agents[0].tick(1006.0)
    assert found is not None and "agent of rank 2 on host algo-3 ended" in found.message


def test_one_that_is_silent_is_named(agents: list[Peers]) -> None:
    talk(agents, 1000.0)
    causes = [cause for turn in range(13) for cause in talk(agents[:2], 1006.0 + turn, rounds=1)]
    found = next(cause for cause in causes if cause)
    assert "agent of rank 2 on host algo-3 is silent for" in found.message


def test_one_that_never_comes_is_named(agents: list[Peers]) -> None:
    import time

    start = time.monotonic()
    talk(agents[:2], start)
    found = agents[0].tick(start + SECONDS)
    assert found is not None and found.message.startswith("rank 2 on host algo-3 did not come")


def test_a_stranger_changes_nothing(agents: list[Peers], meeting: Rendezvous) -> None:
    hellos = [
        {"kind": "hello", "rank": 1, "host": "x", "job": "another"},
        {"kind": "hello", "rank": 9, "host": "x", "job": "dogs"},
        {"kind": "end", "message": "boo", "fix": "boo"},
    ]
    for hello in hellos:
        with socket.create_connection((meeting.master, meeting.port)) as stranger:
            stranger.sendall(json.dumps(hello).encode() + b"\n")
            assert agents[0].tick(1000.0) is None
    assert talk(agents, 1001.0) == [None, None, None] and agents[2].port > 0


def test_a_taken_port_is_told(meeting: Rendezvous, agents: list[Peers]) -> None:
    with pytest.raises(ClusterError, match="set MASTER_PORT"):
        open_peers(replace(meeting), Rank(number=0, host="algo-1"), HOSTS, 0)


def test_alone_there_is_nobody(meeting: Rendezvous) -> None:
    alone = open_peers(replace(meeting, world=1), Rank(number=0, host="a"), (), 0)
    assert alone.tick(0.0) is None and alone.port == 0
    alone.tell_end(None)
    alone.close()
