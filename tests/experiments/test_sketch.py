"""A run before there is a file: what changes, what it may cost, and the file that comes of it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from experiments.errors import PriceError, SpecError
from experiments.prices import latest_book
from experiments.records import Basis, Estimate, RunRecord, RunStatus
from experiments.sketch import (
    Sketch,
    changed,
    month_sum,
    outlook,
    photos_on_record,
    text_of,
)
from experiments.spec import ExperimentSpec, load_spec, parse_spec

DEMO = load_spec(Path(__file__).parents[2] / "specs" / "demo.yaml")
NOW = datetime(2026, 11, 20, tzinfo=UTC)
SAME = {
    "on": "sagemaker", "instance_type": "ml.m5.xlarge", "instance_count": 1, "spot": False,
    "backbone": "efficientnet_lite0", "epochs": 30,
}  # fmt: skip


def moved(**other: object) -> ExperimentSpec:
    return changed(DEMO, "one-instance", book=latest_book(), **{**SAME, **other})  # type: ignore[arg-type]


def record(number: int, **other: str) -> RunRecord:
    params = {
        "train/backbone": "efficientnet_lite0", "train/epochs": "30", "data/images": "720", **other,
    }  # fmt: skip
    return RunRecord(
        run_id=f"r{number}", tracker_run_id=f"t{number}", name="n", experiment="dogs-three-ways",
        status=RunStatus.SUCCEEDED, launcher="sagemaker", instance_type="ml.m5.xlarge", hosts=1,
        params=params, metrics={"time/total_s": 50.0 + number}, billable_s=70.0 + number,
        cost_usd=Decimal("0.01"), cost_basis=Basis.SIMULATED, started_at=NOW,
    )  # fmt: skip


def test_nothing_changed_is_the_file_itself() -> None:
    assert moved() is DEMO


def test_what_is_changed_stands_in_a_file_that_is_read_back() -> None:
    spec = moved(instance_type="ml.m5.4xlarge", epochs=10, spot=True)
    again = parse_spec(text_of(spec))
    assert again == spec
    run = again.runs[0]
    assert (run.instance_type, run.spot, again.settings_for(run)["epochs"]) == (
        "ml.m5.4xlarge", True, 10,
    )  # fmt: skip
    assert again.runs[1:] == DEMO.runs[1:]


def test_another_backbone_brings_its_weights_for_every_run() -> None:
    spec = moved(backbone="resnet50")
    assert spec.weights == "torchvision:resnet50"
    assert {spec.settings_for(run)["backbone"] for run in spec.runs} == {"resnet50"}


@pytest.mark.parametrize(
    "wrong",
    [{"instance_type": "c5.xlarge"}, {"on": "ec2", "instance_type": "c5.xlarge", "instance_count": 2}],
)  # fmt: skip
def test_what_a_file_could_not_say_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SpecError):
        moved(**wrong)


def test_a_type_without_a_price_is_refused() -> None:
    with pytest.raises(PriceError):
        moved(instance_type="ml.m5.metal")


def test_the_outlook_is_that_of_the_command() -> None:
    sketch = Sketch(spec=DEMO, run=DEMO.runs[0], photos=720)
    seen = outlook(sketch, [record(n) for n in range(6)], latest_book())
    assert seen.estimate.duration is not None
    asked = {option.name for option in seen.table.options if option.asked}
    assert asked == {"ml.m5.xlarge", "2 x ml.m5.large", "c5.xlarge"}
    mine = next(o for o in seen.table.options if o.name == "ml.m5.xlarge")
    assert mine.duration is not None
    assert mine.duration.expected_s == pytest.approx(seen.estimate.duration.expected_s)


def test_without_runs_there_are_prices_and_a_ceiling() -> None:
    seen = outlook(Sketch(spec=DEMO, run=DEMO.runs[2], photos=720), [], latest_book())
    assert seen.estimate.expected_usd is None
    assert seen.estimate.high_usd > 0
    assert all(option.duration is None for option in seen.table.options)


def test_the_month_counts_its_own_money_and_the_upper_end() -> None:
    known = Estimate(low_usd=Decimal(1), expected_usd=Decimal(2), likely_high_usd=Decimal(3),
                     high_usd=Decimal(9), why="")  # fmt: skip
    spent = [record(1), record(2)]
    found = month_sum(known, Decimal(3), spent, now=NOW, basis=Basis.SIMULATED)
    assert (found.spent_usd, found.planned_usd, found.broken) == (Decimal("0.02"), Decimal(3), True)
    assert month_sum(known, Decimal(3), spent, now=NOW, basis=Basis.BILLED).spent_usd == 0


def test_photos_are_those_of_the_experiments_newest_run() -> None:
    runs = [record(1, **{"data/images": "99"}), record(2)]
    assert photos_on_record("dogs-three-ways", runs) == 99
    assert photos_on_record("another", [record(3, **{"data/images": "x"}), *runs]) == 99
    assert photos_on_record("another", []) is None
