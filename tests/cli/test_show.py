from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from cli import show
from experiments.leaderboard import leaderboard
from experiments.records import RunStatus
from tests.experiments.build import plan, record


def test_records_become_plain_json() -> None:
    shown = json.loads(json.dumps(show.plain(plan("plain"))))
    assert shown["calls"][0]["operation"] == "run_instances"
    assert Decimal(shown["estimate"]["high_usd"]) == plan("plain").estimate.high_usd
    moment = datetime(2026, 11, 1, tzinfo=UTC)
    assert show.plain({"at": moment, "usd": Decimal("0.10"), "body": b"abc", "set": {1}}) == {
        "at": "2026-11-01T00:00:00+00:00",
        "usd": "0.10",
        "body": "<3 bytes>",
        "set": [1],
    }


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, "-"), (0.04, "0.0 s"), (59.94, "59.9 s"), (61, "1 min 01 s")]
)
def test_durations_read_well(seconds: float | None, shown: str) -> None:
    assert show.seconds(seconds) == shown


def test_brackets_in_a_reason_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    reason = "[/opt/ml] is [red] full"
    failed = record(status=RunStatus.FAILED, reason=reason, metrics={})
    show.leaderboard_table(leaderboard([failed]))
    assert reason in capsys.readouterr().out


def test_a_plan_shows_what_is_sent_what_it_costs_and_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = plan("two")
    show.launch_plan(found)
    said = capsys.readouterr().out
    for text in ("two", "sagemaker create_training_job", "at most $", *found.reasons):
        assert text in said


def test_the_leaderboard_is_the_same_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    records = [record(run_id="a"), record(run_id="b", metrics={"test/top1": 0.95})]
    show.leaderboard(records, as_json=True)
    rows = json.loads(capsys.readouterr().out)
    assert [row["run_id"] for row in rows] == ["b", "a"]
    assert rows[0]["cost_usd"] == "0.01"
