"""Launch what was planned, watch it, mirror what it says, and settle the account."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from experiments import names
from experiments.aws import Cloud, is_code, perform_with_role
from experiments.cost import run_cost
from experiments.errors import CloudError, PedigreeError, RunError
from experiments.events import (
    environment,
    failure_message,
    latest_phase,
    metric_points,
    read_events,
)
from experiments.following.observe import (
    Cursor,
    ended_by,
    find_launched,
    live_lines,
    observe,
    output_files,
)
from experiments.following.stop import stop, why_stopped
from experiments.prices import PriceBook
from experiments.records import (
    Basis,
    Cost,
    LaunchPlan,
    Observation,
    RunHandle,
    RunRecord,
    RunStatus,
    Usage,
)
from experiments.tracking import Tracker

Report = Callable[[str, str], None]
"""Called with a run's name and what it is doing now."""
_YOUNG_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What an executor works with: the two doors, the prices, the log folder, and time."""

    cloud: Cloud
    tracker: Tracker
    book: PriceBook
    log_folder: Path
    report: Report
    poll_s: float
    now: Callable[[], datetime] = lambda: datetime.now(tz=UTC)
    sleep: Callable[[float], None] = time.sleep


@dataclass(kw_only=True)
class _Active:
    plan: LaunchPlan
    tracker_run_id: str
    handle: RunHandle
    cursor: Cursor = field(default_factory=Cursor)
    phase: str = ""
    cloud_phase: str = ""


def submit(plan: LaunchPlan, *, run_id: str, around: Surroundings) -> RunHandle:
    """Perform a plan's requests. `run_id` is the tracker's, opened before."""
    answer: dict[str, object] = {}
    for call in plan.calls:
        answer = perform_with_role(around.cloud, call, sleep=around.sleep)
    if plan.launcher == "ec2":
        instances = answer["Instances"]
        resource = str(instances[0]["InstanceId"])  # type: ignore[index]
    else:
        resource = str(plan.calls[-1].params["TrainingJobName"])
    around.tracker.tag(run_id, {names.RESOURCE: resource})
    return _handle(plan, resource, around)


def _handle(plan: LaunchPlan, resource: str, around: Surroundings) -> RunHandle:
    return RunHandle(
        run_id=plan.run_id,
        launcher=plan.launcher,
        resource_id=resource,
        submitted_at=around.now(),
    )


def run_plans(
    plans: Sequence[LaunchPlan], *, parallel: int, around: Surroundings
) -> list[RunRecord]:
    """Run every plan, at most `parallel` at a time, and return their records in order.

    A launch that AWS refuses becomes a run of status `refused` at $0. On Ctrl-C every run started
    here is stopped and settled before the interrupt goes on.
    """
    waiting = list(plans)
    active: list[_Active] = []
    records: dict[str, RunRecord] = {}
    try:
        while waiting or active:
            while waiting and len(active) < parallel:
                _start(waiting.pop(0), active, records, around)
            for run in list(active):
                seen = _watch(run, around)
                if seen.status.settled:
                    records[run.plan.run_id] = settle(run, seen, around)
                    active.remove(run)
            if active:
                around.sleep(around.poll_s)
    except BaseException as error:
        _stop_all(active, records, why_stopped(error), around)
        raise
    return [records[plan.run_id] for plan in plans]


def _start(
    plan: LaunchPlan,
    active: list[_Active],
    records: dict[str, RunRecord],
    around: Surroundings,
) -> None:
    tracker_run_id = around.tracker.open_run(plan, now=around.now())
    try:
        handle = submit(plan, run_id=tracker_run_id, around=around)
    except PedigreeError as error:
        seen = Observation(status=RunStatus.REFUSED, phase="", reason=error.message)
        records[plan.run_id] = _close_unlaunched(plan, tracker_run_id, seen, around)
        return
    except BaseException as error:  # before the answer was read: AWS may have the run all the same
        found = find_launched(around.cloud, plan)
        if found is None:
            seen = Observation(status=RunStatus.STOPPED, phase="", reason=why_stopped(error))
            records[plan.run_id] = _close_unlaunched(plan, tracker_run_id, seen, around)
        else:
            handle = _handle(plan, found, around)
            active.append(_Active(plan=plan, tracker_run_id=tracker_run_id, handle=handle))
        raise
    active.append(_Active(plan=plan, tracker_run_id=tracker_run_id, handle=handle))
    around.report(plan.run_name, f"submitted as {handle.resource_id}")


def _close_unlaunched(
    plan: LaunchPlan, tracker_run_id: str, seen: Observation, around: Surroundings
) -> RunRecord:
    nothing = Cost(basis=around.cloud.basis)
    record = _record(plan, tracker_run_id, seen, nothing)
    around.tracker.close_run(tracker_run_id, record, nothing)
    around.report(plan.run_name, f"{seen.status.value}: {seen.reason}")
    return record


def _watch(run: _Active, around: Surroundings) -> Observation:
    seen = _look(run, around)
    lines, run.cursor = live_lines(around.cloud, run.handle, run.plan, run.cursor)
    mirror(run.plan.run_id, run.tracker_run_id, lines, around)
    # What the program said last stands until AWS has something new to say.
    phase = latest_phase(lines) or (run.phase if seen.phase == run.cloud_phase else seen.phase)
    run.cloud_phase = seen.phase
    if phase != run.phase:
        run.phase = phase
        status = RunStatus.RUNNING if seen.status.settled else seen.status
        around.tracker.tag(run.tracker_run_id, {names.PHASE: phase, names.STATUS: status.value})
        around.report(run.plan.run_name, phase)
    return seen


def _look(run: _Active, around: Surroundings) -> Observation:
    try:
        return observe(around.cloud, run.handle, run.plan)
    except CloudError as error:
        age_s = (around.now() - run.handle.submitted_at).total_seconds()
        # EC2 may not know an instance yet that it has just started.
        if age_s < _YOUNG_S and is_code(error, "InvalidInstanceID.NotFound"):
            return Observation(status=RunStatus.SUBMITTED, phase="pending")
        raise


def mirror(run_id: str, tracker_run_id: str, lines: Sequence[str], around: Surroundings) -> None:
    """Keep lines in the run's own log, then write their metrics to the tracker. Safe to repeat."""
    if not lines:
        return
    around.log_folder.mkdir(parents=True, exist_ok=True)
    with (around.log_folder / f"{run_id}.log").open("a", encoding="utf-8") as log:
        log.writelines(f"{line}\n" for line in lines)
    around.tracker.log_points(tracker_run_id, metric_points(read_events(lines)))


