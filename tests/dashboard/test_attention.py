"""What needs a hand, and what does not: each with its cost and the command for it. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from dashboard.overview import attention
from deployment.drift.check import Drift
from deployment.drift.statistics import Comparison, Verdict
from deployment.sweep.resource import Kind, Orphan, Resource
from deployment.sweep.sweep import Found
from experiments.records import Basis, RunRecord, RunStatus
from tests.dashboard.builders import NOW
from tests.deployment.builders import record

BAD = record("too-fast", status=RunStatus.FAILED, reason="the loss is not a number", started_at=NOW)


def titles(records: list[RunRecord]) -> list[str]:
    return [concern.title for concern in attention.failed_runs(records, NOW)]


def test_runs_that_failed_this_week_say_why_and_how_to_look() -> None:
    [concern] = attention.failed_runs([BAD, record("good", started_at=NOW)], NOW)
    assert concern.title == "too-fast failed"
    assert concern.detail == "the loss is not a number"
    assert concern.command == "pedigree attach too-fast"
    assert titles([replace(BAD, started_at=NOW - timedelta(days=8))]) == []


def test_many_failures_are_five_and_a_count() -> None:
    assert titles([BAD] * 8) == ["too-fast failed"] * 5 + ["3 more runs"]


@pytest.mark.parametrize(
    ("spent", "title"), [("7.9", None), ("8", "Budget nearly reached"), ("10", "Budget reached")]
)
def test_a_budget_is_told_from_four_fifths_on(spent: str, title: str | None) -> None:
    runs = [record("one", cost_usd=Decimal(spent), cost_basis=Basis.BILLED, started_at=NOW)]
    found = [concern.title for concern in attention.budget(runs, Decimal(10), NOW)]
    assert found == ([title] if title else [])
    assert not list(attention.budget(runs, None, NOW))


def test_simulated_money_does_not_fill_a_budget_of_billed() -> None:
    half = record("one", cost_usd=Decimal(5), cost_basis=Basis.BILLED, started_at=NOW)
    runs = [half, replace(half, run_id="two", cost_basis=Basis.SIMULATED)]
    assert not list(attention.budget(runs, Decimal(10), NOW))


def orphan(name: str, usd: str) -> Orphan:
    resource = Resource(
        kind=next(iter(Kind)),
        name=name,
        tags={},
        created_at=NOW,
        usd_per_day=Decimal(usd),
        remove=(),
    )
    return Orphan(resource=resource, why="belongs to nothing live")


def test_orphans_are_told_with_what_they_cost_a_day() -> None:
    [concern] = attention.orphans(Found(orphans=(orphan("old-a", "2.76"), orphan("old-b", "1"))))
    assert concern.title == "2 orphans, $3.76 a day"
    assert concern.detail == "old-a, old-b"
    assert concern.command == "pedigree sweep"
    assert not list(attention.orphans(Found(orphans=())))


@pytest.mark.parametrize("verdict", list(Verdict))
def test_drift_is_told_when_it_is_there(verdict: Verdict) -> None:
    seen = Drift(
        release_id="r-1", place="s3://b/", since=None, answers=300, unreadable=0, test_photos=270,
        alpha=0.01,
        comparisons=(
            Comparison(what="x", shares=(), psi=0.3, psi_noise=0.1, p_value=0.001, verdict=verdict),
        ),
    )  # fmt: skip
    found = [concern.title for concern in attention.drifted("dogs-prod", seen)]
    wanted = verdict in (Verdict.SHIFTED, Verdict.DRIFTED)
    assert found == ([f"dogs-prod: {verdict.value}"] if wanted else [])
