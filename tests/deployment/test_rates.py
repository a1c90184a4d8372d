"""The prices that the function's log counts with: set by the plan, and frozen with the release."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from deployment.apply import Applied, apply_proposal
from deployment.monthly import call_cost, call_rates
from deployment.promote import Proposal, prepare, propose
from deployment.release import release_from_json, release_to_json
from deployment.settings import ServingSettings
from experiments.errors import PriceError
from experiments.prices import PriceBook
from experiments.records import Basis, RunRecord
from tests.deployment.builders import BOOK, means, promote, rollback, run, settings
from tests.deployment.test_gates import examiner, scored_run
from tests.deployment.world import World

RATES = {
    "USD_PER_REQUEST": "0.0000002",
    "USD_PER_GB_SECOND": "0.0000166667",
    "USD_PER_GB_SECOND_PROVISIONED": "0.0000097222",
}
DEARER = PriceBook(
    date="2027-01-01",
    path=BOOK.path,
    rows={key: replace(price, usd=price.usd * 2) for key, price in BOOK.rows.items()},
)


def planned(
    world: World, of: RunRecord, book: PriceBook = BOOK, how: ServingSettings | None = None
) -> Proposal:
    judge = replace(examiner(world), book=book)
    ready = prepare(world, of, how or settings(), now=world.moment.now(), examiner=judge)
    return propose(world, ready, book=book)


def released(
    world: World, of: RunRecord, book: PriceBook = BOOK, how: ServingSettings | None = None
) -> Applied:
    return apply_proposal(planned(world, of, book, how), means(world))


def rates(world: World, version: str) -> dict[str, str]:
    config = world.functions.functions["dogs-prod"].versions[version]
    variables: dict[str, str] = config["Environment"]["Variables"]
    return {name: value for name, value in variables.items() if name.startswith("USD_")}


def logged(world: World) -> dict[str, Any]:
    """The handler's line of one call through the live path."""
    event: dict[str, Any] = {
        "body": base64.b64encode(b"beagle photo").decode(),
        "isBase64Encoded": True,
    }
    event["headers"] = {"content-type": "image/jpeg"}
    answer = world.functions.invoke("dogs-prod", "live", "Tail", json.dumps(event).encode())
    tail = base64.b64decode(answer["LogResult"]).decode()
    line = next(text for text in tail.splitlines() if text.startswith("{"))
    found: dict[str, Any] = json.loads(line)
    return found


def test_the_rates_are_those_that_a_calls_cost_is_counted_with() -> None:
    found = call_rates("us-east-1", BOOK)
    assert found == RATES
    for warm, name in ((False, "USD_PER_GB_SECOND"), (True, "USD_PER_GB_SECOND_PROVISIONED")):
        cost = call_cost(
            40,
            memory_mb=256,
            provisioned=warm,
            region="us-east-1",
            book=BOOK,
            basis=Basis.ESTIMATED,
        )
        by_hand = Decimal(found["USD_PER_REQUEST"]) + Decimal(found[name]) * 40 / 1000 / 4
        assert abs(cost.total_usd - by_hand) < Decimal("1e-10"), "lines are rounded"
    with pytest.raises(PriceError):
        call_rates("nowhere-1", BOOK)


def test_a_promoted_function_logs_what_a_call_costs() -> None:
    world = World()
    released(world, scored_run(world, "first"))
    assert rates(world, "1") == RATES
    assert Decimal(logged(world)["cost_usd"]) >= Decimal("0.0000002")


def test_a_newer_price_book_alone_changes_nothing_of_a_release() -> None:
    world = World()
    first = scored_run(world, "first")
    released(world, first)
    before = len(world.writes)
    assert planned(world, first, DEARER).is_done
    released(world, first, DEARER)
    assert len(world.writes) == before

    released(world, scored_run(world, "second"), DEARER)
    assert rates(world, "2")["USD_PER_REQUEST"] == "0.0000004"
    back = rollback(world)
    assert back.function_version == "1" and rates(world, "1") == RATES
    released(world, scored_run(world, "second"))
    versions = world.functions.functions["dogs-prod"].versions
    assert sorted(versions) == ["1", "2"], "what was live once keeps its prices and its version"


def test_a_release_from_before_goes_on_without_rates() -> None:
    world = World()
    old = promote(world, scored_run(world, "first")).release
    assert old.rates == {} and "cost_usd" not in logged(world)
    text = release_to_json(old)
    del text["rates"]
    assert release_from_json(text) == old
    assert planned(world, run(world, "first")).is_done
