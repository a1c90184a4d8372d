"""`pedigree simulate`: what a person types, reads, and gets wrong."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cli.main import invoke, pedigree
from cli.measure_service import measure_archive
from cli.simulation_inputs import (
    counted_invocations,
    default_settings,
    read_trace,
    settings_of,
)
from deployment.settings import ServingSettings
from experiments.contract import faults
from experiments.errors import DataError
from experiments.records import Call
from tests.serving.builders import write_archive

NOW = datetime(2026, 11, 2, tzinfo=UTC)
MOMENT = "2026-11-01T10:00:30Z"
SHORT = ["--hours", "0.5", "--seeds", "2"]
Said = pytest.CaptureFixture[str]


def run(*words: str) -> int:
    return invoke(pedigree, ["simulate", *words], name="pedigree")


def test_the_settings_are_those_of_a_promotion() -> None:
    ours, theirs = default_settings(), ServingSettings(app="any")
    assert ours.target_per_minute == theirs.target_invocations_per_instance == 25
    assert (ours.min_instances, ours.max_instances) == (1, 3)
    assert (ours.scale_in_cooldown_s, ours.scale_out_cooldown_s) == (300, 30)
    assert (ours.reserved_concurrency, ours.provisioned_concurrency) == (5, 3)
    changed = ServingSettings(app="any", instance_type="ml.m5.xlarge", memory_mb=512)
    assert settings_of(changed).instance_type == "ml.m5.xlarge"
    assert settings_of(changed).memory_mb == 512


def test_a_program_reads_everything(capsys: Said) -> None:
    assert run("--json", "--traffic", "constant:2/s", "--slo", "p99=1ms", *SHORT) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["basis"] == "simulated"
    assert found["missed"]
    assert len(found["sums"]) == 2
    assert len(found["slots"]) == 30
    for one in found["sums"]:
        lost = one["refused_front"] + one["refused_endpoint"] + one["failed"]
        assert one["arrivals"] == one["answered"] + lost
    lines = found["month"]["lines"]
    assert sum(Decimal(line["usd"]) for line in lines) == Decimal(found["month_usd"])
    assert {"instances", "lambda requests", "provisioned concurrency", "logs"} <= {
        line["component"] for line in lines
    }
    assert any("instance_start_s" in line for line in found["not_known"])


def test_a_recommendation_for_a_program(capsys: Said) -> None:
    words = ("--json", "--recommend", "--slo", "p99=800ms", "--try-type", "ml.m5.large")
    assert run(*words, "--traffic", "constant:1/s", *SHORT) == 0
    found = json.loads(capsys.readouterr().out)["recommendation"]
    assert found["best"]["missed"] == []
    assert found["front"]
    assert found["sensitivities"][0]["words"]


def test_a_person_sees_the_price_the_goal_and_the_doubts(capsys: Said) -> None:
    assert run("--traffic", "constant:30/s", "--slo", "p99=800ms", *SHORT) == 0
    said = capsys.readouterr().out
    for text in ("USD a month", "misses the goal:", "429", "what this does not know", "assumed:"):
        assert text in said


def test_the_timeline_and_the_charts_are_files(tmp_path: Path, capsys: Said) -> None:
    table, page, picture = (tmp_path / name for name in ("t.csv", "c.html", "c.png"))
    assert run("--csv", str(table), "--chart", str(page), *SHORT) == 0
    assert run("--chart", str(picture), *SHORT) == 0
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert [row["seed"] for row in rows] == ["1"] * 30 + ["2"] * 30
    assert "What this does not know" in page.read_text(encoding="utf-8")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_trace_is_simulated_for_its_own_length(tmp_path: Path, capsys: Said) -> None:
    trace = tmp_path / "visits.csv"
    trace.write_text("time\n" + "\n".join(str(1_700_000_000 + 10 * i) for i in range(60)) + "\n")
    assert run("--json", "--trace", str(trace), "--seeds", "1") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sums"][0]["arrivals"] == 60
    assert found["length_s"] == 660


def captured(*moments: str) -> bytes:
    lines = [json.dumps({"eventMetadata": {"inferenceTime": moment}}) for moment in moments]
    return "\n".join(lines).encode()


def test_captured_requests_come_from_a_folder(tmp_path: Path) -> None:
    for hour in ("10", "11"):
        folder = tmp_path / "dogs" / hour
        folder.mkdir(parents=True)
        (folder / "a.jsonl").write_bytes(captured(f"2026-11-01T{hour}:00:30Z"))
    traffic = read_trace(str(tmp_path), "local")
    assert traffic.expected(0, 3660) == 2
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="jsonl"):
        read_trace(str(tmp_path / "empty"), "local")


class Watched:
    """CloudWatch with two minutes of one endpoint; the request has to be one that AWS knows."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def ask(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        call = Call(service=service, operation=operation, params=params, why="")
        assert faults(call) == []
        self.calls.append(call)
        if params["Dimensions"][0]["Value"] != "dogs-prod":
            return {"Datapoints": []}
        return {
            "Datapoints": [
                {"Timestamp": NOW - timedelta(minutes=3), "Sum": 9.0},
                {"Timestamp": NOW - timedelta(minutes=4), "Sum": 6.0},
            ]
        }


