"""The agents' talk between the hosts: a star around the leader's, so that one verdict ends all."""

from __future__ import annotations

import socket
import time
from typing import Any, Final, Protocol

from training.errors import ClusterError
from training.hosts.channel import Channel
from training.hosts.cluster import Rendezvous, wait_for_name
from training.hosts.verdict import (
    PEER_SILENT_S,
    Cause,
    Rank,
    Silence,
    absent,
    agent_gone,
    agent_silent,
)

_MEET_S: Final = 300.0
_BEAT_S: Final = 1.0
_MOST_STRANGERS: Final = 256


class Peers(Protocol):
    """The other agents, as the loop of one agent sees them. No call blocks."""

    port: int
    """Where the workers' torch meets; 0 until the agents have met."""

    def tick(self, now: float) -> Cause | None:
        """Talk; the cause if the run has to end because of another host."""

    def tell_end(self, cause: Cause | None) -> None:
        """Say how this host ends: None is well."""

    def close(self) -> None:
        """Hang up."""


class Alone:
    """A run on one host."""

    port = 0

    def tick(self, now: float) -> Cause | None:
        return None

    def tell_end(self, cause: Cause | None) -> None:
        pass

    def close(self) -> None:
        pass


class _Link:
    """A conversation with one other agent."""

    def __init__(self, channel: Channel, rank: Rank, now: float) -> None:
        self.channel, self.rank = channel, rank
        self.silence = Silence(now)
        self.is_done = False
        self.last_beat = now

    def tick(self, now: float) -> tuple[list[dict[str, Any]], Cause | None]:
        if now - self.last_beat >= _BEAT_S and not self.is_done:
            self.channel.send(kind="beat")
            self.last_beat = now
        messages = self.channel.receive() if not self.channel.closed else []
        if messages:
            self.silence.heard()
        silent = self.silence.tick(now)
        for message in messages:
            if message.get("kind") == "end":
                return messages, Cause(message=str(message["message"]), fix=str(message["fix"]))
            self.is_done |= message.get("kind") == "done"
        if self.is_done:
            return messages, None
        if self.channel.closed:
            return messages, agent_gone(self.rank)
        if silent > PEER_SILENT_S:
            return messages, agent_silent(self.rank, silent)
        return messages, None


class Leader:
    """The agent of rank 0: others connect to it, and it passes on the first cause it hears of."""

    def __init__(self, meeting: Rendezvous, ranks: list[Rank], torch_port: int) -> None:
        self.port = 0
        self._torch_port = torch_port or _free_port(meeting.master)
        self._ranks, self._job = ranks, meeting.job
        self._links: dict[int, _Link] = {}
        self._strangers: list[Channel] = []
        self._began = time.monotonic()
        self._listener = socket.create_server(
            (wait_for_name(meeting.master), meeting.port), backlog=128
        )
        self._listener.setblocking(False)

    def tick(self, now: float) -> Cause | None:
        self._greet(now)
        if not self.port:
            if len(self._links) == len(self._ranks) - 1:
                self.port = self._torch_port
                for link in self._links.values():
                    link.channel.send(kind="meet", port=self.port)
            elif now - self._began > _MEET_S:
                return absent([r for r in self._ranks[1:] if r.number not in self._links], _MEET_S)
        for link in self._links.values():
            _, cause = link.tick(now)
            if cause is not None:
                return cause
        return None

    def _greet(self, now: float) -> None:
        try:
            while True:
                self._strangers.append(Channel.on(self._listener.accept()[0]))
        except BlockingIOError:
            pass
        for channel in self._strangers[:-_MOST_STRANGERS]:
            channel.close()
        for channel in list(self._strangers):
            for message in channel.receive() if not channel.closed else ():
                number, job = message.get("rank"), message.get("job")
                if job != self._job or not isinstance(number, int):
                    continue
                if 0 < number < len(self._ranks):
                    rank = Rank(number=number, host=str(message.get("host"))[:100])
                    self._links[number] = _Link(channel, rank, now)
            if any(link.channel is channel for link in self._links.values()):
                self._strangers.remove(channel)
            elif channel.closed:
                channel.close()
                self._strangers.remove(channel)

    def tell_end(self, cause: Cause | None) -> None:
        for link in self._links.values():
            _say_end(link.channel, cause)

    def close(self) -> None:
        self._listener.close()
        for channel in [*self._strangers, *(link.channel for link in self._links.values())]:
            channel.close()


class Follower:
    """The agent of another rank: it tells the leader, and hears from it."""

    def __init__(self, meeting: Rendezvous, me: Rank, leader: Rank) -> None:
        self.port = 0
        self._meeting, self._me, self._leader = meeting, me, leader
        self._link: _Link | None = None
        self._began = time.monotonic()
        self._tried = 0.0

    def tick(self, now: float) -> Cause | None:
        if self._link is None:
            return self._connect(now)
        messages, cause = self._link.tick(now)
        for message in messages:
            if message.get("kind") == "meet":
                self.port = int(message["port"])
        return cause

    def _connect(self, now: float) -> Cause | None:
        if now - self._began > _MEET_S:
            return absent([self._leader], _MEET_S)
        if now - self._tried < 0.5:
            return None
        self._tried = now
        try:
            sock = socket.create_connection((self._meeting.master, self._meeting.port), 2)
        except OSError:  # it may come yet
            return None
        self._link = _Link(Channel.on(sock), self._leader, now)
        self._link.channel.send(
            kind="hello", rank=self._me.number, host=self._me.host, job=self._meeting.job
        )
        return None

    def tell_end(self, cause: Cause | None) -> None:
        if self._link is not None:
            _say_end(self._link.channel, cause)

    def close(self) -> None:
        if self._link is not None:
            self._link.channel.close()


def _say_end(channel: Channel, cause: Cause | None) -> None:
    if channel.closed:
        return
    if cause is None:
        channel.send(kind="done")
    else:
        channel.send(kind="end", **cause.to_dict())


def _free_port(master: str) -> int:
    with socket.socket() as probe:
        probe.bind((wait_for_name(master), 0))
        port: int = probe.getsockname()[1]
    return port


def open_peers(meeting: Rendezvous, me: Rank, hosts: tuple[str, ...], torch_port: int) -> Peers:
    """The other agents of the run. `torch_port` is given where a launcher has chosen it, else 0.

    Raises ClusterError if the leader cannot listen.
    """
    if meeting.world == 1:
        return Alone()
    names = dict(enumerate(hosts))
    ranks = [Rank(number=n, host=names.get(n, "unknown")) for n in range(meeting.world)]
    if me.number > 0:
        return Follower(meeting, me, Rank(number=0, host=names.get(0, meeting.master)))
    try:
        return Leader(meeting, ranks, torch_port)
    except OSError as error:
        raise ClusterError(
            f"cannot listen at {meeting.master}:{meeting.port}: {error}",
            fix="set MASTER_PORT to a free port, the same on every host",
        ) from error
