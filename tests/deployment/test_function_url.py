"""The function's own address: planned, made, kept as it was asked for, and gone with the function."""

from __future__ import annotations

from typing import Any

import pytest

from deployment.apply import apply_proposal
from deployment.policy import function_policy
from deployment.promote import prepare, propose
from deployment.reconcile.teardown import apply_teardown, propose_teardown
from deployment.release import content_digest
from deployment.settings import ServingSettings
from experiments.foundation import Foundation
from tests.deployment.builders import BOOK, means, promote, proposal, rollback, run, settings
from tests.deployment.faulty import Faulty, Stage, killed_at
from tests.deployment.world import Killed, World

ADDRESS = "https://dogs-prod-live.lambda-url.us-east-1.on.aws/"
ORIGINS = ("https://dogs.example", "https://cats.example")
WITH_URL = settings(function_url=True)


def url(world: World) -> dict[str, Any]:
    return world.functions.functions["dogs-prod"].urls["live"]


def titles(world: World, how: ServingSettings) -> list[tuple[str, str]]:
    steps = proposal(world, run(world, "first"), how).plan.steps
    return [(step.title, step.why) for step in steps if "url" in step.title]


def test_without_the_option_nothing_asks_for_an_address() -> None:
    world = World()
    applied = promote(world, run(world, "first"))
    assert world.functions.functions["dogs-prod"].urls == {} and applied.address == ""
    assert "pedigree.function_url" not in applied.tags


def test_releases_without_it_keep_their_ids() -> None:
    same = {"model_digest": "sha256:1", "function_digest": "sha256:2", "image": "image"}
    assert content_digest(settings(), **same) == "19430dc2"
    assert content_digest(WITH_URL, **same) != content_digest(settings(), **same)


def test_the_alias_gets_an_address_for_signed_requests_and_the_command_says_it() -> None:
    world = World()
    [(title, why)] = titles(world, WITH_URL)
    assert title == "lambda create_function_url_config" and "AWS_IAM" in why
    applied = promote(world, run(world, "first"), WITH_URL)
    assert applied.address == applied.tags["pedigree.function_url"] == ADDRESS
    assert url(world) == {"FunctionUrl": ADDRESS, "AuthType": "AWS_IAM", "InvokeMode": "BUFFERED"}
    made = world.written()
    assert made.index("lambda create_alias") < made.index("lambda create_function_url_config")
    again = proposal(world, run(world, "first"), WITH_URL)
    assert again.is_done and promote(world, run(world, "first"), WITH_URL).address == ADDRESS


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"AuthType": "NONE"}, "another AuthType"),
        ({"InvokeMode": "RESPONSE_STREAM"}, "another InvokeMode"),
        ({"Cors": {"AllowOrigins": ["*"]}}, "another Cors"),
        ({"AuthType": "NONE", "Cors": {"AllowMethods": ["*"]}}, "another AuthType and Cors"),
    ],
)
def test_one_that_another_hand_opened_is_closed_again(other: dict[str, Any], words: str) -> None:
    world = World()
    promote(world, run(world, "first"), WITH_URL)
    url(world).update(other)
    [(title, why)] = titles(world, WITH_URL)
    assert title == "lambda update_function_url_config" and why.endswith(words)
    promote(world, run(world, "first"), WITH_URL)
    assert (url(world)["AuthType"], url(world)["InvokeMode"]) == ("AWS_IAM", "BUFFERED")
    assert url(world).get("Cors", {}) == {}
    assert titles(world, WITH_URL) == []


def test_cors_follows_the_allowed_origins_and_is_said_once() -> None:
    world = World()
    how = settings(function_url=True, allowed_origins=ORIGINS)
    promote(world, run(world, "first"), how)
    cors = url(world)["Cors"]
    assert cors["AllowOrigins"] == [*ORIGINS] and cors["AllowMethods"] == ["POST"]
    assert {"authorization", "x-amz-date"} <= set(cors["AllowHeaders"])
    function = world.functions.functions["dogs-prod"]
    assert "ALLOWED_ORIGINS" not in function.versions["1"]["Environment"]["Variables"]
    cors["AllowOrigins"] = [*reversed(ORIGINS)]
    cors["AllowCredentials"] = False
    assert titles(world, how) == [], "the order and what AWS adds are no difference"


def test_an_address_outlives_releases_without_one_and_goes_with_the_function() -> None:
    world = World()
    promote(world, run(world, "first"))
    promote(world, run(world, "second"), WITH_URL)
    rollback(world)
    assert url(world)["AuthType"] == "AWS_IAM"
    apply_teardown(propose_teardown(world, "dogs-prod"), means(world))
    assert world.functions.functions == {}


@pytest.mark.parametrize("stage", list(Stage))
def test_killed_around_the_step_the_same_command_ends_it(stage: Stage) -> None:
    def go(cloud: Faulty, world: World) -> str:
        ready = prepare(cloud, run(world, "first"), WITH_URL, now=world.moment.now())
        ways = means(world, cloud=cloud, holder=f"command-{id(cloud)}", died=lambda owner: True)
        return apply_proposal(propose(cloud, ready, book=BOOK), ways).address

    counted = World()
    calls = Faulty(counted)
    go(calls, counted)
    number = [call.operation for call in calls.calls].index("create_function_url_config")
    world = World()
    with pytest.raises(Killed):
        go(Faulty(world, killed_at(number, stage)), world)
    assert go(Faulty(world), world) == ADDRESS
    before = len(world.writes)
    assert go(Faulty(world), world) == ADDRESS and len(world.writes) == before


def test_the_functions_own_role_needs_nothing_more() -> None:
    place = Foundation(account_id="123456789012", region="us-east-1")
    assert function_policy(WITH_URL, place) == function_policy(settings(), place)
