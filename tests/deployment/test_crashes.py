"""Whatever ends a promotion, and wherever: the same command run again leads to one live release."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from deployment.apply import apply_proposal
from deployment.artifact.function_code import FunctionCode
from deployment.store import ReleaseStore
from experiments.errors import PedigreeError
from experiments.records import Call, RunRecord
from tests.deployment.builders import handler, means, promote, proposal, run
from tests.deployment.faulty import (
    READS,
    Faulty,
    Stage,
    Stale,
    failing_at,
    hold_together,
    killed_at,
    number_of_calls,
    promote_through,
    three_stages,
)
from tests.deployment.world import Killed, World


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> tuple[FunctionCode, FunctionCode]:
    """Two handlers."""
    folder = tmp_path_factory.mktemp("handlers")
    return handler(_new(folder / "one")), handler(_new(folder / "two"), "changed")


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def scene(
    codes: tuple[FunctionCode, FunctionCode], *, second: bool
) -> tuple[World, RunRecord, FunctionCode]:
    """An empty world and a first release to come, or a world with one and a second to come that
    brings another model and another handler."""
    if not second:
        world = World()
        return world, run(world, "first"), codes[0]
    world = deepcopy(with_one_release(codes[0]))
    return world, run(world, "second"), codes[1]


@lru_cache(maxsize=2)
def with_one_release(code: FunctionCode) -> World:
    world = World()
    promote_through(world, run(world, "first"), code, world)
    return world


def attempt(cloud: Any, of: RunRecord, code: FunctionCode, world: World) -> bool:
    """Whether the command came to a good end."""
    try:
        promote_through(cloud, of, code, world)
    except (Killed, PedigreeError):
        return False
    return True


@pytest.mark.parametrize("second", [False, True])
def test_killed_before_between_and_after_every_write(
    codes: tuple[FunctionCode, FunctionCode], second: bool
) -> None:
    kill_once(codes, second, [(n, s) for n in writes_of(codes, second) for s in Stage])


@pytest.mark.soak
@pytest.mark.parametrize("second", [False, True])
def test_killed_before_between_and_after_every_call(
    codes: tuple[FunctionCode, FunctionCode], second: bool
) -> None:
    """3 N of 3 N: N calls, reads and writes alike."""
    calls = len(number_of_calls(*scene(codes, second=second)))
    assert calls > 40
    kill_once(codes, second, three_stages(calls))


def kill_once(
    codes: tuple[FunctionCode, FunctionCode], second: bool, points: Iterable[tuple[int, Stage]]
) -> None:
    for number, stage in points:
        world, of, code = scene(codes, second=second)
        attempt(Faulty(world, killed_at(number, stage)), of, code, world)
        promote_through(world, of, code, world)
        hold_together(world, of, code)


def writes_of(codes: tuple[FunctionCode, FunctionCode], second: bool) -> list[int]:
    world, of, code = scene(codes, second=second)
    calls = number_of_calls(world, of, code)
    return [n for n, call in enumerate(calls) if not call.operation.startswith(READS)]


def kill_twice(
    codes: tuple[FunctionCode, FunctionCode],
    second: bool,
    pairs: Iterable[tuple[tuple[int, Stage], tuple[int, Stage]]],
) -> None:
    for one, other in pairs:
        world, of, code = scene(codes, second=second)
        for number, stage in (one, other):
            attempt(Faulty(world, killed_at(number, stage)), of, code, world)
        promote_through(world, of, code, world)
        hold_together(world, of, code)


def all_pairs(
    codes: tuple[FunctionCode, FunctionCode], second: bool
) -> list[tuple[tuple[int, Stage], tuple[int, Stage]]]:
    """Kills around the writes of a promotion, each with each of the run after it."""
    points = [(n, s) for n in writes_of(codes, second) for s in (Stage.BEFORE, Stage.BETWEEN)]
    return [(one, other) for one in points for other in points]


@pytest.mark.parametrize("second", [False, True])
def test_some_pairs_of_two_kills(codes: tuple[FunctionCode, FunctionCode], second: bool) -> None:
    pairs = all_pairs(codes, second)
    kill_twice(codes, second, random.Random(6).sample(pairs, 40))


@pytest.mark.soak
@pytest.mark.parametrize("second", [False, True])
def test_all_pairs_of_two_kills(codes: tuple[FunctionCode, FunctionCode], second: bool) -> None:
    kill_twice(codes, second, all_pairs(codes, second))


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize(
    ("code_of_error", "stage"),
    [
        ("ThrottlingException", Stage.BEFORE),
        ("500", Stage.BEFORE),
        ("Unreachable", Stage.BETWEEN),
    ],
)
def test_errors_of_aws_and_of_the_network_at_every_write(
    codes: tuple[FunctionCode, FunctionCode], second: bool, code_of_error: str, stage: Stage
) -> None:
    for number in writes_of(codes, second):
        world, of, code = scene(codes, second=second)
        attempt(Faulty(world, failing_at(number, code_of_error, stage)), of, code, world)
        promote_through(world, of, code, world)
        hold_together(world, of, code)
        versions = world.functions.functions["dogs-prod"].versions
        assert len(versions) == 1 + second, "nothing was made twice"


@pytest.mark.parametrize("second", [False, True])
def test_reads_that_are_behind_the_writes(
    codes: tuple[FunctionCode, FunctionCode], second: bool
) -> None:
    for number in range(len(writes_of(codes, second)) + 1):
        world, of, code = scene(codes, second=second)
        attempt(Stale(world, number=number), of, code, world)
        promote_through(world, of, code, world)
        hold_together(world, of, code)
        assert len(world.functions.functions["dogs-prod"].versions) == 1 + second


class Turns:
    """Two commands take turns by chance: one call at a time, whose turn it is a seed says."""

    def __init__(self, seed: int, names: tuple[str, ...]) -> None:
        self._random = random.Random(seed)
        self._changed = threading.Condition()
        self._waiting: dict[str, None] = {}
        self._alive = set(names)
        self._turn = ""

    def take(self, name: str) -> None:
        with self._changed:
            self._waiting[name] = None
            self._deal()
            assert self._changed.wait_for(lambda: self._turn == name, 30)
            self._turn = ""
            del self._waiting[name]

    def leave(self, name: str) -> None:
        with self._changed:
            self._alive.discard(name)
            self._deal()

    def _deal(self) -> None:
        """Give the next turn once everybody who is alive waits for one."""
        if not self._turn and set(self._waiting) == self._alive and self._waiting:
            self._turn = self._random.choice(sorted(self._waiting))
            self._changed.notify_all()


def race(seed: int) -> list[str]:
    """Two commands promote different runs at once. What each of them came to."""
    world = World()
    promote(world, run(world, "first"))
    runs = {name: run(world, name) for name in ("left", "right")}
    plans = {name: proposal(world, of) for name, of in runs.items()}
    turns = Turns(seed, tuple(runs))
    ends: dict[str, str] = {}

    def command(name: str) -> None:
        def strike(number: int, stage: Stage, call: Call) -> None:
            del number, call
            if stage is Stage.BEFORE:
                turns.take(name)

        cloud = Faulty(world, strike)
        try:
            apply_proposal(
                plans[name], means(world, cloud=cloud, holder=name, died=lambda owner: False)
            )
            ends[name] = "won"
        except PedigreeError as error:
            ends[name] = "conflict" if error.message.startswith("conflict") else str(error)
        finally:
            turns.leave(name)

    threads = [threading.Thread(target=command, args=(name,)) for name in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    winner = next(name for name, end in ends.items() if end == "won")
    live = ReleaseStore(cloud=world, name="dogs-prod")
    assert live.read(live.live().release_id).release.run_id == winner
    assert world.endpoints.serves("dogs-prod") == winner
    assert proposal(world, runs[winner]).is_done
    return sorted(ends.values())


def test_races_of_two_promoters_have_one_winner_each() -> None:
    assert [race(seed) for seed in range(40)] == [["conflict", "won"]] * 40


@pytest.mark.soak
def test_two_hundred_races_of_two_promoters_have_one_winner_each() -> None:
    assert [race(seed) for seed in range(200)] == [["conflict", "won"]] * 200


def test_a_plan_made_before_another_promotion_is_a_conflict() -> None:
    world = World()
    promote(world, run(world, "first"))
    stale = proposal(world, run(world, "second"))
    promote(world, run(world, "third"))
    with pytest.raises(PedigreeError, match="conflict"):
        apply_proposal(stale, means(world))


@pytest.mark.soak
@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("stage", [Stage.BEFORE, Stage.BETWEEN])
def test_errors_at_every_call(
    codes: tuple[FunctionCode, FunctionCode], second: bool, stage: Stage
) -> None:
    """Reads as well as writes."""
    for number in range(len(number_of_calls(*scene(codes, second=second)))):
        world, of, code = scene(codes, second=second)
        attempt(Faulty(world, failing_at(number, "ThrottlingException", stage)), of, code, world)
        promote_through(world, of, code, world)
        hold_together(world, of, code)