def _stop_all(
    active: list[_Active], records: dict[str, RunRecord], why: str, around: Surroundings
) -> None:
    """Ask every run to stop before waiting for any; one that cannot be settled holds up no other."""
    for run in active:
        around.report(run.plan.run_name, "stopping")
        try:
            stop(around.cloud, run.handle)
        except PedigreeError as error:  # it may have ended by itself
            around.report(run.plan.run_name, error.message)
    for run in active:
        try:
            records[run.plan.run_id] = settle(run, _await_end(run, why, around), around)
        except Exception as error:
            around.report(run.plan.run_name, f"its account could not be settled: {error}")


def _await_end(run: _Active, why: str, around: Surroundings) -> Observation:
    try:
        seen = _look(run, around)
        while not seen.status.settled:
            around.sleep(around.poll_s)
            seen = _look(run, around)
    except PedigreeError as error:
        return Observation(status=RunStatus.STOPPED, phase="", reason=f"{why}; {error.message}")
    return replace(seen, reason=why) if seen.status is RunStatus.STOPPED else seen


def settle(run: _Active, seen: Observation, around: Surroundings) -> RunRecord:
    """Close a run's account: all its metrics from its own event file, its cost at frozen prices."""
    plan = run.plan
    if plan.launcher == "ec2":
        seen = ended_by(seen, around.now())
    try:
        files = output_files(around.cloud, plan)
    except RunError as error:
        files, seen = {}, replace(seen, reason=f"{seen.reason} {error.message}".strip())
    events = read_events(files.get("events.jsonl", "").splitlines())
    points = metric_points(events)
    around.tracker.log_points(run.tracker_run_id, points)
    message = failure_message(events)
    if message and seen.status is RunStatus.FAILED:
        seen = replace(seen, reason=message)
    cost = _settled_cost(plan, seen, around)
    around.tracker.log_params(run.tracker_run_id, environment(events))
    for name, text in files.items():
        around.tracker.log_file(run.tracker_run_id, text, name)
    last = {point.name: point.value for point in points}
    record = _record(plan, run.tracker_run_id, seen, cost, metrics=last)
    around.tracker.close_run(run.tracker_run_id, record, cost)
    around.report(plan.run_name, f"{record.status.value} {record.reason}".strip())
    return record


def _settled_cost(plan: LaunchPlan, seen: Observation, around: Surroundings) -> Cost:
    usage = seen.usage or Usage(
        billable_s=Decimal(0), hosts=plan.instance_count, started_at=None, ended_at=None
    )
    return run_cost(
        usage,
        launcher=plan.launcher,
        instance_type=plan.instance_type,
        region=plan.region,
        volume_gb=plan.volume_gb,
        book=around.book,
        basis=_cost_basis(around.cloud.basis),
    )


def _cost_basis(cloud: Basis) -> Basis:
    """On AWS a cost reckoned from reported usage stays an estimate until a bill confirms it."""
    return Basis.SIMULATED if cloud is Basis.SIMULATED else Basis.ESTIMATED


def _record(
    plan: LaunchPlan,
    tracker_run_id: str,
    seen: Observation,
    cost: Cost,
    *,
    metrics: dict[str, float] | None = None,
) -> RunRecord:
    usage = seen.usage
    return RunRecord(
        run_id=plan.run_id,
        tracker_run_id=tracker_run_id,
        name=plan.run_name,
        experiment=plan.experiment,
        status=seen.status,
        launcher=plan.launcher,
        instance_type=plan.instance_type,
        hosts=plan.instance_count,
        reason=seen.reason,
        metrics=metrics or {},
        params=plan.params,
        billable_s=float(usage.billable_s) if usage else 0.0,
        cost_usd=cost.total_usd,
        cost_basis=cost.basis,
        model_uri=seen.model_uri,
        dataset_digest=plan.params.get("data/digest", ""),
        code_digest=plan.params.get("code/digest", ""),
        git_commit=plan.params.get("code/git_commit", ""),
        started_at=usage.started_at if usage else None,
        ended_at=usage.ended_at if usage else None,
    )
