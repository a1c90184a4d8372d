"""Make, stop and delete a notebook instance, and reckon what it cost by the times AWS tells."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from experiments.aws import Cloud, is_code, perform_with_role
from experiments.cost import HOURS_PER_MONTH, SECONDS_PER_HOUR, line
from experiments.errors import CloudError, RunError
from experiments.notebooks.plan import VOLUME_GB, NotebookPlan
from experiments.records import Basis, Cost, Price

_POLL_S = 10.0
_LONGEST_S = 900.0
_GONE = ("ValidationException", "ResourceNotFound", "ResourceNotFoundException")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A notebook instance as AWS shows it. `changed_at` is when it came into its present state."""

    name: str
    status: str
    instance_type: str
    changed_at: datetime
    lifecycle: str


def look(cloud: Cloud, name: str) -> Seen | None:
    """The instance, or None if there is none of this name."""
    try:
        answer = cloud.ask("sagemaker", "describe_notebook_instance", NotebookInstanceName=name)
    except CloudError as error:
        if is_code(error, *_GONE):
            return None
        raise
    return Seen(
        name=name,
        status=str(answer["NotebookInstanceStatus"]),
        instance_type=str(answer["InstanceType"]),
        changed_at=answer["LastModifiedTime"],
        lifecycle=str(answer.get("NotebookInstanceLifecycleConfigName", "")),
    )


def create(cloud: Cloud, plan: NotebookPlan, *, sleep: Callable[[float], None]) -> None:
    """Make what the plan lacks, or start what is stopped. Safe to repeat."""
    seen = look(cloud, plan.name)
    if seen is not None:
        if seen.status == "Stopped":
            cloud.ask("sagemaker", "start_notebook_instance", NotebookInstanceName=plan.name)
        return
    for call in plan.calls:
        try:
            perform_with_role(cloud, call, sleep=sleep)
        except CloudError as error:
            # The configuration's name holds its content: one that is there is this one.
            there = "already exists" in error.message
            if call.operation != "create_notebook_instance_lifecycle_config" or not there:
                raise


def stop(cloud: Cloud, name: str) -> None:
    """Stop an instance that runs; its disk stays and goes on costing. Raises RunError if there is none."""
    seen = _there(cloud, name)
    if seen.status == "InService":
        cloud.ask("sagemaker", "stop_notebook_instance", NotebookInstanceName=name)


def delete(cloud: Cloud, name: str, *, sleep: Callable[[float], None]) -> None:
    """Stop and delete an instance with its disk and its lifecycle configuration."""
    seen = _there(cloud, name)
    await_status(cloud, name, ("InService", "Stopped", "Failed"), sleep=sleep)
    stop(cloud, name)
    await_status(cloud, name, ("Stopped", "Failed"), sleep=sleep)
    cloud.ask("sagemaker", "delete_notebook_instance", NotebookInstanceName=name)
    await_status(cloud, name, (), sleep=sleep)
    if seen.lifecycle:
        cloud.ask(
            "sagemaker",
            "delete_notebook_instance_lifecycle_config",
            NotebookInstanceLifecycleConfigName=seen.lifecycle,
        )


def _there(cloud: Cloud, name: str) -> Seen:
    seen = look(cloud, name)
    if seen is None:
        raise RunError(
            f"there is no notebook instance {name}", fix="`pedigree notebook create` makes one"
        )
    return seen


def await_status(
    cloud: Cloud, name: str, wanted: Iterable[str], *, sleep: Callable[[float], None]
) -> Seen | None:
    """Wait until the instance has one of these states, or until it is gone."""
    states, waited_s = set(wanted), 0.0
    while True:
        seen = look(cloud, name)
        if seen is None or seen.status in states:
            return seen
        if seen.status == "Failed" or waited_s > _LONGEST_S:
            raise RunError(
                f"notebook instance {name} is {seen.status}", fix="look at it in the AWS console"
            )
        sleep(_POLL_S)
        waited_s += _POLL_S


def note(journal: Path, seen: Seen) -> None:
    """Keep a state that AWS showed, once: what the cost is reckoned from."""
    entry = {
        "status": seen.status,
        "at": seen.changed_at.isoformat(),
        "instance_type": seen.instance_type,
    }
    if entry in history(journal):
        return
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
        file.flush()
        os.fsync(file.fileno())


def history(journal: Path) -> list[dict[str, Any]]:
    """The states that were kept, oldest first."""
    if not journal.is_file():
        return []
    entries = [json.loads(text) for text in journal.read_text("utf-8").splitlines() if text]
    return sorted(entries, key=lambda entry: datetime.fromisoformat(entry["at"]))


def cost(
    entries: Iterable[dict[str, Any]],
    *,
    hour: Price,
    disk: Price | None,
    basis: Basis,
    now: datetime,
) -> Cost:
    """What the instance cost by `now`: the hours in service, and its disk from the first to the last state.

    A start and stop that nobody looked at in between is not in `entries` and not counted.
    """
    used_s, since, first = Decimal(0), None, None
    last = now
    for entry in entries:
        at = datetime.fromisoformat(entry["at"])
        first = first or at
        if since is not None:
            used_s += Decimal(str((at - since).total_seconds()))
        since = at if entry["status"] in ("InService", "Updating") else None
        last = at if entry["status"] == "Deleted" else now
    if since is not None:
        used_s += Decimal(str((now - since).total_seconds()))
    if first is None:
        return Cost(basis=basis)
    lines = [line(f"notebook on {hour.instance_type}", used_s, hour, per=SECONDS_PER_HOUR)]
    held_s = Decimal(str((last - first).total_seconds()))
    if disk is not None:
        share = held_s * VOLUME_GB / (HOURS_PER_MONTH * SECONDS_PER_HOUR)
        lines.append(line(f"{VOLUME_GB} GB notebook volume", share, disk))
    lacking = () if disk is not None else (f"{VOLUME_GB} GB notebook volume: no price in the book",)
    return Cost(basis=basis, lines=tuple(lines), not_counted=lacking)