def test_traffic_comes_from_cloudwatch() -> None:
    cloud = Watched()
    traffic = counted_invocations(cloud, "dogs-prod", NOW)  # type: ignore[arg-type]
    assert [traffic.expected(60.0 * m, 60.0 * m + 60) for m in (0, 1)] == [6, 9]
    with pytest.raises(DataError, match="no counts"):
        counted_invocations(cloud, "cats-prod", NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--traffic", "heavy"], "traffic"),
        (["--trace", "/nowhere.csv"], "nowhere"),
        (["--traffic", "little", "--trace", "x"], "both"),
        (["--service-ms", "0"], "service time"),
        (["--service-ms", "60", "--archive", "x"], "--archive"),
        (["--service-file", "/nowhere"], "nowhere"),
        (["--archive", "/nowhere.tar.gz"], "nowhere"),
        (["--provisioned", "9"], "provisioned"),
        (["--min-instances", "5"], "instances"),
        (["--instance-type", "ml.g5.xlarge"], "vCPUs"),
        (["--instance-type", "ml.m5.24xlarge"], "price"),
        (["--serverless-memory-mb", "1000"], "serverless"),
        (["--serverless-usd-per-gb-s", "cheap"], "--serverless-usd-per-gb-s is 'cheap'"),
        (["--slo", "p99=fast"], "goal"),
        (["--max-429", "much"], "share"),
        (["--assume", "weather=1"], "assumption"),
        (["--assume", "certain=1"], "assumption"),
        (["--assume", "init_ms"], "value"),
        (["--assume", "init_ms=soon"], "number"),
        (["--price", "x=-1"], "cannot be"),
        (["--hours", "1000000"], "simulated"),
        (["--chart", "chart.pdf"], "chart"),
        (["--region", "mars-1"], "price"),
    ],
)
def test_what_is_typed_wrong_is_told_with_its_fix(
    words: list[str], named: str, capsys: Said
) -> None:
    assert run("--json", *words) == 2
    said = json.loads(capsys.readouterr().err)
    assert named in said["error"]
    assert said["fix"]


@pytest.mark.parametrize(
    "rate",
    [["--price", "serverless_gb_second=0.00002"], ["--serverless-usd-per-gb-s", "0.00002"]],
)
def test_assumptions_settings_and_prices_are_taken(rate: list[str], capsys: Said) -> None:
    words = ["--assume", "instance_start_s=420", "--assume", "grows_in_cooldown=0"]
    words += ["--serverless-memory-mb", "4096", *rate]
    words += ["--reserved", "0", "--service-ms", "80", "--measured-on", "4"]
    assert run("--json", *words, *SHORT) == 0
    found = json.loads(capsys.readouterr().out)
    assert any("instance_start_s = 420.0" in line for line in found["not_known"])
    assert any("grows_in_cooldown = False" in line for line in found["not_known"])
    assert found["settings"]["reserved_concurrency"] is None
    assert found["photo_ms"] == pytest.approx(80 * 4 / (4096 / 1769))
    assert found["month"]["unpriced"] == []


@pytest.mark.slow
def test_a_packaged_model_is_measured_here(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_archive(folder)
    found = measure_archive(folder, None)
    assert len(found.samples_s) > 20
    assert 0 < found.mean_s < 5
    assert found.vcpus
    assert "measured here" in found.source
    (folder / "model.xml").unlink()
    with pytest.raises(DataError, match="cannot be served"):
        measure_archive(folder, None)
