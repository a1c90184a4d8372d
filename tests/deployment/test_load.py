"""A load test: its limits, its price, what counts as what, and a whole one against a fake."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from deployment.invoke import Answer, Way
from deployment.load.drive import MOST_AT_ONCE, Drive, Timer
from deployment.load.plan import Load, plan_load
from deployment.load.tally import (
    Outcome,
    Second,
    Shot,
    Summary,
    outcome,
    percentile,
    second_of,
    summary,
)
from deployment.settings import ServingSettings
from experiments.errors import CloudError, DataError, SpecError
from experiments.records import Basis, Cost
from tests.deployment.builders import BOOK, settings

GOOD = Answer(
    status=200,
    predictions=(),
    model_version="1",
    function_version="1",
    latency_ms=10.0,
    endpoint_ms=5.0,
    billed_ms=10,
    request_id="q",
    cold_start=False,
    provisioned=True,
    cost=Cost(basis=Basis.SIMULATED),
    standing_usd_per_h=None,
    body={},
)


@pytest.mark.parametrize(
    ("rate", "seconds", "option"),
    [(50.1, 10, "--rate"), (0.0, 10, "--rate"), (-1.0, 10, "--rate"), (float("nan"), 1, "--rate"),
     (5.0, 121, "--seconds"), (5.0, 0, "--seconds")],
)  # fmt: skip
def test_more_than_a_look_is_refused_by_name(rate: float, seconds: int, option: str) -> None:
    with pytest.raises(SpecError) as refused:
        Load(rate_per_s=rate, seconds=seconds)
    assert option in refused.value.message
    assert option in refused.value.fix


def priced(load: Load, how: ServingSettings) -> tuple[Decimal, str]:
    plan = plan_load(
        load, how, photo_bytes=(20_000, 40_000), region="us-east-1", book=BOOK, basis=Basis.BILLED
    )
    return plan.cost.total_usd, " ".join(plan.notes)


def test_the_price_is_told_before() -> None:
    """1,000 calls: Lambda's price of a request and 100 ms of 256 MB kept warm, and 30 MB of photos."""
    usd, _ = priced(Load(rate_per_s=50, seconds=20), settings())
    warm = BOOK.find("lambda", "provisioned_duration_gb_second", "us-east-1").usd
    request = BOOK.find("lambda", "request", "us-east-1").usd
    data = BOOK.find("sagemaker", "endpoint_data_processed", "us-east-1").usd
    expected = request / 1000 + 25 * warm + data * 30_000_000 / 1024**3
    assert usd == pytest.approx(expected, rel=Decimal("1e-6"))
    straight, _ = priced(Load(rate_per_s=50, seconds=20, way=Way.ENDPOINT), settings())
    assert straight == pytest.approx(data * 30_000_000 / 1024**3, rel=Decimal("1e-6"))


def test_a_price_that_is_not_in_the_book_is_named_and_not_guessed() -> None:
    plan = plan_load(
        Load(rate_per_s=1, seconds=1, way=Way.ENDPOINT), settings(), photo_bytes=(1,),
        region="ap-south-2", book=BOOK, basis=Basis.BILLED,
    )  # fmt: skip
    assert plan.cost.lines == ()
    assert any("ap-south-2" in text for text in plan.cost.not_counted)


def test_what_is_to_be_expected_is_said() -> None:
    _, notes = priced(Load(rate_per_s=50, seconds=20), settings(reserved_concurrency=4))
    assert "5 calls run at once" in notes and "429" in notes
    assert "up to 2 more are added, for at most $0.0588" in notes  # 2 x $0.115 x 920 s
    _, notes = priced(Load(rate_per_s=0.4, seconds=20), settings())
    assert notes == ""


def refused(code: str) -> CloudError:
    return CloudError("no", fix="wait", code=code)


def test_what_counts_as_what() -> None:
    assert outcome(GOOD) is Outcome.ANSWERED
    for status, what in ((429, Outcome.REFUSED), (503, Outcome.REFUSED), (500, Outcome.FAILED)):
        assert outcome(replace(GOOD, status=status)) is what
    assert outcome(refused("TooManyRequestsException")) is Outcome.REFUSED
    assert outcome(refused("ThrottlingException")) is Outcome.REFUSED
    assert outcome(refused("Unreachable")) is Outcome.FAILED
    assert outcome(DataError("no", fix="x")) is Outcome.FAILED


