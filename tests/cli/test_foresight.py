"""The warning of `promote-model` and the range of `plan`, before anything is paid for."""

from __future__ import annotations

from typing import Any

import pytest

from cli.foresight import tell_foresight, tell_monthly_range
from deployment.settings import ServingSettings
from experiments.errors import SpecError

Said = pytest.CaptureFixture[str]


def options(**given: Any) -> dict[str, Any]:
    return {"slo": (), "traffic": None, "max_429": "0.1%", "service_ms": None, **given}


def test_settings_that_cannot_meet_the_goal_are_warned_of(capsys: Said) -> None:
    asked = options(slo=("p99=50ms",), traffic="constant:1/min")
    tell_foresight(ServingSettings(app="dogs"), asked, "us-east-1")
    said = capsys.readouterr()
    assert said.out == ""  # that is the plan's, which a program may read
    assert "warning:" in said.err
    assert "above 50 ms" in said.err
    assert "a month" in said.err


def test_settings_that_meet_it_are_said_to(capsys: Said) -> None:
    asked = options(slo=("p99=2s",), traffic="constant:1/min", service_ms=40.0)
    tell_foresight(ServingSettings(app="dogs"), asked, "us-east-1")
    said = capsys.readouterr().err
    assert "warning" not in said
    assert "p99=2s is met in every seed" in said


def test_nothing_is_simulated_unasked(capsys: Said) -> None:
    tell_foresight(ServingSettings(app="dogs"), options(), "us-east-1")
    tell_monthly_range(None, None, "us-east-1")
    assert capsys.readouterr().err == ""


def test_a_plan_tells_the_month_s_range(capsys: Said) -> None:
    tell_monthly_range("constant:1/min", 60.0, "us-east-1")
    assert "$" in capsys.readouterr().err


def test_a_wrong_goal_is_refused() -> None:
    with pytest.raises(SpecError):
        tell_foresight(ServingSettings(app="dogs"), options(slo=("fast",)), "us-east-1")
