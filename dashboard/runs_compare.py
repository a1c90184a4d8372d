"""The lower part of Runs: two runs side by side, what differs first, then how they learned."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard import charts, formats, sources, terms
from dashboard.compare_view import compare
from dashboard.runs_detail import detail
from dashboard.style import theme
from experiments.records import RunRecord

_ROW_PX = 36
_NAME_PX = 185
_VALUE_PX = 135
_OFFERED = 200


def remembered_pair(records: Sequence[RunRecord]) -> None:
    """Put the two runs that the address names into the session before any widget needs them."""
    there = {record.run_id for record in records}
    named = st.session_state.get("compare", st.query_params.get_all("compare"))
    st.session_state["compare"] = [run_id for run_id in named if run_id in there][:2]


def comparison(records: Sequence[RunRecord]) -> None:
    """Choose two of all runs, filtered away or not, and see them side by side."""
    by_id = {record.run_id: record for record in records}
    st.header("Two runs side by side", anchor=False)
    picked = st.multiselect(
        "Runs to compare", _offered(records), key="compare", max_selections=2, select_all=False,
        persist_state="session", placeholder="choose two runs", wrap=True,
        format_func=lambda run_id: f"{by_id[run_id].name} · {run_id}",
    )  # fmt: skip
    st.query_params["compare"] = picked
    if len(picked) < 2:
        st.markdown("Choose two runs here, or tick them in the table, to see what differs.")
        return
    with st.skeleton(height=240):
        sides = [sources.side(by_id[run_id]) for run_id in picked]
    pair = [side.record for side in sides]
    _differences(*pair)
    _curves(pair)
    detail(sides)
    _links(pair)


def _offered(records: Sequence[RunRecord]) -> list[str]:
    """The newest runs and those chosen: a list of thousands would be sent to the browser each time."""
    newest = [record.run_id for record in records[:_OFFERED]]
    return list(dict.fromkeys([*st.session_state["compare"], *newest]))


def _differences(first: RunRecord, second: RunRecord) -> None:
    found = compare(first, second)
    outcome, settings = st.columns([4, 3], gap="medium")
    with outcome:
        _difference_table("What came out differently", found.outcome)
    with settings:
        _difference_table("What was set differently", found.settings)
        same = formats.count(found.same, "other thing is", "other things are")
        st.caption(f"{same} the same in both.")


def _difference_table(title: str, frame: pd.DataFrame) -> None:
    st.subheader(title, anchor=False)
    if frame.empty:
        st.markdown("Nothing.")
    else:
        widths = [_NAME_PX, *[_VALUE_PX] * 2]
        columns = {
            name: st.column_config.TextColumn(width=width)
            for name, width in zip(frame.columns, widths, strict=False)
        }
        st.dataframe(
            frame, hide_index=True, height="content", row_height=_ROW_PX, alt=title,
            column_config=columns,
        )  # fmt: skip


def _curves(pair: Sequence[RunRecord]) -> None:
    with st.skeleton(height=240):
        curves = {run.run_id: sources.curves(run.tracker_run_id) for run in pair}
    data = charts.curve_points(pair, curves)
    st.subheader("Learning curves", anchor=False, help=terms.CURVES)
    if data.empty:
        st.markdown("Neither run reported values by epoch.")
        return
    grid = st.grid(3, min_column_width=280)
    for metric in sources.CURVE_METRICS:
        if (data["metric"] == metric).any():
            chart = charts.learning_curve(data, metric, charts.labels(pair))
            alt = f"{metric} by epoch of both runs"
            grid.altair_chart(charts.dressed(chart, theme()), alt=alt)


def _links(pair: Sequence[RunRecord]) -> None:
    url = sources.mlflow_url()
    if url:
        names = zip(pair, charts.labels(pair), strict=True)
        links = [f"[{label}]({url}/#/runs/{run.tracker_run_id})" for run, label in names]
        st.markdown(f"In MLflow: {' · '.join(links)}")
