from __future__ import annotations

import json
import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.forecast.estimate import estimate, learned
from experiments.forecast.foresee import foresee, predictor_of
from experiments.forecast.needs import LEAST_MB, need_of, too_small, warnings
from experiments.forecast.predict import RATE, Predictor
from experiments.forecast.work import Work, seen, work_of
from experiments.hardware import hardware
from experiments.prices import latest_book
from experiments.records import Basis, Hosts, RunRecord, RunStatus
from tests.experiments.build import record
from tests.experiments.forecast.histories import Truth

RECORDED = json.loads(Path(__file__).with_name("recorded_runs.json").read_text(encoding="utf-8"))
BOOK = latest_book()


def hosts(kind: str = "ml.m5.xlarge", *, count: int = 1, spot: bool = False) -> Hosts:
    return Hosts(
        launcher="sagemaker" if kind.startswith("ml.") else "ec2",
        instance_type=kind,
        count=count,
        region="us-east-1",
        volume_gb=30,
        spot=spot,
    )


def taught(runs: list[RunRecord], basis: Basis = Basis.BILLED) -> Predictor:
    found = learned(runs, basis)
    assert found is not None
    return found


def held(predictor: Predictor, run: RunRecord) -> bool:
    known = seen(run)
    assert known is not None
    duration = predictor.predict(known.work).duration
    return duration.low_s <= known.billable_s <= duration.high_s


def recorded_runs() -> list[RunRecord]:
    return [
        record(
            run_id=f"{at:08}",
            launcher=run["launcher"],
            instance_type=run["instance_type"],
            hosts=run["hosts"],
            billable_s=run["billable_s"],
            metrics={"time/total_s": run["total_s"], "memory/peak_mb": run["peak_mb"]},
            params={
                "train/backbone": run["backbone"],
                "train/epochs": str(run["epochs"]),
                "data/images": str(run["images"]),
            },
            cost_basis=Basis.SIMULATED,
        )
        for at, run in enumerate(RECORDED["runs"])
    ]


@pytest.mark.parametrize("runs", [5, 12, 40])
def test_on_generated_histories_the_interval_holds_at_its_rate(runs: int) -> None:
    """60 made-up worlds with 8 runs each kept out: the share of 480 is within three standard errors."""
    hits = tried = 0
    for seed in range(60):
        truth = Truth(seed)
        predictor = taught(truth.history(runs))
        hits += sum(held(predictor, run) for run in truth.history(8))
        tried += 8
    error = math.sqrt(RATE * (1 - RATE) / tried)
    # Runs of one world share its history, so their errors do too: three errors of half as many.
    assert abs(hits / tried - RATE) < 3 * error * math.sqrt(2)


def test_on_recorded_runs_the_interval_holds_at_its_rate() -> None:
    """Each recorded run kept out once; the count of 13 at 0.8 is within three standard deviations."""
    runs = recorded_runs()
    kept_out = [
        held(taught(runs[:at] + runs[at + 1 :], Basis.SIMULATED), run)
        for at, run in enumerate(runs)
    ]
    assert len(runs) == 13
    error = math.sqrt(RATE * (1 - RATE) * len(runs))
    assert abs(sum(kept_out) - RATE * len(runs)) < 3 * error


