"""`pedigree runs` and `pedigree compare`: which run was worth it, and what differs."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from cli.workspace import Workspace, json_option

if TYPE_CHECKING:
    from experiments.comparison import Comparison, MetricRow, Side
    from experiments.intervals import Interval
    from experiments.records import RunRecord
    from experiments.tracking import Tracker

_PREDICTIONS = "predictions.jsonl"


def _write_csv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    out = csv.DictWriter(sys.stdout, columns, lineterminator="\n", extrasaction="ignore")
    out.writeheader()
    for row in rows:
        lists = {k: "; ".join(v) for k, v in row.items() if isinstance(v, list)}
        out.writerow({**row, **lists})


@click.command()
@click.option("--experiment", help="Only the runs of this experiment.")
@click.option("--front", is_flag=True, help="Only those that no other run beats in both.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV for a spreadsheet.")
@json_option
def runs(experiment: str | None, front: bool, as_csv: bool, as_json: bool) -> int:
    """Show all runs: best quality first, with what each cost and how long it took."""
    from cli import show
    from experiments.leaderboard import leaderboard, pareto_front
    from experiments.tracking.sql import board

    with show.waiting("reading the tracker"):
        records = board(Workspace.here().open_tracker(), experiment)
    if front:
        best = pareto_front(records)
        records = [record for record in records if record.run_id in best]
    if as_csv:
        rows = [row.as_dict() for row in leaderboard(records)]
        _write_csv(tuple(rows[0]) if rows else ("rank", "name", "run_id"), rows)
        return 0
    if not records and not as_json:
        show.say("no runs yet; start with `make demo` or `pedigree run specs/demo.yaml`")
        return 0
    show.leaderboard(records, as_json=as_json)
    return 0


@click.command()
@click.argument("first")
@click.argument("second")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV for a spreadsheet.")
@json_option
def compare(first: str, second: str, as_csv: bool, as_json: bool) -> int:
    """Show what differs between two runs, given by id or name: results, cost, settings, lineage."""
    from cli import show
    from experiments.comparison import compare as held_against

    tracker = Workspace.here().open_tracker()
    with show.waiting("reading the tracker"):
        records = tracker.runs()
        one, two = tracker.find(first, records), tracker.find(second, records)
        found = held_against(_side(tracker, one), _side(tracker, two))
    if as_json:
        show.print_json({**show.plain(found), "verdict": found.verdict})
    elif as_csv:
        rows = [
            {"kind": kind, "name": name, "first": a, "second": b}
            for kind, name, a, b in _flat(found)
        ]
        _write_csv(("kind", "name", "first", "second"), rows)
    else:
        _tables(found, one, two)
    return 0


def _side(tracker: Tracker, record: RunRecord) -> Side:
    from experiments.comparison import Side, read_bill
    from experiments.intervals import read_answers

    return Side(
        record=record,
        answers=read_answers(tracker.read_text(record.tracker_run_id, _PREDICTIONS) or ""),
        bill=read_bill(tracker.read_text(record.tracker_run_id, "cost.json") or ""),
    )


def _flat(found: Comparison) -> list[tuple[str, str, str, str]]:
    """Every difference as one row: kind, name and both values."""
    rows = [("fact", d.name, d.first, d.second) for d in found.facts]
    rows += [("metric", row.name, *_figures(row)) for row in found.metrics]
    rows += [("param", d.name, d.first, d.second) for d in found.params]
    bills = [{line.item: line.usd for line in bill} for bill in found.bills]
    items = dict.fromkeys(item for bill in bills for item in bill)
    rows += [("cost", i, bills[0].get(i, "-"), bills[1].get(i, "-")) for i in items]
    rows += [("lineage", part.part, part.first, part.second) for part in found.lineage]
    return rows


def _figures(row: MetricRow) -> tuple[str, str]:
    return _figure(row.first, row.first_interval), _figure(row.second, row.second_interval)


def _figure(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return "-"
    sure = f" ({interval.low:.3f} to {interval.high:.3f})" if interval else ""
    return f"{value:.6g}{sure}"


def _tables(found: Comparison, one: RunRecord, two: RunRecord) -> None:
    from cli import show

    rows = [row for row in _flat(found) if row[0] != "lineage"]
    title = f"{one.name} ({one.run_id}) and {two.name} ({two.run_id})"
    show.table(title, ("kind", "name", one.name, two.name), rows)
    show.say(found.verdict)
    if one.cost_basis is not two.cost_basis:
        show.say("their costs are of different kinds and say nothing about each other")
    for part in found.lineage:
        same = "the same" if part.same else f"{part.first[:19]} and {part.second[:19]}"
        show.say(f"{part.part}: {same}")
    show.say(f"{found.same} other settings and figures are the same")
