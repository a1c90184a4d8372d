"""Compare: two runs side by side, what differs first, then how they learned and what their models say."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard import formats, sources, terms
from dashboard.compare import charts
from dashboard.compare.chosen import KEY, keep_in_address, remembered
from dashboard.compare.differences import Comparison, compare, figures, labels
from dashboard.compare.downloads import download
from dashboard.compare.photos import on_the_test_photos
from dashboard.compare.tables import bill_lines, phases
from dashboard.parts import nothing_yet, page_title, tile_row
from dashboard.plots import draw
from experiments.comparison import Side
from experiments.records import RunRecord

_ROW_PX = 36
_NAME_PX = 185
_VALUE_PX = 135
_OFFERED = 200


def show() -> None:
    """The whole page."""
    page_title("Compare")
    with st.skeleton(height=420):
        records = sources.runs()
    if len(records) < 2:
        nothing_yet(
            "Two runs are needed",
            "Runs appear as soon as they are launched. The demo trains three ways and needs no account:",
            "make demo",
        )
        return
    picked = _choose(records)
    if len(picked) < 2:
        st.info(
            "Choose two runs here, or tick them in the table on Runs, to see what differs.",
            icon=":material/compare_arrows:",
        )
        return
    by_id = {record.run_id: record for record in records}
    with st.skeleton(height=240):
        sides = [sources.side(by_id[run_id]) for run_id in picked]
    _side_by_side(sides)


def _choose(records: Sequence[RunRecord]) -> list[str]:
    by_id = {record.run_id: record for record in records}
    offered = _offered(records, remembered(records))
    picked = st.multiselect(
        "Runs to compare", offered, key=KEY, max_selections=2, select_all=False,
        persist_state="session", placeholder="choose two runs", wrap=True, width=640,
        format_func=lambda run_id: f"{by_id[run_id].name} · {run_id}",
    )  # fmt: skip
    keep_in_address(picked)
    return list(picked)


def _offered(records: Sequence[RunRecord], chosen: Sequence[str]) -> list[str]:
    """The newest runs and those chosen: a list of thousands would be sent to the browser each time."""
    newest = [record.run_id for record in records[:_OFFERED]]
    return list(dict.fromkeys([*chosen, *newest]))


def _side_by_side(sides: Sequence[Side]) -> None:
    pair = [side.record for side in sides]
    titles = labels(pair)
    found = compare(*pair)
    tile_row(figures(*pair), columns=3)
    _links(pair, titles)
    _differences(found)
    _curves(pair, titles)
    _time_and_money(sides, titles)
    on_the_test_photos(sides, titles)


def _links(pair: Sequence[RunRecord], titles: Sequence[str]) -> None:
    url = sources.mlflow_url()
    if url:
        links = [
            f"[{formats.plain(title)}]({url}/#/runs/{run.tracker_run_id})"
            for run, title in zip(pair, titles, strict=True)
        ]
        st.markdown(f"In the MLflow UI: {' · '.join(links)}")


def _differences(found: Comparison) -> None:
    st.header("What differs", anchor=False)
    outcome, settings = st.columns([4, 3], gap="medium")
    with outcome:
        _difference_table("What came out differently", found.outcome)
        download(found.outcome, "outcome.csv", "The outcome as CSV")
    with settings:
        _difference_table("What was set differently", found.settings)
        same = formats.count(found.same, "other thing is", "other things are")
        st.caption(f"{same} the same in both.")
        download(found.settings, "settings.csv", "The settings as CSV")


def _difference_table(title: str, frame: pd.DataFrame) -> None:
    st.subheader(title, anchor=False)
    if frame.empty:
        st.markdown("Nothing.")
        return
    widths = [_NAME_PX, *[_VALUE_PX] * 2]
    columns = {
        name: st.column_config.TextColumn(width=width)
        for name, width in zip(frame.columns, widths, strict=False)
    }
    st.dataframe(
        frame, hide_index=True, height="content", row_height=_ROW_PX, alt=title,
        column_config=columns,
    )  # fmt: skip


def _curves(pair: Sequence[RunRecord], titles: Sequence[str]) -> None:
    st.header("Learning curves", anchor=False, help=terms.CURVES)
    with st.skeleton(height=240):
        curves = {run.run_id: sources.curves(run.tracker_run_id) for run in pair}
    data = charts.curve_points(pair, titles, curves)
    if data.empty:
        st.markdown("Neither run reported values by epoch.")
        return
    grid = st.grid(3, min_column_width=280)
    for metric in sources.CURVE_METRICS:
        if (data["metric"] == metric).any():
            chart = charts.learning_curve(data, metric, titles)
            draw(chart, f"{metric} by epoch of both runs", grid)
    download(data, "curves.csv", "The curves as CSV")


def _time_and_money(sides: Sequence[Side], titles: Sequence[str]) -> None:
    st.header("Where time and money went", anchor=False, help=terms.PHASES)
    times, bills = phases(sides, titles), bill_lines(sides, titles)
    if times.empty and bills.empty:
        st.markdown("Neither run has phases or cost lines on record.")
        return
    grid = st.grid(2, min_column_width=320)
    if len(times):
        draw(charts.waterfall(times, titles), "Phases of both runs, one after the other", grid)
    if len(bills):
        draw(charts.stacked(bills, titles), "Cost lines of both runs, stacked", grid)
        with st.container(horizontal=True):
            download(times, "phases.csv", "The phases as CSV")
            download(bills, "cost-lines.csv", "The cost lines as CSV")


if __name__ == "__main__":
    show()
