"""What a tracked run says of itself: its requests, its reasons and its bill, as text and tables."""

from __future__ import annotations

import json
from typing import Any

from experiments.records import Cost, LaunchPlan, RunRecord


def requests_text(plan: LaunchPlan) -> str:
    """The exact requests of a launch, as JSON."""
    shown = [
        {"service": c.service, "operation": c.operation, "why": c.why, "params": c.params}
        for c in plan.calls
    ]
    return json.dumps(shown, indent=2, default=str)


def launch_note(plan: LaunchPlan) -> str:
    """Why this run is launched as it is, in Markdown."""
    return "\n".join(f"- {text}" for text in (*plan.reasons, *plan.warnings))


def settled_note(record: RunRecord, cost: Cost) -> str:
    """What became of a run and what it cost, line by line, in Markdown."""
    lines = [f"**{record.status.value}** {record.reason}".strip(), ""]
    lines += [
        f"- {line.item}: {line.quantity} {line.price.unit} at {line.price.usd} USD"
        f" (read {line.price.as_of}, {line.price.source}) = {line.usd} USD"
        for line in cost.lines
    ]
    lines.append(f"- total {cost.total_usd} USD, {cost.basis.value}")
    if cost.not_counted:
        lines.append(f"- not counted: {', '.join(cost.not_counted)}")
    return "\n".join(lines)


def cost_table(cost: Cost) -> dict[str, list[Any]]:
    """The ledger as columns; figures are text, so that no digit is lost."""
    rows = [
        {
            "item": line.item,
            "quantity": str(line.quantity),
            "unit": line.price.unit,
            "price_usd": str(line.price.usd),
            "price_date": line.price.as_of,
            "price_source": line.price.source,
            "usd": str(line.usd),
            "basis": cost.basis.value,
        }
        for line in cost.lines
    ]
    columns = (
        "item",
        "quantity",
        "unit",
        "price_usd",
        "price_date",
        "price_source",
        "usd",
        "basis",
    )
    return {column: [row[column] for row in rows] for column in columns}
