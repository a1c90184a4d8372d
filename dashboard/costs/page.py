"""Costs: what was spent under which heading, what the month will come to, and what AWS billed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, get_args

import altair as alt
import pandas as pd
import streamlit as st

from dashboard import charts, formats, sources, terms
from dashboard.parts import nothing_yet, page_title, tile_row
from dashboard.records import Tile
from dashboard.style import theme
from experiments.budgets import read_month_budget
from experiments.ledger import bill as bills
from experiments.ledger.periods import By, Spend, forecast_month, spend_by
from experiments.ledger.reconcile import Reconciliation, reconcile
from experiments.records import Basis, RunRecord

_MOST_BARS = 60


def show() -> None:
    """The whole page."""
    page_title("Costs")
    with st.skeleton(height=300):
        records = sources.runs()
    sums = spend_by(records, "month")
    if not sums:
        nothing_yet("Nothing was spent yet", "A run's cost appears when it ends:", "make demo")
        return
    now = datetime.now(tz=UTC)
    tile_row(_month_tiles(records, now), columns=3)
    _spend(records)
    _reconciled(records, now)


def _month_tiles(records: Sequence[RunRecord], now: datetime) -> list[Tile]:
    tiles = []
    for basis in Basis:
        month = forecast_month(records, now=now, basis=basis)
        if month is None:
            continue
        known = month.low_usd is not None
        span = f"{formats.usd(month.low_usd)} to {formats.usd(month.high_usd)}" if known else ""
        tiles += [
            Tile(label=f"{month.month} so far", value=formats.usd(month.spent_usd),
                 detail=basis.value, help=terms.SPENT),
            Tile(label="At its end, about", value=formats.usd(month.expected_usd),
                 detail=f"{basis.value} · {span or 'no range in the first week'}",
                 help=terms.FORECAST),
        ]  # fmt: skip
    limit = read_month_budget(sources.home() / ".pedigree" / "budget.json")
    tiles.append(Tile(label="Limit of a month", value=formats.usd(limit),
                      detail="pedigree budget set --month 50" if limit is None else "set here",
                      help=terms.BUDGET))  # fmt: skip
    return tiles


def _spend(records: Sequence[RunRecord]) -> None:
    st.header("Spend", anchor=False, help=terms.BASIS)
    by: By = st.segmented_control(
        "By", get_args(By), default="day", required=True, key="by", bind="query-params"
    )
    sums = spend_by(records, by)
    frame = _frame(sums, by)
    st.altair_chart(
        charts.dressed(_bars(frame, by), theme()), alt=f"Spend by {by} and kind of money"
    )
    st.dataframe(
        frame, hide_index=True, alt=f"Spend by {by}",
        column_config={"usd": st.column_config.NumberColumn("USD", format="$%.4f")},
    )  # fmt: skip
    st.download_button(
        "Download as CSV", _exact(sums, by), f"spend-by-{by}.csv", "text/csv",
        icon=":material/download:",
    )  # fmt: skip


def _frame(sums: Sequence[Spend], by: str) -> pd.DataFrame:
    rows = [[s.heading, s.basis.value, float(s.usd), s.runs] for s in sums]
    return pd.DataFrame(rows, columns=[by, "basis", "usd", "runs"])


def _exact(sums: Sequence[Spend], by: str) -> str:
    """CSV with every digit of the money."""
    rows = [[s.heading, s.basis.value, f"{s.usd:f}", s.runs] for s in sums]
    return str(pd.DataFrame(rows, columns=[by, "basis", "usd", "runs"]).to_csv(index=False))


def _bars(frame: pd.DataFrame, by: str) -> Any:
    """One row of bars for each kind of money: they are never stacked on each other."""
    time_like = by in ("day", "month")
    kept = frame.tail(_MOST_BARS) if time_like else frame.nlargest(_MOST_BARS, "usd")
    money = alt.Axis(labelExpr="'$' + format(datum.value, '.2~r')", tickCount=4)
    bars = alt.Chart(kept).mark_bar(cornerRadiusEnd=3, size=18)
    color = alt.Color("basis:N", legend=alt.Legend(title=None, orient="top"))
    if time_like:
        x = alt.X(f"{by}:O", title=None, axis=alt.Axis(labelAngle=-40, labelOverlap=True))
        y = alt.Y("usd:Q", title="USD", axis=money)
        return bars.encode(x=x, y=y, xOffset="basis:N", color=color).properties(height=260)
    label = alt.Axis(title=None, labelLimit=190)
    return bars.encode(
        y=alt.Y(f"{by}:N", sort="-x", axis=label), x=alt.X("usd:Q", title="USD", axis=money),
        yOffset="basis:N", color=color,
    ).properties(height=28 * len(kept) + 60)  # fmt: skip


def _reconciled(records: Sequence[RunRecord], now: datetime) -> None:
    """The last bill that was read of this month, held against the ledger."""
    st.header("Against AWS's bill", anchor=False)
    folder = sources.home() / ".pedigree" / "bills"
    bill = bills.last_kept(f"{now:%Y-%m}", folder)
    if bill is None:
        st.markdown(
            "No bill of this month was read. AWS on this machine sends none; AWS's own is read "
            "by a command, because each reading costs $0.01 a request:".replace("$", "\\$")
        )
        st.code("pedigree reconcile --cloud aws", language="bash")
        return
    _findings(reconcile(records, bill))


def _findings(found: Reconciliation) -> None:
    state = "AWS still adds to it" if found.estimated else "closed"
    st.caption(f"Read {formats.moment(found.read_at)} UTC; {state}.")
    rows = [
        {
            "finding": one.kind,
            "run": one.name or one.run_id or formats.NOTHING,
            "ledger": formats.usd(one.ledger_usd),
            "billed": formats.usd(one.billed_usd),
            "variance": formats.usd(one.variance_usd),
            "why": one.text,
        }
        for one in found.findings
    ]
    st.dataframe(rows, hide_index=True, alt="The ledger against the bill, run by run")


if __name__ == "__main__":
    show()
