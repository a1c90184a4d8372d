"""Overview: what is live and what it costs, the latest runs, and what needs a hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import streamlit as st

from dashboard import formats, live, sources, terms
from dashboard.overview import attention
from dashboard.overview.attention import Concern
from dashboard.overview.traffic import Traffic, read_traffic
from dashboard.parts import nothing_yet, page_title, problem, tile_row
from dashboard.playground.view import live_tiles, trouble
from dashboard.records import LiveRelease, Tile
from deployment.drift.check import capture_place, check_drift
from deployment.sweep.inventory import Inventory
from deployment.sweep.sweep import Found, look
from experiments.aws import Boto3Cloud
from experiments.budgets import read_month_budget
from experiments.errors import PedigreeError
from experiments.leaderboard import leaderboard
from experiments.ledger.periods import spend_by
from experiments.prices import latest_book
from experiments.records import Basis, RunRecord

_LATEST = 6
_DRIFT_DAYS = 7
_ALPHA = 0.01


def show() -> None:
    """The whole page. A cloud that is down leaves the runs readable, and the other way round."""
    with page_title("Overview"):
        if st.button("Refresh", icon=":material/refresh:", help="Read everything anew now."):
            sources.forget()
            _sweep.clear()
            _traffic.clear()
            st.rerun()
    now = datetime.now(tz=UTC)
    with st.skeleton(height=300):
        records = sources.runs()
    limit = read_month_budget(sources.home() / ".pedigree" / "budget.json")
    st.header("Live", anchor=False)
    there = _live()
    _money(records, limit, now, there)
    _hand(records, limit, now, there)
    _runs(records)


def _live() -> Sequence[LiveRelease] | None:
    """What is live, shown; None if the cloud cannot be asked."""
    try:
        with st.skeleton(height=120):
            there = live.releases()
        if not there:
            nothing_yet("Nothing is live yet", "Promote the best run:", "promote-model")
        minute = sources.cloud_now().isoformat("T", "minutes")
        for found in there:
            tile_row(live_tiles(found), columns=4)
            tile_row(_felt(_traffic(found.settings.name, minute)), columns=4)
            warning = trouble(found)
            if warning:
                st.warning(warning, icon=":material/warning:")
    except PedigreeError as error:
        problem(error.message, error.fix)
        return None
    return there


@st.cache_resource(ttl=15, show_spinner=False, max_entries=16)
def _traffic(name: str, minute: str) -> Traffic:
    return read_traffic(sources.open_cloud(), name, datetime.fromisoformat(minute))


def _felt(seen: Traffic) -> list[Tile]:
    def number(value: int | None) -> str:
        return formats.NOTHING if value is None else f"{value:,}"

    hour = "in the last hour"
    return [
        Tile(label="Requests", value=number(seen.requests), detail=hour, help=terms.REQUESTS),
        Tile(label="Errors", value=number(seen.errors),
             detail=f"{number(seen.throttled)} throttled", help=terms.ERRORS),
        Tile(label="Model p50", value=formats.milliseconds(seen.p50_ms),
             detail=f"p99 {formats.milliseconds(seen.p99_ms)}", help=terms.MODEL_LATENCY),
        Tile(label="At once", value=number(seen.concurrency),
             detail=f"most {hour}", help=terms.CONCURRENCY),
    ]  # fmt: skip


def _money(
    records: Sequence[RunRecord],
    limit: Decimal | None,
    now: datetime,
    there: Sequence[LiveRelease] | None,
) -> None:
    """Runs today and this month by kind of money, and what stands there by the day."""
    days = {(s.heading, s.basis): s.usd for s in spend_by(records, "day")}
    months = {(s.heading, s.basis): s.usd for s in spend_by(records, "month")}
    bases = [basis for basis in Basis if any(key[1] is basis for key in months)]
    of = f"of {formats.usd(limit)}" if limit is not None else "no limit set"
    tiles = []
    for basis in bases:
        today = days.get((f"{now:%Y-%m-%d}", basis), Decimal(0))
        month = months.get((f"{now:%Y-%m}", basis), Decimal(0))
        tiles += [
            Tile(label="Runs today", value=formats.usd(today), detail=basis.value, help=terms.SPENT),
            Tile(label="Runs this month", value=formats.usd(month),
                 detail=f"{basis.value} · {of}", help=terms.BUDGET),
        ]  # fmt: skip
    rates = [found.standing_usd_per_h for found in there or ()]
    if rates and all(rate is not None for rate in rates):
        daily = sum((rate or Decimal(0) for rate in rates), Decimal(0)) * 24
        tiles.append(Tile(label="Serving a day", value=formats.usd(daily),
                          detail="standing, without calls", help=terms.STANDING))  # fmt: skip
    if tiles:
        st.header("Cost", anchor=False)
        tile_row(tiles, columns=4)


def _hand(
    records: Sequence[RunRecord],
    limit: Decimal | None,
    now: datetime,
    there: Sequence[LiveRelease] | None,
) -> None:
    st.header("Needs a hand", anchor=False)
    concerns = [
        *attention.failed_runs(records, now),
        *attention.budget(records, limit, now),
        *(_of_cloud(records, there) if there is not None else ()),
    ]
    if not concerns:
        st.success("Nothing does.", icon=":material/check:")
    for concern in concerns:
        _card(concern)
    for found in there or ():
        if not found.settings.capture_percent:
            st.caption(f"Drift of {found.settings.name} is not watched: it captures nothing.")


def _of_cloud(records: Sequence[RunRecord], there: Sequence[LiveRelease]) -> Iterator[Concern]:
    try:
        with st.skeleton(height=60):
            running = tuple(sorted(run.run_id for run in records if not run.status.settled))
            cloud = sources.open_cloud()
            yield from attention.orphans(_sweep(str(cloud.address.endpoint_url), cloud, running))
        for found in there:
            if found.settings.capture_percent:
                yield from _drift(cloud, found)
    except PedigreeError as error:
        problem(error.message, error.fix)


@st.cache_resource(ttl=60, show_spinner=False, max_entries=4)
def _sweep(url: str, _cloud: Boto3Cloud, running: tuple[str, ...]) -> Found:
    inventory = Inventory(cloud=_cloud, book=latest_book())
    return look(inventory, running, datetime.now(tz=UTC))


def _drift(cloud: Boto3Cloud, found: LiveRelease) -> Iterator[Concern]:
    try:
        seen = check_drift(
            cloud,
            found.release,
            place=capture_place(cloud, found.release),
            since=sources.cloud_now() - timedelta(days=_DRIFT_DAYS),
            alpha=_ALPHA,
        )
    except PedigreeError as error:
        st.caption(f"Drift of {found.settings.name} cannot be told: {error.message}.")
        return
    yield from attention.drifted(found.settings.name, seen)


def _card(concern: Concern) -> None:
    with st.container(border=True):
        st.markdown(f"**{formats.plain(concern.title)}**")
        st.markdown(formats.plain(concern.detail))
        st.code(concern.command, language="bash")


def _runs(records: Sequence[RunRecord]) -> None:
    st.header("Latest runs", anchor=False)
    if not records:
        nothing_yet("No runs yet", "The demo trains three ways and needs no account:", "make demo")
        return
    rows = [
        {
            "run": row.name,
            "status": row.status,
            "top-1": formats.share(row.quality),
            "cost": formats.usd(row.cost_usd, row.cost_basis),
            "billable": formats.seconds(row.billable_s),
            "where": row.where,
            "experiment": row.experiment,
        }
        for record in records[:_LATEST]
        for row in leaderboard([record])
    ]
    st.dataframe(rows, hide_index=True, alt="The latest runs")


if __name__ == "__main__":
    show()
