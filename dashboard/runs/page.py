"""Runs: which was worth its money? Leaderboard, and quality against cost and time."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import streamlit as st

from dashboard import formats, sources, terms
from dashboard.compare.chosen import KEY, keep_in_address, next_pair, remembered
from dashboard.parts import nothing_yet, page_title, tile_row
from dashboard.runs.ranked import Shown, charted, overall, ranked, there
from dashboard.runs.view import AGAINST, ORDERS, Filters, answer, drawn_of, written
from dashboard.style import theme
from experiments.records import RunRecord

_FILTERS = ("experiment", "status", "on")
ROW_PX = 36
_MOST_ROWS = 14
_MOST_WRITTEN = 1000
_ASKED, _STANDS = "chart_asked", "table_stands"
_AFTER_S = 1.0
_COMPARE_PAGE = "compare/page.py"


def show() -> None:
    """The whole page."""
    with st.skeleton(height=420):
        records = sources.runs()
    _heading(records)
    if not records:
        nothing_yet(
            "No runs yet",
            "A run appears here as soon as it is launched. The demo trains three ways, "
            "promotes the best and needs no account:",
            "make demo",
        )
        return
    filters, order, columns = _filters(records)
    shown = ranked(records, filters, order)
    chosen = remembered(records)
    if not shown.board.rows:
        _no_match()
        _to_compare(records, chosen)
        return
    tile_row(shown.tiles, columns=4)
    _leaderboard(shown, chosen, columns)
    _to_compare(records, chosen)
    _scatter_when_the_table_stands(shown)


def _heading(records: Sequence[RunRecord]) -> None:
    with page_title("Runs"):
        if sources.mlflow_url():
            st.link_button("MLflow", sources.mlflow_url(), icon=":material/open_in_new:")
        if st.button("Refresh", icon=":material/refresh:", help="Read the runs anew now."):
            sources.forget()
            st.rerun()
    if records:
        experiments = len({record.experiment for record in records})
        st.markdown(
            f"Which run was worth its money? {formats.count(len(records), 'run')} in "
            f"{formats.count(experiments, 'experiment')}. " + answer(overall(records).board)
        )


def _filters(records: Sequence[RunRecord]) -> tuple[Filters, str, list[str] | None]:
    """The filter row, and the columns to show (None for all).

    Every choice lives in the address, so a reload or a shared link keeps it.
    """
    known = there(records)
    with st.container(horizontal=True, key="filters"):
        experiments = st.multiselect(
            "Experiment", known.experiments, key="experiment", bind="query-params",
            placeholder="all", width=220,
        )  # fmt: skip
        statuses = st.pills(
            "Status", known.statuses, selection_mode="multi", key="status", bind="query-params",
            help=terms.STATUS,
        )  # fmt: skip
        launchers = st.pills(
            "Launcher", known.launchers, selection_mode="multi", key="on", bind="query-params",
            help=terms.LAUNCHER,
        )  # fmt: skip
        order = st.selectbox("Order by", ORDERS, key="sort", bind="query-params", width=120)
        columns = st.multiselect(
            "Columns", list(_columns()), key="columns", bind="query-params", placeholder="all",
            width=180,
        )  # fmt: skip
    chosen = Filters(
        experiments=tuple(experiments), statuses=tuple(statuses), launchers=tuple(launchers)
    )
    return chosen, order, columns or None


def _no_match() -> None:
    def clear() -> None:
        for name in _FILTERS:
            st.session_state[name] = []

    st.info("No run matches these filters.", icon=":material/filter_alt_off:")
    st.button("Clear the filters", on_click=clear)


def _leaderboard(shown: Shown, chosen: Sequence[str], columns: Sequence[str] | None) -> None:
    ids = shown.board.ids
    marked = [ids.index(run_id) for run_id in chosen if run_id in ids]
    _mark(marked)

    def tick() -> None:
        rows = st.session_state["board"]["selection"]["rows"]
        if set(rows) == set(marked):
            return  # the marks this page made itself come back as if a person had made them
        hidden = [run_id for run_id in st.session_state[KEY] if run_id not in ids]
        ticked = [*hidden, *(ids[row] for row in rows)]
        st.session_state[KEY] = next_pair(st.session_state[KEY], ticked)

    st.dataframe(
        _shown_table(shown), hide_index=True, key="board", on_select=tick,
        selection_mode="multi-row", column_config=_columns(len(ids)),
        column_order=columns, row_height=ROW_PX,
        height=ROW_PX * (min(len(ids), _MOST_ROWS) + 1) + 2, placeholder=formats.NOTHING,
        alt="Leaderboard of runs: quality, cost and time",
    )  # fmt: skip
    st.caption("★ no other run of the same cost basis is both better and cheaper.")


def _shown_table(shown: Shown) -> Any:
    """The figures as people write them; thousands of rows as plain numbers, which is quicker."""
    return written(shown.table) if len(shown.table) <= _MOST_WRITTEN else shown.table


def _mark(rows: Sequence[int]) -> None:
    """Mark the rows of the two runs that are compared, unless they are marked already."""
    now = st.session_state.get("board")
    if now is None or set(now["selection"]["rows"]) != set(rows):
        selection = {"rows": list(rows), "columns": [], "cells": []}
        st.session_state["board"] = {"selection": selection}


def _columns(rows: int = 0) -> Any:
    """What each column is; a long table has no written figures and is told how to write them."""
    column = st.column_config
    share, usd = ("percent", "$%.4f") if rows > _MOST_WRITTEN else (None, None)
    return {
        "rank": column.NumberColumn("#", width=32, help="Place by quality among the runs shown."),
        "star": column.TextColumn("★", width=28, help=terms.FRONT),
        "run": column.TextColumn("run", width=116),
        "quality": column.NumberColumn("top-1", width=66, format=share, help=terms.QUALITY),
        "cost": column.NumberColumn("cost", width=78, format=usd, help=terms.COST),
        "basis": column.TextColumn("basis", width=86, help=terms.BASIS),
        "billable": column.NumberColumn("billable", width=96, help=terms.BILLABLE),
        "where": column.TextColumn("where", width=188, help=terms.WHERE),
        "status": column.TextColumn("status", width=90, help=terms.STATUS),
        "started": column.TextColumn("started, UTC", width=130),
        "experiment": column.TextColumn("experiment", width=140),
        "reason": column.TextColumn("reason", width=220),
        "id": column.TextColumn("id", width=110),
    }


def _to_compare(records: Sequence[RunRecord], chosen: Sequence[str]) -> None:
    """Which runs are ticked, and the way to their comparison."""
    keep_in_address(chosen)
    if not chosen:
        st.markdown("Tick two rows to compare them.")
        return
    names = {record.run_id: record.name for record in records}
    said = " and ".join(f"**{formats.plain(names[i])}** ({formats.plain(i)})" for i in chosen)
    with st.container(horizontal=True, vertical_alignment="center", key="to_compare"):
        if len(chosen) < 2:
            st.markdown(f"{said} is ticked: tick another row to compare the two.")
            return
        st.markdown(said, width="content")
        st.page_link(
            _COMPARE_PAGE, label="Compare them", icon=":material/compare_arrows:",
            query_params=[("run", run_id) for run_id in chosen],
        )  # fmt: skip


def _scatter_when_the_table_stands(shown: Shown) -> None:
    """The chart of a long board waits until the browser has drawn the table: it takes as long again."""
    if len(shown.board.rows) <= _MOST_WRITTEN or st.session_state.get(_STANDS):
        _scatter(shown)
        return
    st.header("Quality against cost and time", anchor=False, help=terms.FRONT)
    _wait()


@st.fragment(run_every=_AFTER_S)
def _wait() -> None:
    """Its first run is the page's own; its second comes from the browser, once that has time."""
    if st.session_state.get(_ASKED):
        st.session_state[_STANDS] = True
        st.rerun()
    st.session_state[_ASKED] = True
    st.skeleton(height=440)


def _scatter(shown: Shown) -> None:
    st.header("Quality against cost and time", anchor=False, help=terms.FRONT)
    against = st.segmented_control(
        "Against", AGAINST, default="cost", required=True, key="against", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    drawn = charted(shown, against, theme())
    for basis, chart in drawn.items():
        st.vega_lite_chart(
            deepcopy(chart), alt=f"Test top-1 of each run against its {basis} {against}"
        )
    if not drawn:
        st.markdown("No run shown here has both a quality and a cost yet.")
        return
    other = "billable time" if against == "cost" else "cost"
    st.caption(
        f"The line and the filled marks are the Pareto front; larger marks have the greater {other}. "
        f"Point at a mark for more.{drawn_of(shown.board)}"
    )


if __name__ == "__main__":
    show()
