"""Whether a lease's owner has died: proved on the same machine, never guessed of another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deployment.reconcile.lease import Lease
from deployment.reconcile.owner import Owner, is_dead
from deployment.store import ReleaseStore
from experiments.errors import BusyError
from tests.deployment.world import World

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/ns/pid").exists(), reason="needs Linux's /proc"
)


def ended() -> Owner:
    """The owner that a process was which has ended."""
    code = (
        "import json; from deployment.reconcile.owner import Owner;"
        " print(json.dumps(Owner.here().as_dict()))"
    )
    import json

    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        check=True,
    )
    return Owner(**json.loads(said.stdout))


def test_only_who_provably_ended_is_dead() -> None:
    me, gone = Owner.here().as_dict(), ended().as_dict()
    assert not is_dead(me)
    assert is_dead(gone)
    assert not is_dead({**gone, "place": "another machine"})
    assert not is_dead({**gone, "started": ""})
    assert not is_dead({})
    assert is_dead({**me, "started": "1"}), "the number was given to another process since"


def test_the_lease_of_a_process_that_died_is_taken_over_at_once() -> None:
    world = World()
    store = ReleaseStore(cloud=world, name="dogs-prod")
    Lease(store, holder="dead", now=world.moment.now, owner=ended()).take("work")
    Lease(store, holder="next", now=world.moment.now).take("work")
    with pytest.raises(BusyError, match="conflict: dogs-prod is being changed to work"):
        Lease(store, holder="third", now=world.moment.now).take("play")
