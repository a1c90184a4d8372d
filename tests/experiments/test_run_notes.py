from __future__ import annotations

import json
from decimal import Decimal

from experiments.records import Basis, Cost, RunStatus
from experiments.tracking.notes import cost_table, launch_note, requests_text, settled_note
from tests.experiments.build import REGION, book, plan, record, run_cost, usage


def ledger() -> Cost:
    return run_cost(
        usage(36_000),
        launcher="ec2",
        instance_type="c5.xlarge",
        region=REGION,
        volume_gb=30,
        book=book(),
        basis=Basis.SIMULATED,
    )


def test_the_exact_requests_are_kept() -> None:
    found = plan("plain")
    (shown,) = json.loads(requests_text(found))
    assert (shown["service"], shown["operation"]) == ("ec2", "run_instances")
    assert shown["params"] == found.calls[0].params
    assert shown["why"]


def test_a_launch_says_why() -> None:
    found = plan()
    assert all(f"- {reason}" in launch_note(found) for reason in found.reasons)


def test_a_settled_run_shows_every_line_of_its_bill() -> None:
    note = settled_note(record(), ledger())
    assert note.startswith("## one: sagemaker, ml.m5.xlarge\n\n**succeeded**")
    assert "| 1 x c5.xlarge | 10 hour | 0.17 (read 2026-11-01) | 1.7 |" in note
    assert f"| **total, simulated** | | | **{ledger().total_usd}** |" in note
    assert "| test/top1 |\n|---:|\n| 0.9 |" in note
    assert "Not counted: data transfer out of AWS" in note


def test_a_settled_run_keeps_what_its_hosts_warned_of() -> None:
    note = settled_note(record(warnings=("class 'pug' has two photos",)), ledger())
    assert "\n- **warning:** class 'pug' has two photos\n\n| test/top1" in note


def test_a_refused_run_says_why_and_costs_nothing() -> None:
    refused = record(status=RunStatus.REFUSED, reason="no quota")
    note = settled_note(refused, Cost(basis=Basis.BILLED))
    assert "\n**refused** no quota\n" in note
    assert "| **total, billed** | | | **0** |" in note


def test_the_table_loses_no_digit() -> None:
    cost = ledger()
    table = cost_table(cost)
    assert {len(column) for column in table.values()} == {2}
    assert sum((Decimal(usd) for usd in table["usd"]), Decimal(0)) == cost.total_usd
    assert table["quantity"][0] == "10"
    assert cost_table(Cost(basis=Basis.BILLED))["usd"] == []
