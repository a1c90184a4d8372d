"""Taking an application down, and coming back from it."""

from __future__ import annotations

import pytest

from deployment.reconcile.teardown import apply_teardown, propose_teardown
from deployment.release import ReleaseStatus
from deployment.store import ReleaseStore
from experiments.errors import BusyError, ReleaseError
from tests.deployment.builders import means, promote, rollback, run
from tests.deployment.test_promotion import kill_at
from tests.deployment.world import Killed, World


def take_down(world: World) -> None:
    apply_teardown(propose_teardown(world, "dogs-prod"), means(world))


def is_empty(world: World) -> bool:
    made = (world.functions.functions, world.endpoints.endpoints, world.scaling.targets)
    kept = (world.alarms.alarms, world.endpoints.models, world.endpoints.configs)
    return not any((*made, *kept))


def test_everything_paid_for_goes_and_the_way_in_first() -> None:
    world = World()
    promote(world, run(world, "first"))
    promote(world, run(world, "second"))
    del world.writes[:]
    take_down(world)
    assert world.written() == [
        "lambda delete_function",
        "application-autoscaling deregister_scalable_target",
        "sagemaker delete_endpoint",
        "cloudwatch delete_alarms",
        "sagemaker delete_endpoint_config",
        "sagemaker delete_endpoint_config",
        "sagemaker delete_model",
        "sagemaker delete_model",
    ]
    assert is_empty(world)
    store = ReleaseStore(cloud=world, name="dogs-prod")
    assert store.live().release_id == ""
    assert {record.status for record in store.records()} == {ReleaseStatus.TORN_DOWN}


def test_what_was_torn_down_can_be_brought_back_from_its_archive() -> None:
    world = World()
    one = promote(world, run(world, "first"))
    take_down(world)
    rollback(world, to=one.release.release_id)
    assert world.endpoints.serves("dogs-prod") == "first"
    take_down(world)
    promote(world, run(world, "first"))
    assert world.endpoints.serves("dogs-prod") == "first"


def test_a_second_teardown_has_nothing_to_do() -> None:
    world = World()
    promote(world, run(world, "first"))
    take_down(world)
    again = propose_teardown(world, "dogs-prod")
    assert again.remains.is_nothing and again.steps == ()
    with pytest.raises(ReleaseError, match="nothing was ever released as cats-prod"):
        propose_teardown(world, "cats-prod")


def test_a_teardown_of_another_world_is_refused() -> None:
    world = World()
    promote(world, run(world, "first"))
    stale = propose_teardown(world, "dogs-prod")
    promote(world, run(world, "second"))
    with pytest.raises(ReleaseError, match="has changed since this was planned"):
        apply_teardown(stale, means(world))
    assert world.endpoints.serves("dogs-prod") == "second"


def test_a_teardown_and_a_promotion_do_not_meet() -> None:
    world = World()
    promote(world, run(world, "first"))
    mine = propose_teardown(world, "dogs-prod")

    def meanwhile(call: object) -> None:
        world.before = lambda call: None
        with pytest.raises(BusyError, match="being changed to take dogs-prod down"):
            apply_teardown(propose_teardown(world, "dogs-prod"), means(world, holder="other"))

    world.after = lambda call: meanwhile(call) if call.operation == "delete_function" else None
    apply_teardown(mine, means(world))
    assert is_empty(world)


@pytest.mark.parametrize("after", [False, True])
def test_a_teardown_killed_at_any_write_is_finished_by_the_next(after: bool) -> None:
    for count in range(1, 40):
        world = World()
        promote(world, run(world, "first"))
        kill_at(world, count, after=after)
        try:
            take_down(world)
        except Killed:
            world.before = world.after = lambda call: None
            world.moment.sleep(300)
            take_down(world)
            assert is_empty(world)
            continue
        return
    raise AssertionError("a teardown has fewer writes than that")
