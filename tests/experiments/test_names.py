"""The documented table of names, what is documented, and what the programs write."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from experiments import names
from experiments.names import TABLE, named, table_markdown
from experiments.records import Basis, Cost
from experiments.source import ROOT
from experiments.tracking.notes import closing_tags, opening_tags
from tests.experiments.build import plan, record


def test_the_document_shows_the_table() -> None:
    assert table_markdown() in (ROOT / "docs" / "tracking.md").read_text(encoding="utf-8")


def test_no_row_stands_twice() -> None:
    keys = [(row.kind, row.name) for row in TABLE]
    assert len(set(keys)) == len(keys)


def written_metrics() -> Iterator[str]:
    """Every name that the training program gives a metric, `*` for the parts that vary."""
    for path in sorted((ROOT / "training").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr != "metric" or not node.args:
                continue
            name = node.args[0]
            if isinstance(name, ast.Constant):
                yield str(name.value)
            elif isinstance(name, ast.JoinedStr):
                parts = [p.value if isinstance(p, ast.Constant) else "x" for p in name.values]
                yield "".join(map(str, parts))


def test_every_metric_of_the_training_program_is_in_the_table() -> None:
    found = set(written_metrics())
    assert "time/total_s" in found
    # A leading part that varies is a stage ("deep/" or nothing) or a split.
    known = {n.replace("xtrain/", "train/").replace("xvalid/", "valid/") for n in found}
    known = {"test/x" if n == "x/x" else n for n in known}
    assert [name for name in sorted(known) if named("metric", name) is None] == []


@pytest.mark.parametrize("name", ["cost/usd", "cost/so_far_usd", "time/billable_s"])
def test_every_metric_of_the_launcher_is_in_the_table(name: str) -> None:
    row = named("metric", name)
    assert row is not None
    assert row.by == "launcher"


def test_every_param_of_a_launch_is_in_the_table() -> None:
    assert [key for key in plan().params if named("param", key) is None] == []
    assert named("param", "env/torch") is not None


def test_every_tag_of_a_run_is_in_the_table() -> None:
    tags = {**opening_tags(plan()), **closing_tags(record(), Cost(basis=Basis.BILLED))}
    constants = {
        value
        for value in vars(names).values()
        if isinstance(value, str) and value.startswith(("pedigree.", "cost."))
    }
    ours = {tag for tag in tags if not tag.startswith("mlflow.")} | constants
    assert [tag for tag in sorted(ours) if named("tag", tag) is None] == []


def test_what_is_not_in_the_table_has_no_row() -> None:
    assert named("metric", "bogus") is None
    assert named("tag", "test/top1") is None