def shot(due_s: float, ended_s: float, what: Outcome = Outcome.ANSWERED, fault: str = "") -> Shot:
    return Shot(due_s=due_s, ended_s=ended_s, outcome=what, usd=Decimal("0.01"), fault=fault)


SHOTS = (
    shot(0.0, 0.1),
    shot(0.5, 1.2),
    shot(1.0, 1.01, Outcome.REFUSED, "busy"),
    shot(1.5, 1.6, Outcome.FAILED, "broke"),
    shot(1.9, 2.4, Outcome.FAILED, "broke"),
)


def test_a_second_has_what_was_sent_and_what_came_back_in_it() -> None:
    sent = [each.due_s for each in SHOTS]
    assert second_of(1, sent, SHOTS, 2) == Second(
        second=2, sent=3, answered=1, refused=1, failed=1, p50_ms=700.0, p99_ms=700.0, instances=2
    )
    assert second_of(5, sent, SHOTS, None).p50_ms is None


def test_no_question_is_counted_twice_or_lost_between_the_seconds() -> None:
    sent = [each.due_s for each in SHOTS]
    seconds = [second_of(number, sent, SHOTS, 1) for number in range(3)]
    assert sum(second.sent for second in seconds) == len(SHOTS)
    assert sum(s.answered + s.refused + s.failed for s in seconds) == len(SHOTS)


def test_the_summary_has_the_cost_and_the_faults_with_how_often() -> None:
    found = summary(6, SHOTS, seconds=3.04, ended=False)
    assert (found.sent, found.answered, found.refused, found.failed) == (6, 2, 1, 2)
    assert found.usd == Decimal("0.05")
    assert found.faults == ("2 x broke",)
    assert (found.seconds, found.ended) == (3.0, False)


def test_percentiles_are_values_that_were_seen() -> None:
    assert percentile([5.0, 1.0, 3.0, 2.0, 4.0], 0.5) == 3.0
    assert percentile([1.0, 2.0], 0.99) == 2.0
    assert percentile([], 0.5) is None


class Steps:
    """A clock that moves only when somebody sleeps, and may be interrupted at a moment."""

    def __init__(self, interrupt_at_s: float = 1e9) -> None:
        self.now_s, self._interrupt_at_s = 0.0, interrupt_at_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        if self.now_s >= self._interrupt_at_s:
            raise KeyboardInterrupt

    @property
    def timer(self) -> Timer:
        return Timer(monotonic=lambda: self.now_s, sleep=self.sleep)


def driven(load: Load, steps: Steps) -> tuple[list[int], list[Second], Summary]:
    asked: list[int] = []
    seconds: list[Second] = []

    def ask(number: int) -> Answer:
        asked.append(number)
        return GOOD

    return asked, seconds, Drive(load, ask, lambda: 1, steps.timer).run(seconds.append)


def test_every_question_is_asked_once_and_every_second_told() -> None:
    asked, seconds, found = driven(Load(rate_per_s=7, seconds=3), Steps())
    assert sorted(asked) == list(range(21))
    assert [second.second for second in seconds][:3] == [1, 2, 3]
    assert [second.sent for second in seconds][:3] == [7, 7, 7]
    assert (found.sent, found.answered, found.ended) == (21, 21, True)


def test_a_rate_below_one_a_second_still_asks() -> None:
    asked, _, found = driven(Load(rate_per_s=0.1, seconds=1), Steps())
    assert (asked, found.sent) == ([0], 1)


def test_ctrl_c_ends_it_with_the_sum_so_far() -> None:
    _, _, found = driven(Load(rate_per_s=10, seconds=60), Steps(interrupt_at_s=2.0))
    assert not found.ended
    assert 19 <= found.sent <= 21
    assert found.answered <= found.sent


def test_who_does_not_answer_is_not_asked_without_end() -> None:
    """Beyond MOST_AT_ONCE a question fails at once: its thread would only wait for another's."""
    import threading

    let_go = threading.Event()
    seconds: list[Second] = []

    def ask(number: int) -> Answer:
        del number
        let_go.wait(30)
        return GOOD

    def told(second: Second) -> None:
        seconds.append(second)
        if second.second == 10:
            let_go.set()

    steps = Steps()
    found = Drive(Load(rate_per_s=50, seconds=10), ask, lambda: 1, steps.timer).run(told)
    assert (found.answered, found.failed) == (MOST_AT_ONCE, 500 - MOST_AT_ONCE)
    assert "256 questions were under way" in found.faults[0]
