"""Sweep: every orphan is found, nothing that is live, young or somebody else's is touched."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from deployment.clock import Clock
from deployment.reconcile.means import Means
from deployment.sweep.inventory import Inventory
from deployment.sweep.resource import Kind
from deployment.sweep.sweep import Swept, look, remove
from experiments.errors import ReleaseError
from tests.deployment.builders import BOOK, means, promote, run
from tests.deployment.world import World
from tests.deployment.yard import NOW, Yard, seeded

KINDS = {
    Kind.ENDPOINT: "endpoint",
    Kind.CONFIG: "config",
    Kind.MODEL: "model",
    Kind.FUNCTION: "function",
    Kind.PROVISIONED: "provisioned",
    Kind.ALARM: "alarm",
    Kind.JOB: "job",
    Kind.INSTANCE: "instance",
    Kind.VOLUME: "volume",
    Kind.NOTEBOOK: "notebook",
    Kind.UPLOAD: "upload",
}


def inventory(yard: Yard) -> Inventory:
    return Inventory(cloud=yard, book=BOOK)


def ways(yard: Yard) -> Means:
    return means(World(), cloud=yard, clock=Clock(now=lambda: NOW))


def orphans_of(yard: Yard) -> set[tuple[str, str]]:
    return {key for key, thing in yard.things.items() if thing.truth == "orphan"}


def found_in(yard: Yard) -> set[tuple[str, str]]:
    found = look(inventory(yard), {"active"}, NOW)
    return {
        (KINDS[o.resource.kind], _name(o.resource.kind, o.resource.name)) for o in found.orphans
    }


def _name(kind: Kind, name: str) -> str:
    return name.partition("(")[2].rstrip(")") if kind is Kind.UPLOAD else name


@pytest.mark.parametrize("seed", range(5))
def test_of_500_things_every_orphan_is_found_and_no_live_one_removed(seed: int) -> None:
    yard = seeded(500, seed)
    expected = orphans_of(yard)
    assert len(expected) > 120 and {kind for kind, _ in expected} == set(KINDS.values())
    assert found_in(yard) == expected
    before = dict(yard.things)
    found = look(inventory(yard), {"active"}, NOW)
    swept = remove(inventory(yard), {"active"}, found.digest, ways(yard))
    assert set(yard.removed) == expected and not swept.left
    kept = {key for key, thing in before.items() if thing.truth != "orphan"}
    assert kept <= set(yard.things), "nothing live, young or foreign was removed"
    assert look(inventory(yard), {"active"}, NOW).orphans == ()


def test_a_list_that_changed_is_refused() -> None:
    yard = seeded(100, 1)
    digest = look(inventory(yard), {"active"}, NOW).digest
    name = next(name for kind, name in orphans_of(yard) if kind == "instance")
    del yard.things["instance", name]
    with pytest.raises(ReleaseError, match=r"the list is not .* nothing was removed"):
        remove(inventory(yard), {"active"}, digest, ways(yard))
    assert yard.removed == []


def test_prices_are_by_the_day() -> None:
    yard = seeded(500, 2)
    found = {o.resource.kind: o.resource for o in look(inventory(yard), {"active"}, NOW).orphans}
    assert found[Kind.ENDPOINT].usd_per_day == Decimal("0.115") * 2 * 24
    assert found[Kind.MODEL].usd_per_day == 0
    warm = found[Kind.PROVISIONED].usd_per_day
    assert warm is not None and f"{warm:.3f}" == "0.135"  # 3 x 128 MB, a day
    volume = found[Kind.VOLUME].usd_per_day
    assert volume is not None and f"{volume:.2f}" == "0.16"  # 60 GB of gp3


def test_what_is_live_on_a_world_with_releases_is_no_orphan_and_what_failed_is() -> None:
    world = World()
    promote(world, run(world, "first"))
    from deployment.sweep.sweep import what_is_needed

    known = what_is_needed(world, frozenset(), world.moment.now())
    assert known.live == {"dogs-prod"} and known.versions == {"dogs-prod": "1"}
    assert len(known.releases) == 1 and known.busy == frozenset()


def test_an_application_that_a_command_changes_now_is_left_alone() -> None:
    yard = seeded(300, 3)
    name = next(n for k, n in orphans_of(yard) if k == "endpoint")
    until = (NOW + timedelta(minutes=1)).isoformat()
    lease = f'{{"holder": "someone", "purpose": "promote", "until": "{until}"}}'
    yard.objects.bodies[f"releases/{name}/lock.json"] = lease.encode()
    assert ("endpoint", name) not in found_in(yard)


class Refusing(Yard):
    """A yard whose notebooks cannot be stopped."""

    def _perform(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        from tests.deployment.world_ground import Refused

        if operation == "stop_notebook_instance":
            raise Refused("ValidationException", "not now")
        return super()._perform(service, operation, params)


def test_what_aws_refuses_is_left_with_the_reason() -> None:
    yard = seeded(200, 4)
    refusing = Refusing(things=yard.things, objects=yard.objects)
    found = look(inventory(refusing), {"active"}, NOW)
    swept: Swept = remove(inventory(refusing), {"active"}, found.digest, ways(refusing))
    assert {o.resource.kind for o, _ in swept.left} == {Kind.NOTEBOOK}
    assert all("not now" in words for _, words in swept.left)
    assert len(swept.removed) + len(swept.left) == len(found.orphans)


def test_a_digest_names_a_list_whatever_its_order() -> None:
    found = look(inventory(seeded(100, 5)), {"active"}, NOW)
    assert replace(found, orphans=tuple(reversed(found.orphans))).digest == found.digest
    assert replace(found, orphans=found.orphans[1:]).digest != found.digest
