from __future__ import annotations

import json
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.comparison import Side, compare, read_bill
from experiments.intervals import (
    Answer,
    Interval,
    difference_interval,
    macro_f1_interval,
    paired,
    read_answers,
    top1_interval,
    wilson,
)
from experiments.ledger.settle import for_seconds, hosts_of
from experiments.records import Basis
from experiments.tracking.notes import cost_table
from tests.experiments.build import book, plan, record


def answered(right: str) -> dict[str, Answer]:
    """One photo for each letter: `+` is a right answer."""
    return {
        f"{at}.jpg": Answer(label="pug", predicted="pug" if mark == "+" else "beagle")
        for at, mark in enumerate(right)
    }


@given(photos=st.integers(1, 3000), share=st.floats(0, 1))
def test_wilson_agrees_with_scipy(photos: int, share: float) -> None:
    right = round(photos * share)
    found = wilson(right, photos)
    theirs = stats.binomtest(right, photos).proportion_ci(0.95, method="wilson")
    assert math.isclose(found.low, theirs.low, abs_tol=1e-9)
    assert math.isclose(found.high, theirs.high, abs_tol=1e-9)


@given(first=st.text("+-", min_size=1, max_size=60), second=st.text("+-", min_size=1, max_size=60))
def test_the_paired_test_agrees_with_scipy(first: str, second: str) -> None:
    found = paired(answered(first), answered(second))
    assert found is not None
    both = min(len(first), len(second))
    assert found.photos == both
    gained = sum(a == "-" and b == "+" for a, b in zip(first, second, strict=False))
    lost = sum(a == "+" and b == "-" for a, b in zip(first, second, strict=False))
    assert (found.only_second, found.only_first) == (gained, lost)
    if gained + lost:
        exact = stats.binomtest(gained, gained + lost).pvalue
        assert math.isclose(found.p, exact, rel_tol=1e-9)
    else:
        assert found.p == 1.0
    assert found.interval.low <= found.difference <= found.interval.high


def test_the_interval_holds_the_difference_and_is_the_same_again() -> None:
    found = difference_interval(30, 10, 200)
    assert found.low < 0.1 < found.high and found.high - found.low < 0.15
    assert found == difference_interval(30, 10, 200)
    assert difference_interval(30, 10, 200, level=0.5).low > found.low
    assert difference_interval(0, 0, 0) == Interval(low=-1.0, high=1.0)


def test_macro_f1_lies_in_its_interval_and_a_sure_model_has_a_narrow_one() -> None:
    few, many = answered("+++-"), {**answered("+" * 999), "x": Answer(label="a", predicted="a")}
    assert macro_f1_interval({}) is None
    assert top1_interval({}) is None
    wide, narrow = macro_f1_interval(few), macro_f1_interval(many)
    assert wide is not None
    assert narrow is not None
    assert wide.high - wide.low > 10 * (narrow.high - narrow.low)


def test_a_damaged_predictions_file_says_less_not_something_wrong() -> None:
    whole = '{"path": "a", "label": "x", "predicted": "x", "probability": 0.9}'
    assert set(read_answers(f"{whole}\nno json\n[]\n{whole[:30]}\n")) == {"a"}


def side(right: str, **changes: object) -> Side:
    answers = answered(right)
    share = right.count("+") / max(len(right), 1)
    found = record(
        **{"metrics": {"test/top1": share, "test/macro_f1": share, "time/total_s": 9.0}, **changes}
    )
    cost = for_seconds(hosts_of(plan("plain")), Decimal(3600), book=book(), basis=Basis.SIMULATED)
    table = cost_table(cost)
    rows = [list(row) for row in zip(*table.values(), strict=True)]
    bill = read_bill(json.dumps({"columns": list(table), "data": rows}))
    return Side(record=found, answers=answers, bill=bill)


def test_differences_come_first_and_equal_things_are_counted() -> None:
    one = side("+" * 50 + "-" * 50, params={"train/epochs": "3", "a": "b"}, dataset_digest="d1")
    two = side(
        "+" * 90 + "-" * 10, params={"train/epochs": "9", "a": "b"}, dataset_digest="d1", hosts=2
    )
    found = compare(one, two)
    assert [(d.name, d.first, d.second) for d in found.facts] == [("hosts", "1", "2")]
    assert [(d.name, d.first, d.second) for d in found.params] == [("train/epochs", "3", "9")]
    top1, f1 = found.metrics
    assert (top1.name, top1.first, top1.second) == ("test/top1", 0.5, 0.9)
    assert top1.first_interval is not None
    assert 0.40 < top1.first_interval.low < 0.5 < top1.first_interval.high < 0.60
    assert f1.second_interval is not None
    assert "top-1 differs by +40.0%" in found.verdict
    assert "more than chance (p =" in found.verdict
    assert {part.part: part.same for part in found.lineage}["data"]
    assert [line.item for line in found.bills[0]] == ["1 x c5.xlarge", "30 GB gp3 volume"]
    assert found.bills[0][0].usd == "0.17"
    assert found.same > 3


def test_a_small_difference_on_few_photos_is_not_called_one() -> None:
    found = compare(side("+++++--"), side("++++++-"))
    assert "no more than chance may do" in found.verdict


def test_runs_without_predictions_are_compared_by_less() -> None:
    found = compare(side(""), side(""))
    assert found.difference is None
    assert "cannot be said" in found.verdict
    assert found.metrics[0].first_interval is None


@pytest.mark.parametrize("text", ["", "[]", '{"columns": ["a"], "data": [[1, 2]]}', "x"])
def test_a_bill_that_cannot_be_read_is_no_bill(text: str) -> None:
    assert read_bill(text) == ()