def test_half_of_the_recorded_runs_are_foreseen_within_a_factor_of_two() -> None:
    runs = recorded_runs()
    off = []
    for at, run in enumerate(runs):
        known = seen(run)
        assert known is not None
        expected = taught(runs[:at] + runs[at + 1 :], Basis.SIMULATED).predict(known.work)
        off.append(abs(math.log(known.billable_s / expected.duration.expected_s)))
    assert sorted(off)[len(off) // 2] < math.log(2)


def test_a_type_never_seen_is_said_and_its_interval_still_holds() -> None:
    hits = tried = wider = 0
    for seed in range(40):
        truth = Truth(seed)
        predictor = taught([r for r in truth.history(40) if "c5" not in r.instance_type])
        for run in truth.history(6, kind="c5.xlarge"):
            known = seen(run)
            assert known is not None
            found = predictor.predict(known.work)
            assert any(
                "c5.xlarge yet: reckoned from its 4 processors" in e for e in found.extrapolates
            )
            like = predictor.predict(replace(known.work, instance_type="m5.xlarge")).duration
            wider += found.duration.high_s / found.duration.low_s > like.high_s / like.low_s
            hits += held(predictor, run)
            tried += 1
    assert hits / tried > RATE - 0.08
    assert wider > 0.95 * tried


def test_what_goes_beyond_the_record_is_told() -> None:
    truth = Truth(1)
    known = seen(truth.run(kind="m5.xlarge", hosts=1, images=1000, epochs=30))
    assert known is not None
    runs = truth.history(20, kind="m5.xlarge", hosts=1, images=1000, backbone="resnet50", epochs=30)
    predictor = taught(runs)
    work = replace(
        known.work, launcher="sagemaker", instance_type="ml.m5.xlarge", backbone="resnet50"
    )
    assert predictor.predict(work).extrapolates == ()
    for change, says in (
        ({"images": 50_000}, "50000 photos, where the runs on record had 1000"),
        ({"hosts": 4}, "4 hosts"),
        ({"epochs": 1000}, "1000 epochs"),
        ({"deep_epochs": 5}, "5 fine-tuning epochs"),
        ({"trials": 100}, "100 trials, where the runs on record had 0"),
        ({"engine": "int8"}, "no run of resnet50 with engine int8 yet"),
        ({"instance_type": "ml.unheard.of"}, "its hardware is unknown"),
    ):
        found = predictor.predict(replace(work, **change))
        assert any(says in text for text in found.extrapolates), (says, found.extrapolates)


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), runs=st.integers(1, 12), factor=st.floats(1.5, 20))
def test_more_photos_take_longer_and_no_interval_is_upside_down(
    seed: int, runs: int, factor: float
) -> None:
    truth = Truth(seed)
    predictor = taught(truth.history(runs))
    known = seen(truth.run())
    assert known is not None
    few = predictor.predict(known.work).duration
    many = predictor.predict(replace(known.work, images=int(known.work.images * factor))).duration
    assert 0 < few.low_s <= few.expected_s <= few.high_s
    assert many.expected_s > few.expected_s
    cut = predictor.predict(known.work, limit_s=10.0).duration
    assert cut.high_s == 10.0 >= cut.expected_s


def test_a_search_takes_longer_and_what_it_took_is_learnt() -> None:
    truth = Truth(2)
    plain = truth.history(12)
    known = seen(truth.run())
    assert known is not None

    def factor(predictor: Predictor) -> float:
        """How much longer a hundred trials are expected to take."""
        search = predictor.predict(replace(known.work, trials=100)).duration.expected_s
        return search / predictor.predict(known.work).duration.expected_s

    expected = factor(taught(plain))
    assert 1.2 < expected < 3
    assert factor(taught([*plain, *(searched(run, 6.0) for run in truth.history(12))])) > expected
    assert factor(taught([*plain, *(searched(run, 1.0) for run in truth.history(12))])) < expected


def searched(run: RunRecord, times: float) -> RunRecord:
    """The run with a hundred trials, whose program took so many times as long."""
    program_s = run.metrics["time/total_s"]
    return replace(
        run,
        params={**run.params, "train/trials": "100"},
        metrics={**run.metrics, "time/total_s": times * program_s},
        billable_s=(run.billable_s or 0) + (times - 1) * program_s,
    )


def test_simulated_time_never_predicts_aws() -> None:
    truth = Truth(3)
    paid = truth.history(6)
    played = [replace(run, cost_basis=Basis.SIMULATED, billable_s=1.0) for run in truth.history(6)]
    assert learned(played, Basis.BILLED) is None
    assert learned(paid, Basis.SIMULATED) is None
    mixed = taught([*paid, *played])
    assert len(mixed.seen) == 6
    with pytest.raises(ValueError, match="never predicts AWS"):
        predictor_of([*paid, *played])


@pytest.mark.parametrize(
    "changes",
    [
        {"status": RunStatus.FAILED},
        {"billable_s": None},
        {"billable_s": 0.0},
        {"params": {"data/images": "many"}},
        {"params": {}},
    ],
)
def test_a_run_that_teaches_nothing_is_left_out(changes: dict[str, object]) -> None:
    assert seen(record(**changes)) is None
    assert predictor_of([record(**changes)]) is None


