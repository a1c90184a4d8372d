"""The pages on the simulator say what it does: generated parts are current and commands run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from benchmarks import little_traffic
from cli.main import invoke, pedigree
from simulator.assumptions import TAKEN_FOR_GRANTED, Assumptions, stated

DOCS = Path(__file__).resolve().parents[2] / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def part(name: str) -> list[str]:
    match = re.search(f"<!-- {name} -->\n(.*?)<!-- end -->", page("simulator.md"), re.DOTALL)
    assert match is not None
    return match[1].splitlines()


def test_every_assumption_is_on_the_page() -> None:
    rows = [f"| `{one.name}` | {one.value} | {one.why} |" for one in stated(Assumptions())]
    assert part("assumptions")[2:] == rows
    assert part("granted") == [f"- {words}" for words in TAKEN_FOR_GRANTED]


COMMANDS = re.findall(r"^pedigree (simulate.*)$", page("simulator.md"), re.MULTILINE)


def test_there_are_commands_to_try() -> None:
    assert len(COMMANDS) >= 4


@pytest.mark.parametrize("words", COMMANDS)
def test_the_page_s_commands_run(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [*shlex.split(words), "--hours", "0.5", "--seeds", "2"]
    assert invoke(pedigree, asked, name="pedigree") == 0
    said = capsys.readouterr().out
    assert "in sum" in said
    assert "what this does not know" in said


def test_the_page_on_little_traffic_is_what_its_command_writes() -> None:
    """Its first half here; `make soak` holds all of it."""
    written = page("little-traffic.md")
    assert written.startswith(little_traffic.today()), "run `make little-traffic`"


@pytest.mark.soak
def test_the_whole_page_on_little_traffic_is_what_its_command_writes() -> None:
    assert page("little-traffic.md") == little_traffic.text(), "run `make little-traffic`"
