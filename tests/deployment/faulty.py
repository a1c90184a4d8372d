"""A cloud between the code and the world that fails where it is told to, and what has to hold after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from deployment.apply import apply_proposal
from deployment.artifact.function_code import FunctionCode
from deployment.promote import prepare, propose
from deployment.release import ReleaseStatus
from deployment.store import ReleaseStore
from experiments.errors import CloudError
from experiments.records import Basis, Call, RunRecord
from tests.deployment.builders import BOOK, means, settings
from tests.deployment.world import Killed, World

READS = ("get_", "head_", "list_", "describe_", "invoke")


class Stage(StrEnum):
    """When something goes wrong with a call."""

    BEFORE = "before the effect"
    BETWEEN = "between the effect and the reply"
    AFTER = "after the reply"


@dataclass
class Faulty:
    """An experiments.aws.Cloud over a world. `strike` sees each call, its number and its stage."""

    world: World
    strike: Callable[[int, Stage, Call], None] = lambda number, stage, call: None
    calls: list[Call] = field(default_factory=list)

    region = World.region
    account_id = World.account_id
    basis = Basis.SIMULATED

    def ask(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        return self.perform(Call(service=service, operation=operation, params=params, why="asked"))

    def perform(self, call: Call) -> dict[str, Any]:
        number = len(self.calls)
        if number:
            self.strike(number - 1, Stage.AFTER, self.calls[-1])
        self.calls.append(call)
        self.strike(number, Stage.BEFORE, call)
        answer = self.world.perform(call)
        self.strike(number, Stage.BETWEEN, call)
        return answer

    def pages(self, service: str, operation: str, member: str, **params: Any) -> list[Any]:
        return list(self.ask(service, operation, **params)[member])

    def client(self, service: str) -> Any:
        return self.world.client(service)


def killed_at(number: int, stage: Stage) -> Callable[[int, Stage, Call], None]:
    """End the command at one call; whatever it still tries, it is dead."""
    state = {"dead": False}

    def strike(at: int, now: Stage, call: Call) -> None:
        del call
        state["dead"] |= (at, now) == (number, stage)
        if state["dead"]:
            raise Killed

    return strike


def failing_at(number: int, code: str, stage: Stage) -> Callable[[int, Stage, Call], None]:
    """One call fails with an error of AWS's or of the network's; the next ones go well."""

    def strike(at: int, now: Stage, call: Call) -> None:
        if (at, now) == (number, stage):
            words = f"{call.service} {call.operation} failed: {code}"
            raise CloudError(words, fix="again", code=code)

    return strike


def promote_through(cloud: Any, of: RunRecord, code: FunctionCode, world: World) -> None:
    """One promotion as a command does it: prepare, propose, apply. Dead holders are known as such."""
    ready = prepare(cloud, of, settings(), now=world.moment.now(), code=code)
    ways = means(world, cloud=cloud, holder=f"command-{id(cloud)}", died=lambda owner: True)
    apply_proposal(propose(cloud, ready, book=BOOK), ways)


def number_of_calls(world: World, of: RunRecord, code: FunctionCode) -> list[Call]:
    """The calls of a promotion that meets no trouble."""
    cloud = Faulty(world)
    promote_through(cloud, of, code, world)
    return cloud.calls


def hold_together(world: World, of: RunRecord, code: FunctionCode) -> None:
    """Exactly one release is live and everything agrees; a further run writes nothing."""
    store = ReleaseStore(cloud=world, name="dogs-prod")
    live, records = store.live(), store.records()
    assert [r.release.release_id for r in records if r.status is ReleaseStatus.LIVE] == [
        live.release_id
    ]
    assert store.read(live.release_id).status is ReleaseStatus.LIVE
    assert store.read(live.release_id).release.run_id == of.run_id
    assert world.endpoints.serves("dogs-prod") == of.run_id
    assert list(world.endpoints.endpoints) == ["dogs-prod"]
    function = world.functions.functions["dogs-prod"]
    version = function.aliases["live"]["FunctionVersion"]
    assert version in function.versions and list(function.provisioned) == [version]
    names = {record.release.model_name for record in records}
    assert set(world.endpoints.models) <= names and set(world.endpoints.configs) <= names
    before = len(world.writes)
    promote_through(world, of, code, world)
    assert len(world.writes) == before, "a finished promotion run again wrote something"


@dataclass
class Stale(Faulty):
    """Reads of anything but S3 may answer as before the `number`-th write, a few times over."""

    number: int = 0
    times: int = 4
    _seen: dict[str, Any] = field(default_factory=dict)
    _writes: int = 0
    _left: int = 0

    def perform(self, call: Call) -> dict[str, Any]:
        if call.service == "s3" or call.operation == "invoke":
            return self.world.perform(call)
        if not call.operation.startswith(READS):
            self._writes += 1
            self._left = self.times if self._writes == self.number else self._left
            return self.world.perform(call)
        key = repr((call.service, call.operation, sorted(call.params.items(), key=str)))
        if self._left and key in self._seen:
            self._left -= 1
        else:
            self._seen[key] = self._answer(call)
        answer = self._seen[key]
        if isinstance(answer, CloudError):
            raise answer
        return dict(answer)

    def _answer(self, call: Call) -> Any:
        try:
            return self.world.perform(call)
        except CloudError as error:
            return error


def three_stages(calls: int) -> Iterator[tuple[int, Stage]]:
    """Every call with every stage."""
    for number in range(calls):
        for stage in Stage:
            yield number, stage
