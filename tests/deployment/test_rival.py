"""A release that is not live answers from its own archive: the one that was released, or none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from deployment.gates.trial import Asks, Reply
from deployment.rival import ask_archive
from deployment.store import ReleaseStore
from experiments.errors import ReleaseError
from tests.deployment.builders import PHOTO, promote, run
from tests.deployment.world import World


class Served:
    """A server that says how often it was asked."""

    cores = 2

    def __init__(self) -> None:
        self.asked = 0

    def ask(self, photo: bytes, content_type: str) -> Reply:
        assert (photo, content_type) == (PHOTO, "image/jpeg")
        self.asked += 1
        return Reply(status=200, body={"asked": self.asked}, ms=1.0)


def test_the_archive_that_was_released_is_served_and_the_server_ended() -> None:
    world = World()
    release = promote(world, run(world, "first")).release
    told: list[str] = []

    @contextmanager
    def trial(archive: bytes, cores: int) -> Iterator[Asks]:
        told.append(f"{len(archive)} bytes on {cores}")
        yield Served()
        told.append("ended")

    store = ReleaseStore(cloud=world, name="dogs-prod")
    reply = ask_archive(store, release, PHOTO, "image/jpeg", trial=trial, cores=2)
    assert told == [f"{release.model.size_bytes} bytes on 2", "ended"]
    assert reply.body == {"asked": 3}, "the first two only warm it up"


def test_another_archive_under_its_name_is_not_served() -> None:
    world = World()
    release = promote(world, run(world, "first")).release
    changed = replace(release, model=replace(release.model, digest="sha256:00"))
    store = ReleaseStore(cloud=world, name="dogs-prod")

    @contextmanager
    def trial(archive: bytes, cores: int) -> Iterator[Asks]:
        raise AssertionError("it was served")
        yield Served()

    with pytest.raises(ReleaseError, match="not the one that was released"):
        ask_archive(store, changed, PHOTO, "image/jpeg", trial=trial, cores=2)
