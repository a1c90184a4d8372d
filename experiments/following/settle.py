"""Close a run's account: all it said, what it used, what that cost at frozen prices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from experiments.aws import Cloud
from experiments.errors import PriceError, RunError
from experiments.events import (
    Event,
    failure_message,
    metric_points,
    read_events,
    unknown_lines,
    warnings_in,
)
from experiments.following.observe import ended_by
from experiments.following.output import output_files
from experiments.following.run_log import RunLog, Settled
from experiments.ledger.footprint import footprint
from experiments.ledger.settle import account, hosts_of
from experiments.names import DOWNLOAD_METRIC
from experiments.prices import PriceBook, book_of
from experiments.records import (
    Basis,
    Cost,
    Footprint,
    LaunchPlan,
    Observation,
    RunRecord,
    RunStatus,
    Usage,
)

LAUNCHER = "launcher"
"""The host of those lines in a run's log that the launcher wrote itself."""


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What costs are reckoned with."""

    book: PriceBook
    cloud: Basis

    @property
    def basis(self) -> Basis:
        """On AWS a cost reckoned from reported usage stays an estimate until a bill confirms it."""
        return Basis.SIMULATED if self.cloud is Basis.SIMULATED else Basis.ESTIMATED

    def cost(
        self, plan: LaunchPlan, usage: Usage | None, footprint: Footprint | None = None
    ) -> Cost:
        """What `usage` of a plan's hosts cost, and its `footprint`; nothing if nothing was used."""
        if usage is None:
            return Cost(basis=self.basis)
        book = frozen_book(plan, self.book)
        return account(hosts_of(plan), usage, book=book, basis=self.basis, footprint=footprint)

    def so_far(self, plan: LaunchPlan, usage: Usage | None, now: datetime) -> Cost:
        """What a run that goes on has cost by `now`, by the clock: AWS bills at the end."""
        if usage is None or usage.started_at is None:
            return Cost(basis=self.basis)
        seconds = max(Decimal(str((now - usage.started_at).total_seconds())), Decimal(0))
        return self.cost(plan, replace(usage, billable_s=max(seconds, usage.billable_s)))


def frozen_book(plan: LaunchPlan, newest: PriceBook) -> PriceBook:
    """The book that a plan was priced with: a book written while its run went on changes nothing."""
    date = plan.params.get("launch/price_book", newest.date)
    if date == newest.date:
        return newest
    try:
        return book_of(date, newest.path.parent)
    except PriceError:
        return newest


def settle(
    log: RunLog, seen: Observation, *, cloud: Cloud, ledger: Ledger, now: datetime
) -> RunRecord:
    """Settle an ended run from its own event file and the lines that were read; on disk when it returns.

    May be repeated after a crash. Raises CloudError when the cloud cannot be asked.
    """
    plan = log.intent().plan
    if plan.launcher == "ec2":
        seen = ended_by(seen, now)
    try:
        files = output_files(cloud, plan)
    except RunError as error:
        files, seen = {}, replace(seen, reason=f"{seen.reason} {error.message}".strip())
    kept, _ = log.lines()
    log.keep(
        unknown_lines(files.get("events.jsonl", b"").decode("utf-8", "replace").splitlines(), kept),
        log.cursor(),
    )
    events = read_events(log.lines()[0])
    left = footprint(cloud, plan, seen.usage, log.lines()[0])
    seen = _explained(seen, events, log)
    return close(log, seen, events, files, ledger=ledger, now=now, left=left)


def close(
    log: RunLog,
    seen: Observation,
    events: list[Event],
    files: dict[str, bytes],
    *,
    ledger: Ledger,
    now: datetime,
    left: Footprint | None = None,
) -> RunRecord:
    """Write down how a run ended; the tracker has it when the mirror catches up."""
    plan = log.intent().plan
    cost = Cost(basis=ledger.cloud) if seen.status is RunStatus.REFUSED else None
    cost = cost or ledger.cost(plan, seen.usage, left)
    record = make_record(
        plan,
        seen,
        cost,
        tracker_run_id=str(log.mirrored().get("run", "")),
        metrics={p.name: p.value for p in metric_points(e for e in events if e.host != LAUNCHER)},
        warnings=warnings_in(events),
    )
    log.settle(Settled(record=record, cost=cost, at=record.ended_at or now), files)
    return record


def _explained(seen: Observation, events: list[Event], log: RunLog) -> Observation:
    """The reason in the words of whoever knows best: who stopped it, the program itself, AWS."""
    message, why = failure_message(events), log.progress().stop_why
    if why and seen.status is RunStatus.STOPPED:
        return replace(seen, reason=why)
    if message and seen.status is RunStatus.FAILED:
        return replace(seen, reason=message)
    return seen


def _fetching(usage: Usage | None) -> dict[str, float]:
    """A phase that the training program cannot see: it is over when the program starts."""
    if usage is None or usage.download_s is None:
        return {}
    return {DOWNLOAD_METRIC: float(usage.download_s)}


def make_record(
    plan: LaunchPlan,
    seen: Observation,
    cost: Cost | None,
    *,
    tracker_run_id: str = "",
    metrics: dict[str, float] | None = None,
    warnings: tuple[str, ...] = (),
) -> RunRecord:
    """A run as leaderboards show it."""
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
        metrics={**(metrics or {}), **_fetching(usage)},
        params=plan.params,
        billable_s=float(usage.billable_s) if usage else 0.0,
        cost_usd=cost.total_usd if cost else None,
        cost_basis=cost.basis if cost else None,
        model_uri=seen.model_uri,
        dataset_digest=plan.params.get("data/digest", ""),
        code_digest=plan.params.get("code/digest", ""),
        git_commit=plan.params.get("code/git_commit", ""),
        started_at=usage.started_at if usage else None,
        ended_at=usage.ended_at if usage else None,
        warnings=warnings,
    )
