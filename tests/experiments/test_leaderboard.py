from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.leaderboard import (
    Difference,
    differences,
    leaderboard,
    pareto_front,
    quality,
    where,
)
from experiments.records import Basis, RunRecord, RunStatus
from tests.experiments.build import NOW, record


def scored(run_id: str, top1: float, usd: str, **changes: Any) -> RunRecord:
    return record(run_id=run_id, metrics={"test/top1": top1}, cost_usd=Decimal(usd), **changes)


def order(*records: RunRecord) -> list[str]:
    return [row.run_id for row in leaderboard(records)]


def test_the_better_run_comes_first() -> None:
    assert order(scored("a", 0.8, "1"), scored("b", 0.9, "9")) == ["b", "a"]


def test_a_tie_goes_to_the_cheaper_run() -> None:
    assert order(scored("a", 0.9, "2"), scored("b", 0.9, "1"), scored("c", 0.9, "3")) == [
        "b",
        "a",
        "c",
    ]


def test_a_tie_in_both_goes_to_the_later_run() -> None:
    early = scored("a", 0.9, "1", started_at=NOW)
    late = scored("b", 0.9, "1", started_at=NOW + timedelta(hours=1))
    assert order(early, late) == order(late, early) == ["b", "a"]


def test_runs_without_a_score_come_last_and_say_why() -> None:
    refused = record(
        run_id="r", status=RunStatus.REFUSED, metrics={}, cost_usd=Decimal(0), reason="no quota"
    )
    rows = leaderboard([refused, scored("a", 0.1, "9")])
    assert [(row.rank, row.run_id) for row in rows] == [(1, "a"), (2, "r")]
    assert (rows[1].quality, rows[1].reason, rows[1].status) == (None, "no quota", "refused")
    assert not rows[1].best_value


@pytest.mark.parametrize("status", [s for s in RunStatus if s is not RunStatus.SUCCEEDED])
def test_only_a_run_that_succeeded_has_a_score(status: RunStatus) -> None:
    assert quality(record(status=status)) is None
    assert quality(record()) == 0.9


def test_the_front_is_what_no_other_run_beats_in_both() -> None:
    runs = [
        scored("best", 0.95, "5"),
        scored("cheap", 0.80, "1"),
        scored("between", 0.90, "2"),
        scored("beaten", 0.85, "3"),
        scored("twin", 0.80, "1"),
    ]
    assert pareto_front(runs) == {"best", "cheap", "between", "twin"}


def test_simulated_money_beats_no_bill() -> None:
    runs = [
        scored("played", 0.9, "0.01", cost_basis=Basis.SIMULATED),
        scored("paid", 0.9, "1", cost_basis=Basis.ESTIMATED),
    ]
    assert pareto_front(runs) == {"played", "paid"}


def test_a_run_whose_cost_is_unknown_is_no_best_value() -> None:
    (row,) = leaderboard([record(cost_usd=None, cost_basis=None)])
    assert row.quality == 0.9
    assert not row.best_value


RUNS = st.lists(
    st.builds(
        lambda top1, cents, status, basis: (top1, cents, status, basis),
        st.floats(0, 1),
        st.integers(0, 500),
        st.sampled_from([RunStatus.SUCCEEDED, RunStatus.SUCCEEDED, RunStatus.FAILED]),
        st.sampled_from(list(Basis)),
    ),
    max_size=12,
).map(
    lambda rows: [
        scored(str(at), top1, str(Decimal(cents) / 100), status=status, cost_basis=basis)
        for at, (top1, cents, status, basis) in enumerate(rows)
    ]
)


@given(RUNS)
def test_the_front_and_the_order_are_sound(runs: list[RunRecord]) -> None:
    front = pareto_front(runs)
    with_score = {run.run_id: run for run in runs if quality(run) is not None}
    assert bool(front) == bool(with_score)
    assert front <= set(with_score)
    for run_id, run in with_score.items():
        rivals = [
            other
            for other in with_score.values()
            if other.cost_basis is run.cost_basis
            and (quality(other) or 0) >= (quality(run) or 0)
            and (other.cost_usd or 0) <= (run.cost_usd or 0)
            and (quality(other), other.cost_usd) != (quality(run), run.cost_usd)
        ]
        assert (run_id in front) == (not rivals)
    rows = leaderboard(runs)
    assert sorted(row.run_id for row in rows) == sorted(run.run_id for run in runs)
    assert [row.rank for row in rows] == list(range(1, len(runs) + 1))
    keys = [(row.quality is None, -(row.quality or 0), row.cost_usd or 0) for row in rows]
    assert keys == sorted(keys)
    if with_score:
        assert rows[0].best_value, "nothing is better than the best, and no equal is cheaper"


def test_a_row_survives_json() -> None:
    (row,) = leaderboard([scored("a", 0.9, "0.0060694444")])
    read = json.loads(json.dumps(row.as_dict()))
    assert Decimal(read["cost_usd"]) == Decimal("0.0060694444")
    assert read["cost_basis"] == "simulated"


def test_where_a_run_trained() -> None:
    assert where(record()) == "sagemaker ml.m5.xlarge"
    assert where(record(hosts=2)) == "sagemaker 2 x ml.m5.xlarge"


def test_what_differs_between_two_runs() -> None:
    one = record(params={"train/epochs": "3", "same": "x"}, metrics={"test/top1": 0.5})
    two = record(
        params={"train/epochs": "9", "same": "x", "new": "y"}, metrics={"test/top1": 0.5}, hosts=2
    )
    found, same = differences(one, two)
    assert found == [
        Difference(kind="fact", name="hosts", first="1", second="2"),
        Difference(kind="param", name="new", first="-", second="y"),
        Difference(kind="param", name="train/epochs", first="3", second="9"),
    ]
    assert same == 8
    assert differences(one, one) == ([], 10)
