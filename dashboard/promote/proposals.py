"""Gates, price and history of releases as tables. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from dashboard import formats
from deployment.gates.gate import Gate
from deployment.monthly import Monthly
from deployment.plan.told import month_lines
from deployment.store import ReleaseRecord

# As `promote` and `rollback` tell of each step: " 3 of 12  create the endpoint".
_STEP = re.compile(r"^\s*(\d+) of (\d+)  (.+)$", re.MULTILINE)


def gate_rows(gates: Sequence[Gate]) -> pd.DataFrame:
    """One line for each piece of evidence."""
    rows = [
        [gate.name, "passed" if gate.passed else "NOT passed", what, found]
        for gate in gates
        for what, found in (gate.evidence or {"": ""}).items()
    ]
    return pd.DataFrame(rows, columns=["gate", "result", "evidence", "found"])


def month_rows(before: Monthly | None, after: Monthly) -> pd.DataFrame:
    """The month's price line by line, before and after."""
    rows = [
        [line.item, formats.usd(line.before_usd), formats.usd(line.after_usd)]
        for line in month_lines(before, after)
    ]
    return pd.DataFrame(rows, columns=["what", "before", "after"])


def history_rows(records: Sequence[ReleaseRecord], live_id: str) -> pd.DataFrame:
    """The releases, newest first, the live one marked."""
    rows = [
        [
            "live" if one.release.release_id == live_id else "",
            one.release.release_id,
            one.status.value,
            one.release.run_name,
            formats.share(one.release.metrics.get("test/top1")),
            formats.moment(one.release.created_at),
            one.message,
        ]
        for one in sorted(records, key=lambda r: r.release.created_at, reverse=True)
    ]
    columns = ["", "release", "status", "run", "test top-1", "made, UTC", "note"]
    return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True, kw_only=True)
class Step:
    """How far a change has come: this step, of so many, in the command's own words."""

    number: int
    total: int
    text: str


def last_step(log: str) -> Step | None:
    """The step that the command told of last; None before the first."""
    found = _STEP.findall(log)
    if not found:
        return None
    number, total, text = found[-1]
    return Step(number=int(number), total=int(total), text=text.strip())
