"""What holds whatever the settings, the traffic and the seed are."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.errors import SpecError
from simulator import Outcome, Question, Serverless, ServiceTime, Settings, simulate
from simulator.bill import MONTH_HOURS, bill
from simulator.traffic import Mixture, Trace, bursts, constant
from tests.simulator.builders import fixed, market, open_front, question

rates = st.floats(0.01, 12)
seeds = st.integers(0, 10_000)


@st.composite
def any_settings(draw: st.DrawFn, instances: int = 5) -> Settings:
    least = draw(st.integers(1, instances))
    workers = draw(st.integers(1, 4))
    reserved = draw(st.integers(1, 30))
    return Settings(
        min_instances=least,
        max_instances=draw(st.integers(least, instances)),
        workers=workers,
        queue_limit=draw(st.integers(10, 40)),
        shed_to=draw(st.sampled_from([None, 4, 8])),
        target_per_minute=draw(st.floats(1, 300)),
        scale_in_cooldown_s=draw(st.sampled_from([0, 60, 300])),
        scale_out_cooldown_s=draw(st.sampled_from([0, 30, 300])),
        routing=draw(st.sampled_from(["least_outstanding", "random"])),
        reserved_concurrency=reserved,
        provisioned_concurrency=draw(st.integers(0, reserved)),
        rate_per_concurrency=draw(st.sampled_from([None, 1, 10])),
        endpoint_read_timeout_s=draw(st.sampled_from([1.0, 20.0])),
        serverless=draw(
            st.none()
            | st.builds(
                Serverless, max_concurrency=st.integers(2, 20), provisioned_concurrency=st.just(2)
            )
        ),
    )


@st.composite
def any_question(draw: st.DrawFn, instances: int = 5) -> Question:
    burst = bursts(0.0, draw(st.floats(1, 25)), length_s=60.0, every_s=900.0)
    service = draw(st.sampled_from([0.005, 0.06, 0.4, 2.5]))
    return question(
        draw(any_settings(instances)),
        traffic=Mixture(parts=(constant(draw(rates)), burst)),
        service=ServiceTime(samples_s=(service,), spread=draw(st.sampled_from([0.0, 0.5]))),
        front_ms=draw(st.sampled_from([0.0, 12.0])),
        length_s=1500.0,
    )


def balanced(one: Outcome) -> bool:
    sums = one.sums
    return sums.arrivals == sums.answered + sums.refused_front + sums.refused_endpoint + sums.failed


@settings(max_examples=25, deadline=None)
@given(asked=any_question(), seed=seeds)
def test_every_request_is_answered_refused_or_timed_out(asked: Question, seed: int) -> None:
    one = simulate(asked, seed=seed)
    assert balanced(one)
    sums = one.sums
    assert sum(slot.arrivals for slot in one.slots) == sums.arrivals
    assert 0 <= sums.idle_share <= 1
    assert sums.peak_in_flight <= asked.settings.concurrency
    assert sums.peak_instances <= asked.settings.max_instances
    assert all(slot.instances <= asked.settings.max_instances for slot in one.slots)
    if sums.p99_ms is not None and sums.p50_ms is not None:
        assert sums.p50_ms <= sums.p99_ms
        assert sums.p99_ms <= (asked.settings.timeout_s + 60) * 1000


@settings(max_examples=20, deadline=None)
@given(asked=any_question(instances=1), seed=seeds)
def test_arrays_and_one_by_one_give_the_same(asked: Question, seed: int) -> None:
    fast, slow = simulate(asked, seed=seed), simulate(asked, seed=seed, exact=True)
    for one, other in ((fast.sums, slow.sums), (fast.usage, slow.usage)):
        assert asdict(one) == pytest.approx(asdict(other))
    assert [asdict(slot) for slot in fast.slots] == [
        pytest.approx(asdict(slot)) for slot in slow.slots
    ]


@pytest.mark.soak
@settings(max_examples=1500, deadline=None)
@given(asked=any_question(instances=1), seed=seeds)
def test_arrays_and_one_by_one_give_the_same_often(asked: Question, seed: int) -> None:
    fast, slow = simulate(asked, seed=seed), simulate(asked, seed=seed, exact=True)
    assert asdict(fast.sums) == pytest.approx(asdict(slow.sums))


@pytest.mark.parametrize("routing", ["least_outstanding", "random"])
def test_arrays_hand_over_to_several_instances_without_a_trace(routing: str) -> None:
    asked = question(
        Settings(
            min_instances=3,
            routing=routing,  # type: ignore[arg-type]
            workers=2,
            reserved_concurrency=20,
            provisioned_concurrency=4,
        ),
        per_s=24,
        service=ServiceTime(samples_s=(0.1,), spread=0.5),
        length_s=7200,
    )
    fast, slow = simulate(asked).sums, simulate(asked, exact=True).sums
    assert fast.arrivals == slow.arrivals
    for name in ("waited", "p50_ms", "p99_ms", "mean_ms"):
        assert getattr(fast, name) == pytest.approx(getattr(slow, name), rel=0.03)


@settings(max_examples=15, deadline=None)
@given(per_s=rates, seed=seeds, instances=st.integers(1, 6))
def test_one_instance_more_costs_more(per_s: float, seed: int, instances: int) -> None:
    asked = question(Settings(min_instances=instances, max_instances=instances), per_s=per_s)
    more = replace(
        asked, settings=Settings(min_instances=instances + 1, max_instances=instances + 1)
    )
    assert month_usd(asked, seed) < month_usd(more, seed)


def month_usd(asked: Question, seed: int) -> float:
    used = simulate(asked, seed=seed).usage
    where = market()
    return float(
        bill(
            used, asked.settings, hours=MONTH_HOURS, region=where.region, book=where.book
        ).total_usd
    )


def test_the_same_seed_gives_the_same_and_another_gives_another() -> None:
    asked = question(per_s=3.0)
    assert simulate(asked, seed=7) == simulate(asked, seed=7)
    assert simulate(asked, seed=7) != simulate(asked, seed=8)


def at(*times: float, length_s: float = 60.0) -> Trace:
    return Trace(text="a trace", times_s=times, period_s=max(length_s, 60.0))


def test_a_request_alone_takes_front_environment_and_model() -> None:
    asked = question(
        Settings(provisioned_concurrency=0),
        traffic=at(1.0, 30.0),
        service=fixed(0.1),
        length_s=60,
        front_ms=10.0,
        init_ms=400.0,
        init_spread=0.0,
    )
    sums = simulate(asked).sums
    assert (sums.cold_starts, sums.answered) == (1, 2)
    assert sums.mean_ms == pytest.approx((510 + 110) / 2)


def test_above_the_read_time_out_the_visitor_gets_504_and_the_photo_is_worked_on() -> None:
    asked = question(
        open_front(workers=1, endpoint_read_timeout_s=1.5),
        traffic=at(1.0, 1.0, 1.0),
        service=fixed(1.0),
        length_s=60,
    )
    one = simulate(asked)
    assert (one.sums.answered, one.sums.failed) == (1, 2)
    assert one.sums.idle_share == pytest.approx(1 - 3 / 60)


def test_beyond_the_queue_s_limit_the_endpoint_refuses() -> None:
    asked = question(
        open_front(workers=1, queue_limit=3), traffic=at(*[1.0] * 5), service=fixed(1.0)
    )
    sums = simulate(replace(asked, length_s=60)).sums
    assert (sums.answered, sums.refused_endpoint, sums.peak_queue) == (3, 2, 2)


def test_beyond_the_provisioned_environments_calls_spill_over_and_start_cold() -> None:
    settings_ = open_front(workers=8, reserved_concurrency=4, provisioned_concurrency=2)
    asked = question(settings_, traffic=at(*[1.0] * 6), service=fixed(0.5), length_s=60)
    sums = simulate(asked).sums
    assert (sums.answered, sums.spilled, sums.cold_starts, sums.refused_front) == (4, 2, 2, 2)


def test_more_calls_a_second_than_ten_for_each_unit_are_refused() -> None:
    times = [1.0 + i * 0.009 for i in range(100)]
    limited = open_front(
        workers=4, reserved_concurrency=5, provisioned_concurrency=5, rate_per_concurrency=10
    )
    asked = question(limited, traffic=at(*times), service=fixed(0.001), length_s=60)
    assert simulate(asked).sums.refused_front == 50


def test_environments_start_a_thousand_at_once_and_a_hundred_a_second() -> None:
    settings_ = open_front(workers=900, reserved_concurrency=900, provisioned_concurrency=0)
    asked = question(
        settings_,
        traffic=at(*[1.0] * 50, *[2.0] * 50),
        service=fixed(30.0),
        length_s=60,
        new_environments=20,
        new_environments_per_s=10.0,
        answer_timeout_s=59.0,
    )
    asked = replace(asked, settings=replace(settings_, endpoint_read_timeout_s=29.0))
    assert simulate(asked).sums.refused_front == 30 + 40


def test_an_environment_that_nobody_called_for_long_is_gone() -> None:
    calls = at(1.0, 301.0, 1000.0, length_s=1200)
    asked = question(
        Settings(provisioned_concurrency=0), traffic=calls, length_s=1200, environment_idle_s=600.0
    )
    assert simulate(asked).sums.cold_starts == 2


def test_a_serverless_endpoint_starts_cold_and_throttles() -> None:
    asked = question(
        Settings(serverless=Serverless(max_concurrency=2), reserved_concurrency=20),
        traffic=at(*[1.0] * 5, 40.0),
        service=fixed(0.1),
        length_s=60,
        serverless_init_ms=3000.0,
        init_spread=0.0,
        init_ms=1.0,
    )
    one = simulate(asked)
    assert one.sums.endpoint_cold_starts == 2
    assert (one.sums.answered, one.sums.refused_endpoint) == (3, 3)
    assert one.usage.instance_s == 0


@pytest.mark.parametrize("length_s", [10.0, 1e9])
def test_a_length_that_cannot_be_is_refused(length_s: float) -> None:
    with pytest.raises(SpecError, match="simulated"):
        question(length_s=length_s)
