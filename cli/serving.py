"""From tracked runs to a live release: what `promote`, `rollback` and `demo` share."""

from __future__ import annotations

import mimetypes
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployment.apply import Applied, Means
    from deployment.choose import Choice, Rule
    from deployment.gates.checklist import Demands
    from deployment.promote import Proposal
    from deployment.rollout import Rollout
    from deployment.settings import ServingSettings
    from deployment.smoke import GoldenPhoto
    from deployment.store import ReleaseRecord
    from experiments.aws import Boto3Cloud
    from experiments.prices import PriceBook
    from experiments.records import RunRecord
    from experiments.tracking import Tracker

_MAX_PHOTO_BYTES = 16 * 1024 * 1024


def read_photo(path: Path) -> tuple[bytes, str]:
    """A photograph's bytes and content type. Raises DataError for what cannot be a photograph."""
    from experiments.errors import DataError

    if not path.is_file():
        raise DataError(
            f"there is no photograph {path}", fix="give the path of a JPEG, PNG or WebP"
        )
    kind = mimetypes.guess_type(path.name)[0] or ""
    if kind not in ("image/jpeg", "image/png", "image/webp"):
        raise DataError(f"{path} is no photograph by its name", fix="send a JPEG, PNG or WebP file")
    if path.stat().st_size > _MAX_PHOTO_BYTES:
        raise DataError(f"{path} is over 16 MiB", fix="send a smaller photograph")
    return path.read_bytes(), kind


def golden_photo(path: Path | None) -> GoldenPhoto | None:
    """A photograph to try a release with before it goes live."""
    from deployment.smoke import GoldenPhoto

    if path is None:
        return None
    data, kind = read_photo(path)
    return GoldenPhoto(image=data, content_type=kind)


def released_app(cloud: Boto3Cloud, stage: str, app: str | None) -> str:
    """`app` if given, else the one application that was released to this stage."""
    from deployment.store import applications
    from experiments.errors import ReleaseError

    if app is not None:
        return app
    known = applications(cloud, stage)
    if len(known) == 1:
        return known[0]
    fix = f"say which: --app {' or '.join(known)}" if known else "promote a run: `promote-model`"
    raise ReleaseError(f"{len(known) or 'no'} applications are released to {stage}", fix=fix)


def live_settings(cloud: Boto3Cloud, app: str, stage: str) -> ServingSettings:
    """What the live release is served with. Raises ReleaseError if nothing is live."""
    from deployment.store import ReleaseStore
    from experiments.errors import ReleaseError

    store = ReleaseStore(cloud=cloud, name=f"{app}-{stage}")
    live = store.live().release_id
    if not live:
        raise ReleaseError(f"nothing is live as {store.name}", fix="promote a run: `promote-model`")
    return store.read(live).release.settings


def address_of(cloud: Boto3Cloud, live: Sequence[ReleaseRecord]) -> str:
    """The function URL of the live release; empty if it has none, or nothing is live."""
    from deployment.state.observe import function_url

    settings = next((record.release.settings for record in live), None)
    if settings is None or not settings.function_url:
        return ""
    return str((function_url(cloud, settings) or {}).get("FunctionUrl", ""))


def choose_run(records: Sequence[RunRecord], rule: Rule) -> Choice:
    """The best run by the rule, with a reason for every run refused."""
    from deployment.choose import choose

    return choose(records, rule)


def propose_run(
    cloud: Boto3Cloud,
    record: RunRecord,
    settings: ServingSettings,
    *,
    book: PriceBook | None = None,
    demands: Demands | None = None,
    rollout: Rollout | None = None,
) -> Proposal:
    """As `deployment.promote.propose_run`, at the newest prices and this moment."""
    from deployment.promote import propose_run as propose
    from experiments.prices import latest_book

    prices = book or latest_book()
    now = datetime.now(tz=UTC)
    return propose(cloud, record, settings, book=prices, now=now, demands=demands, rollout=rollout)


def means(cloud: Boto3Cloud, *, golden: GoldenPhoto | None, say: Callable[[str], None]) -> Means:
    """What carrying out a plan takes, for this process."""
    from deployment.apply import Means
    from experiments.prices import latest_book

    return Means(
        cloud=cloud,
        book=latest_book(),
        holder=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
        report=lambda done: say(f"{done.number:>2} of {done.total}  {done.text}"),
        golden=golden,
    )


def apply(
    cloud: Boto3Cloud,
    tracker: Tracker,
    proposal: Proposal,
    *,
    golden: GoldenPhoto | None,
    say: Callable[[str], None],
) -> Applied:
    """Make a proposal live and tell the tracker: registered version, alias `champion`, tags."""
    from deployment.apply import apply_proposal

    applied = apply_proposal(proposal, means(cloud, golden=golden, say=say))
    release = applied.release
    for record in tracker.runs():
        if record.run_id == release.run_id:
            tracker.register(release.settings.app, record, applied.tags)
    return applied


def show_proposal(proposal: Proposal) -> None:
    """The steps with their reasons, and the monthly price before and after."""
    from cli import show
    from deployment.plan.told import diff_lines, month_lines
    from experiments.cost import money

    plan, out = proposal.plan, show.console()
    out.print(f"[bold]release {plan.release_id}[/bold] of run {proposal.release.run_name}")
    for gate in proposal.release.gates:
        mark = "passed" if gate.passed else "NOT passed"
        evidence = "; ".join(f"{name}: {text}" for name, text in gate.evidence.items())
        out.print(f"  gate {gate.name}: {mark}: {evidence}", highlight=False)
    if not plan.steps:
        out.print("  nothing to do in AWS: everything is as it should be")
    for number, line in enumerate(diff_lines(plan), start=1):
        out.print(f"  {number:>2}. {line}", highlight=False)
    out.print(f"  a month in USD, before and after ({plan.after.at_min.basis.value}):")
    for cost in month_lines(plan.before, plan.after):
        prices = f"{money(cost.before_usd)} -> {money(cost.after_usd)}"
        out.print(f"    {cost.item}: {prices}", highlight=False)
    out.print(f"    not counted: {'; '.join(plan.after.at_min.not_counted)}", highlight=False)
    for note in plan.notes:
        out.print(f"  note: {note}", highlight=False)
