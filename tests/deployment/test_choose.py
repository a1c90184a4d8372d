"""The rule that picks a run, and the reasons for those it does not pick."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment.choose import Rule, choose
from experiments.errors import ReleaseError
from experiments.records import Basis, RunStatus
from tests.deployment.builders import NOW, record


def top1(value: float) -> dict[str, float]:
    return {"test/top1": value}


def test_the_best_run_is_chosen_and_the_others_are_told_why() -> None:
    best = record("best", metrics=top1(0.97))
    worse = record("worse", metrics=top1(0.91))
    failed = record("failed", status=RunStatus.FAILED, reason="out of memory")
    bare = record("bare", metrics={"train/loss": 0.1})
    homeless = record("homeless", model_uri=None)
    wild = record("wild", metrics={**top1(0.99), "train/loss": math.nan})
    choice = choose([worse, failed, bare, homeless, wild, best], Rule())
    assert choice.candidate is best
    reasons = {run.name: reason for run, reason in choice.refused}
    assert reasons == {
        "failed": "failed: out of memory",
        "bare": "has no test/top1",
        "homeless": "has no model",
        "wild": "diverged: train/loss is nan",
        "worse": "worse: test/top1 0.9100, against 0.9700 of best",
    }


def test_limits_refuse_what_is_weak_or_dear() -> None:
    weak = record("weak", metrics=top1(0.5))
    dear = record("dear", metrics=top1(0.99), cost_usd=Decimal(6))
    unknown = record("unknown", metrics=top1(0.98), cost_usd=None)
    rule = Rule(max_cost_usd=Decimal(5), min_metric=0.6)
    choice = choose([weak, dear, unknown], rule)
    assert [reason for _, reason in choice.refused] == [
        "test/top1 0.5000 is below 0.6",
        "too dear: $6.00 (simulated), at most $5.00",
        "its cost is not known, and the rule has a limit",
    ]
    with pytest.raises(ReleaseError, match="too dear"):
        choice.best()


def test_a_tie_goes_to_the_cheaper_then_to_the_earlier_run() -> None:
    dear = record("dear", cost_usd=Decimal("0.02"))
    cheap = record("cheap", started_at=NOW + timedelta(hours=1))
    later = record("later", started_at=NOW + timedelta(hours=2))
    choice = choose([later, dear, cheap], Rule())
    assert choice.candidate is cheap
    reasons = {run.name: reason for run, reason in choice.refused}
    assert reasons == {
        "dear": "as good as cheap, and dearer: $0.0200 against $0.0100",
        "later": "as good as cheap, and later",
    }


def test_costs_of_different_basis_do_not_decide() -> None:
    billed = record("billed", cost_usd=Decimal(9), cost_basis=Basis.BILLED)
    simulated = record("simulated", started_at=NOW + timedelta(hours=1))
    choice = choose([simulated, billed], Rule())
    assert choice.candidate is billed
    assert "not of one basis" in choice.notes[0]
    limited = choose([simulated, billed], Rule(max_cost_usd=Decimal(5)))
    assert limited.candidate is simulated
    assert limited.notes == (
        "the limit was held against billed and simulated costs, each for itself",
    )


def test_a_metric_of_which_less_is_better_is_no_rule() -> None:
    for metric in ("valid/loss", "test/ece", "time/total_s"):
        with pytest.raises(ReleaseError, match="is not the best"):
            Rule(metric=metric)


def test_no_runs_at_all() -> None:
    with pytest.raises(ReleaseError, match="there are no runs"):
        choose([], Rule()).best()


@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=8), data=st.data())
def test_the_order_of_the_runs_does_not_matter(values: list[float], data: st.DataObject) -> None:
    runs = [
        record(f"run-{i}", metrics=top1(value), started_at=NOW + timedelta(seconds=i))
        for i, value in enumerate(values)
    ]
    mixed = data.draw(st.permutations(runs))
    first, second = choose(runs, Rule()), choose(mixed, Rule())
    assert first.candidate is second.candidate
    assert len(first.refused) == len(second.refused) == len(runs) - 1
    assert first.best().metrics["test/top1"] == max(values)


def test_further_minimums_are_held() -> None:
    rule = Rule(minimums={"test/top5": 0.95})
    good = record("good", metrics={"test/top1": 0.8, "test/top5": 0.97})
    weak = record("weak", metrics={"test/top1": 0.9, "test/top5": 0.94})
    silent = record("silent", metrics={"test/top1": 0.95})
    choice = choose([good, weak, silent], rule)
    assert choice.best() is good
    reasons = {refused.name: reason for refused, reason in choice.refused}
    assert reasons["weak"] == "test/top5 0.9400 is below 0.95"
    assert reasons["silent"] == "has no test/top5, and the rule asks for 0.95"
