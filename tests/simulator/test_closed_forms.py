"""At fixed capacity the simulator agrees with queueing theory within its sampling error."""

from __future__ import annotations

import itertools

import pytest

from simulator import Outcome, ServiceTime, Settings
from tests.simulator.builders import (
    agrees,
    erlang_b,
    erlang_c,
    exponential,
    fixed,
    open_front,
    question,
)

SERVICE_S = 0.1
SHORT, LONG = 9_000, 120_000
COARSE, FINE = 0.3, 0.06


def length_s(per_s: float, arrivals: int) -> float:
    """The time in which so many arrive."""
    return max(60.0, arrivals / per_s)


def waited_share(one: Outcome) -> float:
    return one.sums.waited / one.sums.arrivals


def total_s(one: Outcome) -> float:
    assert one.sums.mean_ms is not None
    return one.sums.mean_ms / 1000


def check_m_m_c(servers: int, load: float, arrivals: int, within: float) -> None:
    offered = load * servers
    asked = question(
        open_front(workers=servers),
        per_s=offered / SERVICE_S,
        service=exponential(SERVICE_S),
        length_s=length_s(offered / SERVICE_S, arrivals),
    )
    share = erlang_c(servers, offered)
    agrees(asked, waited_share, share, within=within)
    # The mean of exponential service times varies too, so the whole time is compared.
    agrees(asked, total_s, SERVICE_S * (1 + share / (servers * (1 - load))), within=within)


def check_m_d_1(load: float, arrivals: int, within: float) -> None:
    asked = question(
        open_front(workers=1),
        per_s=load / SERVICE_S,
        service=fixed(SERVICE_S),
        length_s=length_s(load / SERVICE_S, arrivals),
    )
    wait_s = load * SERVICE_S / (2 * (1 - load))
    agrees(asked, lambda one: total_s(one) - SERVICE_S, wait_s, within=within)


def check_erlang_b(
    limit: int, offered: float, service: ServiceTime, arrivals: int, within: float
) -> None:
    settings = Settings(
        reserved_concurrency=limit,
        provisioned_concurrency=limit,
        rate_per_concurrency=None,
        workers=40,
        queue_limit=80,
        shed_to=None,
    )
    per_s = offered / SERVICE_S
    asked = question(settings, per_s=per_s, service=service, length_s=length_s(per_s, arrivals))
    lost = erlang_b(limit, offered)
    agrees(asked, lambda one: one.sums.refused_front / one.sums.arrivals, lost, within=within)


SERVERS, LOADS = (1, 2, 4), (0.3, 0.6, 0.8)
LIMITS = ((1, 0.5), (3, 1.5), (5, 3.0), (5, 8.0), (20, 16.0))
SERVICES = (fixed(SERVICE_S), exponential(SERVICE_S))


@pytest.mark.parametrize(("servers", "load"), [(1, 0.6), (2, 0.6), (4, 0.7)])
def test_m_m_c_waits_as_often_and_as_long_as_erlang_says(servers: int, load: float) -> None:
    check_m_m_c(servers, load, SHORT, COARSE)


@pytest.mark.parametrize("load", [0.4, 0.7])
def test_m_d_1_waits_as_long_as_pollaczek_and_khinchine_say(load: float) -> None:
    check_m_d_1(load, SHORT, COARSE)


@pytest.mark.parametrize(("limit", "offered"), [(1, 0.5), (5, 5.0)])
@pytest.mark.parametrize("service", SERVICES, ids=["D", "M"])
def test_the_function_s_limit_refuses_what_erlang_b_says(
    limit: int, offered: float, service: ServiceTime
) -> None:
    """The formula depends on the mean service time alone."""
    check_erlang_b(limit, offered, service, SHORT, COARSE)


@pytest.mark.soak
@pytest.mark.parametrize(("servers", "load"), list(itertools.product(SERVERS, LOADS)))
def test_the_whole_grid_of_m_m_c(servers: int, load: float) -> None:
    check_m_m_c(servers, load, LONG, FINE)


@pytest.mark.soak
@pytest.mark.parametrize("load", [0.3, 0.6, 0.85])
def test_the_whole_grid_of_m_d_1(load: float) -> None:
    check_m_d_1(load, LONG, 2 * FINE)


@pytest.mark.soak
@pytest.mark.parametrize(("limit", "offered"), LIMITS)
@pytest.mark.parametrize("service", SERVICES, ids=["D", "M"])
def test_the_whole_grid_of_erlang_b(limit: int, offered: float, service: ServiceTime) -> None:
    check_erlang_b(limit, offered, service, LONG, FINE)
