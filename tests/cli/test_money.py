"""The commands of prices, budgets and reconciliation, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.main import invoke, pedigree


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PEDIGREE_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def run(*words: str) -> int:
    return invoke(pedigree, list(words), name="pedigree")


def test_prices_are_shown_with_date_source_and_grade(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--service", "ec2", "--component", "instance", "--type", "c4.xlarge", "--json")
    assert run("prices", "show", "--region", "us-east-1", *words) == 0
    (row,) = json.loads(capsys.readouterr().out)["prices"]
    assert (row["usd"], row["grade"]) == ("0.199", "machine-generated")
    assert run("prices", "show") == 0
    assert "never guessed" in capsys.readouterr().out


def test_a_price_that_no_book_holds_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prices", "show", "--service", "sagemaker", "--component", "serverless") == 2
    assert "no price of sagemaker serverless" in capsys.readouterr().err
    assert run("prices", "show", "--book", "1999-01-01") == 2
    assert "name one of: 2026-10-04" in capsys.readouterr().err


def test_two_books_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prices", "diff", "2026-10-04", "2026-11-22", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {change["kind"] for change in found["changes"]} == {"new"}
    assert run("prices", "diff", "2026-10-04", "2026-11-22") == 0
    assert "vpc public_ipv4_hour" in capsys.readouterr().out


@pytest.mark.parametrize("words", [("prices", "refresh"), ("reconcile", "--month", "2026-11")])
def test_what_only_aws_knows_is_politely_refused_here(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 4
    assert "--cloud aws" in capsys.readouterr().err


def test_a_months_budget_is_set_and_removed(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("budget", "set", "--month", "12.50") == 0
    assert "at most $12.50 a month" in capsys.readouterr().out
    assert json.loads((workspace / ".pedigree" / "budget.json").read_text()) == {
        "month_usd": "12.50"
    }
    assert run("budget", "set", "--month", "none") == 0
    assert not (workspace / ".pedigree" / "budget.json").exists()
    assert run("budget", "set", "--month", "much") == 7
    assert "is no amount" in capsys.readouterr().err
