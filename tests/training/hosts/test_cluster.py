"""Who leads, where the hosts meet, and that no photo is lost between them."""

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.builders import config
from training.errors import ClusterError
from training.hosts.cluster import Cluster, join, part, rendezvous, unshard, wait_for_name

TWO = {"hosts": ("algo-1", "algo-2"), "job_name": "dogs-1"}


@given(items=st.lists(st.integers()), world=st.integers(1, 7))
def test_shards_hold_every_item_once_and_come_back_in_order(items: list[int], world: int) -> None:
    shards = [Cluster(rank=rank, world=world).shard(items) for rank in range(world)]
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    assert unshard(shards) == items


def test_the_first_host_leads_and_gives_the_address() -> None:
    first = rendezvous(config(**TWO, host="algo-1"), {})
    second = rendezvous(config(**TWO, host="algo-2"), {})
    assert (first.rank, second.rank, first.world) == (0, 1, 2)
    assert first.master == second.master == "algo-1"
    assert first.port == second.port and 20_000 <= first.port < 30_000


def test_two_jobs_meet_on_two_ports() -> None:
    ports = {
        rendezvous(config(**{**TWO, "job_name": f"job-{i}"}, host="algo-1"), {}).port
        for i in range(20)
    }
    assert len(ports) > 15


def test_the_masters_variables_win() -> None:
    env = {"MASTER_ADDR": "10.0.0.9", "MASTER_PORT": "4000"}
    found = rendezvous(config(**TWO, host="algo-2"), env)
    assert (found.master, found.port, found.rank) == ("10.0.0.9", 4000, 1)


def test_torchruns_variables() -> None:
    env = {"RANK": "2", "WORLD_SIZE": "4", "MASTER_ADDR": "n0", "MASTER_PORT": "4000"}
    found = rendezvous(config(), env)
    assert (found.rank, found.world, found.master) == (2, 4, "n0")


@pytest.mark.parametrize(
    "env",
    [{"RANK": "x", "WORLD_SIZE": "2"}, {"RANK": "2", "WORLD_SIZE": "2"}, {"MASTER_PORT": "http"}],
)
def test_senseless_variables_are_refused(env: dict[str, str]) -> None:
    with pytest.raises(ClusterError):
        rendezvous(config(), env)


def test_alone_nothing_is_waited_for() -> None:
    alone = join(rendezvous(config(), {}))
    assert alone == Cluster(rank=0, world=1) and alone.leads
    assert alone.gather(b"abc") == [b"abc"]
    part(alone)


def test_a_name_that_appears_late_is_waited_for() -> None:
    answers: Iterator[OSError | str] = iter(
        [socket.gaierror("unknown"), socket.gaierror("unknown"), "10.0.0.1"]
    )
    slept: list[float] = []

    def resolve(_name: str) -> str:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    found = wait_for_name("algo-1", resolve=resolve, clock=lambda: 0.0, sleep=slept.append)
    assert found == "10.0.0.1" and len(slept) == 2


def test_a_name_that_never_appears_is_given_up() -> None:
    now = iter(range(0, 10_000, 50))

    def resolve(_name: str) -> str:
        raise socket.gaierror("unknown")

    with pytest.raises(ClusterError, match="'algo-1' has no address"):
        wait_for_name(
            "algo-1", resolve=resolve, clock=lambda: float(next(now)), sleep=lambda _s: None
        )
