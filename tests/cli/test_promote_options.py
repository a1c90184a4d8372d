"""What `promote-model` is told becomes the rule, the demands, the settings and the rollout."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import click
import pytest
from click.testing import CliRunner

from cli import promote_options as read
from cli.main import pedigree
from deployment.choose import Rule
from deployment.gates.checklist import Demands
from deployment.gates.significance import Mode
from deployment.rollout import Rollout
from deployment.settings import ServingSettings
from experiments.errors import SpecError


def options(*words: str) -> dict[str, Any]:
    """The options as click reads them."""
    seen: dict[str, Any] = {}

    @click.command()
    @read.promote_options
    def command(**given: Any) -> None:
        seen.update(given)

    command.main(list(words), standalone_mode=False)
    return seen


def test_nothing_said_is_every_default() -> None:
    given = options()
    assert read.rule(given) == Rule()
    assert read.demands(given) == Demands()
    assert read.settings(given, app="dogs", stage="prod") == ServingSettings(app="dogs")
    assert read.rollout(given) == Rollout()


def test_every_group_is_read() -> None:
    given = options(
        *("--metric", "test/macro_f1", "--max-cost-usd", "5", "--min-top5", "0.95"),
        *("--significance", "better", "--alpha", "0.01", "--max-p99-ms", "80"),
        *("--requests-per-day", "500", "--max-month-usd", "100", "--override", "a drill"),
        *("--min-instances", "2", "--target-invocations", "600", "--provisioned-concurrency", "0"),
        *("--canary-percent", "50", "--bake-s", "600", "--alarm", "mine", "--alarm", "yours"),
    )
    rule = read.rule(given)
    assert (rule.metric, rule.max_cost_usd) == ("test/macro_f1", Decimal(5))
    assert rule.minimums == {"test/top5": 0.95}
    demands = read.demands(given)
    assert (demands.question.mode, demands.question.alpha) == (Mode.BETTER, 0.01)
    assert (demands.max_p99_ms, demands.max_month_usd) == (80, Decimal(100))
    assert (demands.traffic.requests_per_day, demands.override) == (500, "a drill")
    settings = read.settings(given, app="dogs", stage="trial")
    assert (settings.min_instances, settings.provisioned_concurrency) == (2, 0)
    assert settings.target_invocations_per_instance == 600
    assert settings.name == "dogs-trial"
    rollout = read.rollout(given)
    assert (rollout.canary_percent, rollout.bake_s) == (50, 600)
    assert rollout.alarms == ("mine", "yours")


def test_the_kind_of_endpoint_is_a_word_and_its_memory_a_number() -> None:
    def memory(*words: str) -> int:
        return read.settings(options(*words), app="dogs", stage="prod").serverless_memory_mb

    assert memory("--endpoint-kind", "real-time") == memory() == 0
    assert memory("--endpoint-kind", "serverless") == 2048
    assert memory("--endpoint-kind", "serverless", "--serverless-memory-mb", "4096") == 4096
    assert memory("--serverless-memory-mb", "1024") == 1024
    with pytest.raises(SpecError, match="a real-time endpoint has no"):
        memory("--endpoint-kind", "real-time", "--serverless-memory-mb", "1024")


def test_what_cannot_be_is_refused_before_a_cloud_is_asked() -> None:
    with pytest.raises(SpecError, match="shows the alarms nothing"):
        read.rollout(options("--bake-s", "10"))
    with pytest.raises(SpecError, match="from 4 to 3"):
        read.settings(options("--min-instances", "4"), app="dogs", stage="prod")


def test_the_help_says_what_the_numbers_mean() -> None:
    said = " ".join(CliRunner().invoke(pedigree, ["promote", "--help"]).output.split())
    assert "25 is 0.42 a second" in said
    assert "After instances were removed, the wait before more may be." in said
    assert "After instances were added, the wait before more may be." in said
    assert "paid by the second whether asked or not" in said
