"""Releases on record: written once, changed only as they were read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment.plan.steps import shown
from deployment.promote import prepare
from deployment.reconcile.lease import LEASE_S, Lease
from deployment.release import (
    Release,
    ReleaseStatus,
    content_digest,
    release_from_json,
    release_id_for,
    release_to_json,
)
from deployment.store import Live, ReleaseRecord, ReleaseStore
from experiments.errors import BusyError, ReleaseError
from tests.deployment.builders import NOW, run, settings
from tests.deployment.world import World


def a_release(world: World) -> Release:
    how = settings(allowed_origins=("https://dogs.example",))
    return prepare(world, run(world, "first"), how, now=NOW).release


def a_record(world: World) -> ReleaseRecord:
    return ReleaseRecord(release=a_release(world), status=ReleaseStatus.PLANNED, updated_at=NOW)


def test_a_release_survives_being_written_down() -> None:
    release = a_release(World())
    assert release_from_json(release_to_json(release)) == release


def test_a_record_is_written_once_and_changed_as_it_was_read() -> None:
    world = World()
    store = ReleaseStore(cloud=world, name="dogs-prod")
    first = store.write(a_record(world))
    assert store.read(first.release.release_id) == first
    with pytest.raises(ReleaseError, match="conflict"):
        store.write(a_record(world))
    store.write(replace(first, status=ReleaseStatus.APPLYING))
    with pytest.raises(ReleaseError, match="conflict"):
        store.write(replace(first, status=ReleaseStatus.FAILED))


def test_the_pointer_moves_only_from_where_it_was_seen() -> None:
    store = ReleaseStore(cloud=World(), name="dogs-prod")
    nowhere = store.live()
    store.point(nowhere, ("a",), NOW)
    with pytest.raises(ReleaseError, match="conflict"):
        store.point(nowhere, ("b",), NOW)
    assert store.live().release_id == "a"


def test_what_cannot_be_read_says_so() -> None:
    world = World()
    store = ReleaseStore(cloud=world, name="dogs-prod")
    world.objects.bodies[store.key("live.json")] = b"[]"
    with pytest.raises(ReleaseError, match="not what pedigree wrote"):
        store.live()
    world.objects.bodies[store.key("r-1.json")] = b'{"release": {}}'
    with pytest.raises(ReleaseError, match="cannot be read"):
        store.read("r-1")


@given(moves=st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), min_size=1, max_size=12))
def test_the_history_ends_with_what_is_live(moves: list[tuple[str, bool]]) -> None:
    live = Live()
    for name, back in moves:
        live = Live(history=live.after(name, back=back))
        assert live.release_id == name
        assert live.previous_id != name


def test_the_id_of_a_release_is_its_content_not_its_day() -> None:
    def content(digest: str) -> str:
        return content_digest(settings(), model_digest=digest, function_digest="f", image="i")

    one = release_id_for(content("m"), (), NOW)
    assert one.startswith("r-20261122-") and len(one) == 19
    assert release_id_for(content("m"), (one,), NOW + timedelta(days=9)) == one
    assert release_id_for(content("n"), (one,), NOW) != one


def test_a_lease_is_held_by_one_and_runs_out() -> None:
    world = World()
    store = ReleaseStore(cloud=world, name="dogs-prod")
    mine = Lease(store, holder="me", now=world.moment.now)
    yours = Lease(store, holder="you", now=world.moment.now)
    mine.take("work")
    with pytest.raises(BusyError, match="to work"):
        yours.take("play")
    mine.give_back()
    yours.take("play")
    with pytest.raises(BusyError, match="to play"):
        Lease(store, holder="me", now=world.moment.now).take("work")
    world.moment.sleep(LEASE_S + 1)
    third = Lease(store, holder="third", now=world.moment.now)
    third.take("look")
    with pytest.raises(ReleaseError, match="conflict"):
        yours.renew("play")


def test_a_lease_that_is_renewed_does_not_run_out() -> None:
    world = World()
    store = ReleaseStore(cloud=world, name="dogs-prod")
    mine = Lease(store, holder="me", now=world.moment.now)
    mine.take("work")
    for _ in range(20):
        world.moment.sleep(LEASE_S / 3)
        mine.renew("work")
    with pytest.raises(BusyError):
        Lease(store, holder="you", now=world.moment.now).take("play")


def test_bytes_are_shown_as_their_size() -> None:
    assert shown({"Body": b"abc", "Tags": [{"Key": "k"}]}) == {
        "Body": "<3 bytes, sha256:ba7816bf8f01>",
        "Tags": [{"Key": "k"}],
    }
