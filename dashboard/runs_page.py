"""Runs: which was worth its money? Leaderboard, quality against cost, and two runs compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from dashboard import charts, formats, sources, terms
from dashboard.parts import nothing_yet, page_title, tile_row
from dashboard.runs_compare import comparison, remembered_pair
from dashboard.runs_view import (
    ORDERS,
    Board,
    Filters,
    board,
    choices,
    next_pair,
    table,
    tiles,
    written,
)
from dashboard.style import theme
from experiments.records import RunRecord

_FILTERS = ("experiment", "status", "on")
ROW_PX = 36
_MOST_ROWS = 14
_MOST_WRITTEN = 1000


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
    filters, order = _filters(records)
    shown = board(records, filters, order)
    remembered_pair(records)
    if shown.rows:
        tile_row(tiles(shown), columns=4)
        _leaderboard(shown)
        _scatter(shown)
    else:
        _no_match()
    comparison(records)


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
            f"{formats.count(experiments, 'experiment')}."
        )


def _filters(records: Sequence[RunRecord]) -> tuple[Filters, str]:
    """The filter row. Every choice lives in the address, so a reload or a shared link keeps it."""
    there = choices(records)
    with st.container(horizontal=True, key="filters"):
        experiments = st.multiselect(
            "Experiment", there.experiments, key="experiment", bind="query-params",
            placeholder="all", width=280,
        )  # fmt: skip
        statuses = st.pills(
            "Status", there.statuses, selection_mode="multi", key="status", bind="query-params",
            help=terms.STATUS,
        )  # fmt: skip
        launchers = st.pills(
            "Launcher", there.launchers, selection_mode="multi", key="on", bind="query-params",
            help=terms.LAUNCHER,
        )  # fmt: skip
        order = st.selectbox("Order by", ORDERS, key="sort", bind="query-params", width=140)
    chosen = Filters(
        experiments=tuple(experiments), statuses=tuple(statuses), launchers=tuple(launchers)
    )
    return chosen, order


def _no_match() -> None:
    def clear() -> None:
        for name in _FILTERS:
            st.session_state[name] = []

    st.info("No run matches these filters.", icon=":material/filter_alt_off:")
    st.button("Clear the filters", on_click=clear)


def _leaderboard(shown: Board) -> None:
    ids = shown.ids
    marked = [ids.index(run_id) for run_id in st.session_state["compare"] if run_id in ids]
    _mark(marked)

    def tick() -> None:
        rows = st.session_state["board"]["selection"]["rows"]
        if set(rows) == set(marked):
            return  # the marks this page made itself come back as if a person had made them
        hidden = [run_id for run_id in st.session_state["compare"] if run_id not in ids]
        ticked = [*hidden, *(ids[row] for row in rows)]
        st.session_state["compare"] = next_pair(st.session_state["compare"], ticked)

    st.dataframe(
        _shown_table(shown), hide_index=True, key="board", on_select=tick,
        selection_mode="multi-row", column_config=_columns(len(ids)),
        column_order=_chosen_columns(), row_height=ROW_PX,
        height=ROW_PX * (min(len(ids), _MOST_ROWS) + 1) + 2, placeholder=formats.NOTHING,
        alt="Leaderboard of runs: quality, cost and time",
    )  # fmt: skip
    st.caption(
        "★ no other run of the same cost basis is both better and cheaper. "
        "Tick two rows to compare them below."
    )


def _shown_table(shown: Board) -> Any:
    """The figures as people write them; thousands of rows as plain numbers, which is quicker."""
    frame = table(shown)
    return written(frame) if len(frame) <= _MOST_WRITTEN else frame


def _chosen_columns() -> list[str] | None:
    """The columns to show, in the address like the filters; None for all."""
    chosen = st.multiselect(
        "Columns", list(_columns()), key="columns", bind="query-params", placeholder="all",
        width=420,
    )  # fmt: skip
    return chosen or None


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


def _scatter(shown: Board) -> None:
    st.header("Quality against cost", anchor=False, help=terms.FRONT)
    drawn = 0
    for basis in shown.bases:
        chart = charts.quality_against_cost(shown, basis)
        if chart is not None:
            drawn += 1
            alt = f"Test top-1 of each run against its {basis} cost"
            st.altair_chart(charts.dressed(chart, theme()), alt=alt)
    if drawn:
        st.caption("The line and the filled marks are the Pareto front. Point at a mark for more.")
    else:
        st.markdown("No run shown here has both a quality and a cost yet.")


if __name__ == "__main__":
    show()
