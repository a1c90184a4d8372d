from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.forecast.estimate import learned
from experiments.forecast.needs import Need
from experiments.forecast.predict import Predictor
from experiments.forecast.what_if import (
    Option,
    answers,
    candidates,
    front,
    options,
    smallest_notebook,
    versus,
)
from experiments.forecast.work import work_of
from experiments.prices import latest_book
from experiments.records import Basis, Duration, Hosts
from tests.experiments.forecast.histories import Truth

BOOK = latest_book()
NEED = Need(gib=2.0, why="")
ASKED = Hosts(
    launcher="sagemaker", instance_type="ml.m5.xlarge", count=1, region="us-east-1", volume_gb=30
)
PLAIN = replace(ASKED, launcher="ec2", instance_type="c4.xlarge")
WORK = work_of(
    {"data/images": "5000", "train/backbone": "resnet50", "train/engine": "f32"},
    launcher="sagemaker",
    instance_type="ml.m5.xlarge",
    hosts=1,
)


def taught() -> Predictor | None:
    return learned(Truth(4).history(40), Basis.BILLED)


def table(predictor: Predictor | None, need: Need = NEED) -> list[Option]:
    asked = [ASKED, PLAIN]
    return options(
        WORK,
        asked,
        candidates(asked, BOOK),
        book=BOOK,
        predictor=predictor,
        need=need,
        limit_s=400_000,
    )


def test_every_candidate_has_a_price_and_runs_the_images() -> None:
    found = candidates([ASKED], BOOK)
    names = {place.instance_type for place in found}
    assert {"ml.m5.large", "c4.xlarge", "c5.xlarge", "ml.g5.xlarge"} <= names
    assert not any(kind.startswith(("t3.", "m7g.", "m6g.")) or "metal" in kind for kind in names)
    assert {place.count for place in found if place.launcher == "ec2"} == {1}
    assert any(place.spot for place in found)
    assert len(found) == len(set(found))


def test_the_table_is_ranked_by_cost_and_marks_the_front() -> None:
    found = table(taught())
    costs = [option.expected_usd for option in found]
    assert costs == sorted(costs)  # type: ignore[type-var]
    marked = [option for option in found if option.on_front]
    assert marked[0] == found[0]
    assert 1 < len(marked) < len(found)
    assert {option.hosts for option in found if option.asked} == {ASKED, PLAIN}
    for option in found:
        assert option.low_usd <= option.expected_usd <= option.high_usd  # type: ignore[operator]


def test_what_is_too_small_is_shown_and_never_on_the_front() -> None:
    found = table(taught(), Need(gib=20.0, why=""))
    small = [option for option in found if option.too_small]
    assert "ml.m5.large" in {option.hosts.instance_type for option in small}
    assert not any(option.on_front for option in small)


def test_without_runs_the_table_is_prices_by_the_hour() -> None:
    found = table(None)
    hourly = [option.usd_per_hour for option in found]
    assert hourly == sorted(hourly)
    assert all(option.duration is None and not option.on_front for option in found)
    two = next(o for o in found if o.name == "2 x ml.m5.xlarge")
    assert two.usd_per_hour == Decimal("0.46")


def test_the_questions_are_answered() -> None:
    with_runs, without = list(answers(table(taught()))), list(answers(table(None)))
    assert any(text.startswith("c5.xlarge against c4.xlarge: time") for text in with_runs)
    assert any(text.startswith("2 x ml.m5.xlarge against ml.m5.xlarge: time") for text in with_runs)
    assert "c5.xlarge costs -15% an hour against c4.xlarge; no run tells their times" in without


def test_the_smallest_notebook_that_will_do() -> None:
    assert smallest_notebook(BOOK, "us-east-1", NEED) == ("ml.t3.medium", Decimal("0.05"))
    assert smallest_notebook(BOOK, "us-east-1", Need(gib=6, why="")) == (
        "ml.t3.large",
        Decimal("0.1"),
    )
    assert smallest_notebook(BOOK, "us-east-1", Need(gib=10_000, why="")) is None
    assert smallest_notebook(BOOK, "eu-central-1", NEED) is None, "no price there, so none is named"


def at(name: str, seconds: float, usd: int, *, small: str = "") -> Option:
    return Option(
        hosts=replace(ASKED, instance_type=name),
        usd_per_hour=Decimal(1),
        price_as_of="",
        duration=Duration(low_s=0, expected_s=seconds, high_s=seconds, rate=0.8),
        expected_usd=Decimal(usd),
        too_small=small,
    )


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), max_size=25))
def test_the_front_is_what_no_other_beats_in_both(points: list[tuple[int, int]]) -> None:
    found = [at(f"ml.x{n}.large", seconds, usd) for n, (seconds, usd) in enumerate(points)]
    marked = front(found)
    best = {
        (seconds, usd)
        for seconds, usd in points
        if not any(s <= seconds and u <= usd and (s, u) != (seconds, usd) for s, u in points)
    }
    assert {points[int(h.instance_type[4:].split(".")[0])] for h in marked} == best


def test_two_options_in_a_sentence() -> None:
    one, two = at("ml.m5.large", 100, 1), at("ml.m5.xlarge", 60, 2)
    assert versus(one, two) == "ml.m5.xlarge against ml.m5.large: time -40%, cost +100%"