def test_without_runs_an_estimate_is_only_a_ceiling() -> None:
    work = work_of(
        {"data/images": "60"}, launcher="sagemaker", instance_type="ml.m5.xlarge", hosts=1
    )
    found = estimate(work, hosts(), limit_s=3600, predictor=None, book=BOOK)
    assert (found.low_usd, found.expected_usd, found.likely_high_usd) == (Decimal(0), None, None)
    assert found.high_usd == Decimal("0.23")
    assert found.why == "no run on record: at most the maximum run time of 3600 s"


def test_hosts_that_are_kept_warm_are_paid_for() -> None:
    work = work_of(
        {"data/images": "60"}, launcher="sagemaker", instance_type="ml.m5.xlarge", hosts=1
    )
    found = estimate(work, hosts(), limit_s=3600, predictor=None, book=BOOK, kept_s=1800)
    assert found.high_usd == Decimal("0.345")  # 1.5 h at 0.23


def test_an_estimate_is_within_its_ceiling_and_warns_of_the_time_limit() -> None:
    history = Truth(5).history(20, backbone="resnet50")
    params = {"data/images": "10000", "train/backbone": "resnet50", "train/engine": "f32"}
    found, said = foresee(
        hosts(), params, history=history, book=BOOK, limit_s=120, checkpoints=True
    )
    assert found.likely_high_usd == found.high_usd
    assert any("not be done within max_runtime_s 120" in text for text in said)
    long, said = foresee(
        hosts(), params, history=history, book=BOOK, limit_s=400_000, checkpoints=True
    )
    assert long.likely_high_usd is not None
    assert long.expected_usd is not None
    assert long.low_usd < long.expected_usd < long.likely_high_usd < long.high_usd
    assert not any("max_runtime_s" in text for text in said)


def work(**changes: object) -> Work:
    plain = work_of(
        {"data/images": "1000", "train/engine": "f32"},
        launcher="sagemaker",
        instance_type="ml.m5.xlarge",
        hosts=1,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_each_warning_has_its_cause() -> None:
    ceiling = estimate(work(), hosts(), limit_s=3600, predictor=None, book=BOOK)
    need = need_of(
        work(), [record(params={"train/backbone": "resnet50"}, metrics={"memory/peak_mb": 9000.0})]
    )

    def said(where: Hosts, job: Work, *, checkpoints: bool = True) -> list[str]:
        return list(warnings(job, where, ceiling, need, checkpoints=checkpoints, limit_s=3600))

    assert said(hosts(), work()) == []
    (small,) = said(hosts("ml.m5.large"), work(instance_type="ml.m5.large"))
    assert small.startswith("ml.m5.large is too small: 8 GiB of memory, 10.7 needed")
    (idle,) = said(hosts("ml.g5.xlarge"), work(instance_type="ml.g5.xlarge"))
    assert "would be idle: engine f32 runs on the processors" in idle
    assert said(hosts("ml.g5.xlarge"), work(instance_type="ml.g5.xlarge", engine="cuda")) == []
    assert said(hosts(spot=True), work(), checkpoints=False) == [
        "spot without checkpoints: an interruption loses all work"
    ]
    (unknown,) = said(hosts("ml.unheard.of"), work())
    assert "its memory is not checked" in unknown


def test_the_floor_of_memory_is_what_recorded_runs_took() -> None:
    assert min(run["peak_mb"] for run in RECORDED["runs"]) >= LEAST_MB
    floor = need_of(work(), [])
    assert too_small(hosts("c5.large"), floor) == ""
    assert hardware("ml.c5.large") == hardware("c5.large")
    assert "0.5 GiB" in too_small(hosts("t3.nano"), floor)


def test_a_price_that_is_missing_is_warned_of_by_name() -> None:
    _, said = foresee(
        hosts(), {"data/images": "9"}, history=[], book=BOOK, limit_s=60, checkpoints=True
    )
    assert said == ("not in the estimate, no price in us-east-1: sagemaker training_storage",)
    _, said = foresee(
        hosts("c4.xlarge", spot=True), {}, history=[], book=BOOK, limit_s=60, checkpoints=True
    )
    assert said == ("no spot quote for c4.xlarge in us-east-1: reckoned on demand, an upper bound",)
