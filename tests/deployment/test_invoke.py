"""Asking the live model: what comes back, and what the call cost."""

from __future__ import annotations

from decimal import Decimal

import pytest

from deployment.invoke import MAX_IMAGE_BYTES, invoke, read_report
from deployment.monthly import call_cost
from experiments.errors import CloudError, DataError, PriceError
from experiments.records import Basis
from tests.deployment.builders import BOOK, PHOTO, promote, run, settings
from tests.deployment.world import World

REPORT = (
    "START RequestId: abc Version: 2\n"
    '{"event":"invocation","request_id":"abc","init_type":"provisioned-concurrency"}\n'
    "END RequestId: abc\n"
    "REPORT RequestId: abc\tDuration: 812.11 ms\tBilled Duration: 813 ms\tMemory Size: 512 MB\t"
    "Max Memory Used: 70 MB\t\n"
)


def live() -> World:
    world = World()
    promote(world, run(world, "first"))
    return world


def test_an_answer_from_the_live_path() -> None:
    world = live()
    answer = invoke(
        world, settings(), PHOTO, "image/jpeg", book=BOOK, clock=lambda: world.moment.seconds
    )
    assert answer.status == 200 and answer.predictions[0].label == "beagle"
    assert answer.model_version == "first@0" and answer.function_version == "1"
    assert answer.billed_ms == 42 and not answer.cold_start and answer.provisioned
    assert answer.request_id.startswith("request-") and answer.endpoint_ms is not None
    assert answer.cost.basis is Basis.SIMULATED
    assert [line.item for line in answer.cost.lines] == ["1 request", "42 ms of 256 MB"]
    # 0.115 for the instance, 3 x 0.25 GB x 3600 s x 0.0000041667 for the warm functions
    assert answer.standing_usd_per_h == Decimal("0.126250090")
    assert any("$0.1263 an hour" in words for words in answer.cost.not_counted)


def test_an_answer_with_an_error_is_an_answer() -> None:
    answer = invoke(live(), settings(), PHOTO, "text/plain", book=BOOK)
    assert answer.status == 415 and answer.predictions == ()
    assert answer.error == "no photo; fix: send a photo"
    assert answer.cost.total_usd > 0


@pytest.mark.parametrize("size", [0, MAX_IMAGE_BYTES + 1])
def test_a_photo_that_lambda_cannot_take_is_not_sent(size: int) -> None:
    with pytest.raises(DataError, match=f"{size} bytes"):
        invoke(World(), settings(), bytes(size), "image/jpeg", book=BOOK)


def test_nothing_is_live_yet() -> None:
    with pytest.raises(CloudError, match="Function not found"):
        invoke(World(), settings(), PHOTO, "image/jpeg", book=BOOK)


def test_the_report_line_is_read() -> None:
    report = read_report(REPORT, memory_mb=256)
    assert (report.request_id, report.billed_ms, report.memory_mb) == ("abc", 813, 512)
    assert report.provisioned and not report.cold_start
    cold = read_report(
        REPORT.replace("Max Memory", "Init Duration: 200.1 ms\tMax Memory"), memory_mb=1
    )
    assert cold.cold_start
    nothing = read_report("", memory_mb=256)
    assert (nothing.billed_ms, nothing.memory_mb, nothing.provisioned) == (0, 256, False)


@pytest.mark.parametrize(
    ("provisioned", "usd"),
    # one request at 0.20 a million, and 0.8 s x 0.25 GB at 0.0000166667 or 0.0000097222,
    # each rounded to ten places
    [(False, "0.0000035333"), (True, "0.0000021444")],
)
def test_the_cost_of_a_call_by_hand(provisioned: bool, usd: str) -> None:
    cost = call_cost(
        800,
        memory_mb=256,
        provisioned=provisioned,
        region="us-east-1",
        book=BOOK,
        basis=Basis.BILLED,
    )
    assert cost.total_usd == Decimal(usd)


def test_no_price_is_no_figure_and_no_guess() -> None:
    with pytest.raises(PriceError, match="eu-west-1"):
        call_cost(
            1, memory_mb=256, provisioned=False, region="eu-west-1", book=BOOK, basis=Basis.BILLED
        )
    world = live()
    world.region = "eu-west-1"
    answer = invoke(world, settings(), PHOTO, "image/jpeg", book=BOOK)
    assert answer.status == 200 and answer.cost.lines == ()
    assert answer.standing_usd_per_h is None
    assert any("no price for lambda" in words for words in answer.cost.not_counted)
