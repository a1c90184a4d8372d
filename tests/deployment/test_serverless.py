"""Serverless endpoints: made, changed and priced; and when they are the cheaper kind."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from deployment.gates.price import Rates, Traffic, break_even, other_kind
from deployment.promote import prepare, propose
from deployment.settings import ServingSettings
from experiments.contract import faults
from experiments.errors import PriceError, ReleaseError, SpecError
from experiments.prices import PriceBook
from tests.deployment.builders import BOOK, means, promote, run, settings
from tests.deployment.test_gates import examiner, scored_run
from tests.deployment.world import World

HOW = settings(serverless_memory_mb=2048)
RATE = Decimal("0.00002")


def with_rate() -> PriceBook:
    """The book with a person's own rate for serverless endpoints."""
    return BOOK.with_own_rate(RATE, region="us-east-1", as_of="2026-11-28")


def serverless(world: World, name: str, *, photos: bool = True) -> None:
    from deployment.apply import apply_proposal

    of = scored_run(world, name) if photos else run(world, name)
    judge = replace(examiner(world), book=with_rate()) if photos else None
    ready = prepare(world, of, HOW, now=world.moment.now(), examiner=judge)
    plan = propose(world, ready, book=with_rate())
    assert all(faults(step.call) == [] for step in plan.plan.steps if step.call)
    apply_proposal(plan, means(world))


def test_a_serverless_endpoint_has_no_instances_and_no_scaling() -> None:
    world = World()

    serverless(world, "first")
    serverless(world, "second")
    assert world.endpoints.serves("dogs-prod") == "second"
    assert world.scaling.targets == {}
    config = list(world.endpoints.configs.values())[-1]["ProductionVariants"][0]
    assert config["ServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    assert "RoutingConfig" not in config
    update = next(call for call in world.writes if call.operation == "update_endpoint")
    assert "DeploymentConfig" not in update.params


def test_without_golden_photos_nothing_could_send_it_back_so_it_is_refused() -> None:
    world = World()
    serverless(world, "first", photos=False)
    with pytest.raises(ReleaseError, match="has no golden photos"):
        serverless(world, "second", photos=False)


def test_one_kind_is_not_changed_into_the_other() -> None:
    world = World()
    promote(world, scored_run(world, "first"))
    with pytest.raises(
        ReleaseError, match="is made of instances, and one kind does not become the other"
    ):
        serverless(world, "second")


def test_its_price_is_in_the_book_or_it_is_refused() -> None:
    world = World()
    ready = prepare(world, run(world, "first"), HOW, now=world.moment.now())
    with pytest.raises(PriceError, match="no price for sagemaker serverless_gb_second"):
        rates(BOOK).price(HOW, Traffic())
    assert propose(world, ready, book=with_rate()).plan.after.at_min.total_usd < 10


def rates(book: PriceBook, model_ms: float = 60) -> Rates:
    return Rates(model_ms=model_ms, stored_bytes=0, region="us-east-1", book=book)


def recommended(how: ServingSettings, per_day: int, book: PriceBook) -> str:
    traffic = Traffic(requests_per_day=per_day)
    return other_kind(how, traffic, rates(book).price(how, traffic), rates(book))


def test_the_cheaper_kind_is_named_with_the_difference() -> None:
    quiet = recommended(settings(), 1000, with_rate())
    # 30,417 requests of 60 ms and 2 GB at 0.00002 are 0.07 instead of 83.95
    assert quiet == (
        "serverless of 2048 MB would cost $8.30 a month, $83.88 less, with cold starts"
        "; so it is at all the traffic that 3 instances are for"
    )
    assert "more" in recommended(settings(max_instances=1), 3_000_000, with_rate())
    assert "more" in recommended(HOW, 1000, with_rate())
    assert recommended(settings(), 1000, BOOK).startswith(
        "serverless of 2048 MB is not compared: no price for sagemaker serverless_gb_second"
    )


def test_the_break_even_is_where_the_prices_cross() -> None:
    how, slow = settings(max_instances=3), rates(with_rate(), model_ms=4000)
    serverless = replace(how, serverless_memory_mb=2048)
    at = break_even(serverless, how, slow)
    assert at is not None

    def dearer(requests_per_day: int) -> bool:
        traffic = Traffic(requests_per_day=requests_per_day)
        return slow.price(serverless, traffic).month_usd > slow.price(how, traffic).month_usd

    assert dearer(at) and not dearer(at - 1)
    traffic = Traffic(requests_per_day=1000)
    told = other_kind(how, traffic, slow.price(how, traffic), slow)
    assert told.endswith(f"; from {at:,} requests a day real-time is cheaper")


@pytest.mark.parametrize(
    "bad",
    [
        {"serverless_memory_mb": 1000},
        {"serverless_memory_mb": 2048, "serverless_concurrency": 0},
        {"serverless_memory_mb": 2048, "capture_percent": 5},
    ],
)
def test_what_aws_does_not_offer_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(SpecError):
        settings(**bad)
