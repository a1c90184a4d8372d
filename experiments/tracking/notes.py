"""What a tracked run says of itself: its tags, its requests, its reasons and its bill, as text and tables."""

from __future__ import annotations

import json
from typing import Any

from experiments import names
from experiments.records import Cost, LaunchPlan, RunRecord, RunStatus


def requests_text(plan: LaunchPlan) -> str:
    """The exact requests of a launch, as JSON."""
    shown = [
        {"service": c.service, "operation": c.operation, "why": c.why, "params": c.params}
        for c in plan.calls
    ]
    return json.dumps(shown, indent=2, default=str)


def opening_tags(plan: LaunchPlan) -> dict[str, str]:
    """The tags of a run that is about to be launched."""
    return {
        names.RUN_ID: plan.run_id,
        names.STATUS: RunStatus.SUBMITTED.value,
        names.CODE_DIGEST: plan.params.get("code/digest", ""),
        names.DATASET_DIGEST: plan.params.get("data/digest", ""),
        names.OWNER: plan.tags.get("pedigree:owner", ""),
        names.EXPIRES: plan.tags.get("pedigree:expires", ""),
        "mlflow.source.name": "pedigree",
        "mlflow.source.git.commit": plan.params.get("code/git_commit", ""),
        "mlflow.user": plan.tags.get("pedigree:owner", ""),
        "mlflow.note.content": launch_note(plan),
    }


def closing_tags(record: RunRecord, cost: Cost) -> dict[str, str]:
    """The tags of a settled run."""
    tags = {
        names.STATUS: record.status.value,
        names.REASON: record.reason,
        names.PHASE: "",
        names.COST_USD: str(cost.total_usd),
        names.COST_BASIS: cost.basis.value,
        names.MODEL_URI: record.model_uri or "",
        "mlflow.note.content": settled_note(record, cost),
    }
    if cost.lines:
        price = cost.lines[0].price
        tags[names.COST_PRICE] = f"{price.usd} USD per {price.unit}"
        tags[names.COST_PRICE_DATE] = price.as_of
    return tags


def launch_note(plan: LaunchPlan) -> str:
    """Why this run is launched as it is, in Markdown."""
    hosts = f"{plan.instance_count} x " if plan.instance_count > 1 else ""
    lines = [f"## {plan.run_name}: {plan.launcher}, {hosts}{plan.instance_type}", ""]
    lines += [f"- {text}" for text in plan.reasons]
    lines += [f"- **warning:** {text}" for text in plan.warnings]
    lines += [
        "",
        f"Follow it: `pedigree attach {plan.run_id}`. Its requests: `launch/requests.json`.",
    ]
    return "\n".join(lines)


def settled_note(record: RunRecord, cost: Cost) -> str:
    """What became of a run and what it cost, line by line, in Markdown."""
    hosts = f"{record.hosts} x " if record.hosts > 1 else ""
    lines = [
        f"## {record.name}: {record.launcher}, {hosts}{record.instance_type}",
        "",
        f"**{record.status.value}** {record.reason}".strip(),
        "",
    ]
    lines += [f"- **warning:** {text}" for text in record.warnings]
    lines += [""] if record.warnings else []
    lines += _scores(record)
    lines += ["| item | quantity | price | USD |", "|---|---:|---:|---:|"]
    lines += [
        f"| {line.item} | {line.quantity} {line.price.unit} | {line.price.usd}"
        f" (read {line.price.as_of}) | {line.usd} |"
        for line in cost.lines
    ]
    lines.append(f"| **total, {cost.basis.value}** | | | **{cost.total_usd}** |")
    if cost.not_counted:
        lines += ["", f"Not counted: {', '.join(cost.not_counted)}."]
    return "\n".join(lines)


def _scores(record: RunRecord) -> list[str]:
    shown = [(n, v) for n, v in sorted(record.metrics.items()) if n.startswith("test/")]
    if not shown:
        return []
    return [
        "| " + " | ".join(name for name, _ in shown) + " |",
        "|" + "---:|" * len(shown),
        "| " + " | ".join(f"{value:.4g}" for _, value in shown) + " |",
        "",
    ]


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
