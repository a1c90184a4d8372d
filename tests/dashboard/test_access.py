"""Who is let in, who may act, and what is written down of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dashboard.access import audit, may_act, must_ask


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1"])
def test_loopback_asks_nobody(address: str) -> None:
    assert not must_ask(address)


@pytest.mark.parametrize("address", [None, "", "0.0.0.0", "10.0.0.4", "::", "dogs.example"])
def test_any_other_address_asks(address: str | None) -> None:
    assert must_ask(address)


def test_at_the_machine_one_is_the_operator_and_from_elsewhere_only_by_name() -> None:
    assert may_act("local", "", public=False)
    assert not may_act("local", "", public=True)
    assert may_act("ada@dogs.example", "bob@dogs.example, ada@dogs.example", public=True)
    assert not may_act("eve@dogs.example", "ada@dogs.example", public=True)
    assert not may_act("", "", public=True)


def test_an_action_leaves_one_line(tmp_path: Path) -> None:
    now = datetime(2026, 11, 20, 9, tzinfo=UTC)
    audit(tmp_path, "rollback r-1", "dogs-prod", person="local", now=now)
    audit(tmp_path, "promote-model a1", "dogs-prod", person="ada", now=now)
    lines = (tmp_path / ".pedigree" / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["who"] for line in lines] == ["local", "ada"]
    assert json.loads(lines[0])["action"] == "rollback r-1"
