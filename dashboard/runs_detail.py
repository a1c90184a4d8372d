"""The detail of two compared runs: phases, cost lines, classes, and photos only one gets right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from dashboard import charts, compare_detail, terms
from dashboard.style import theme
from experiments.comparison import Side, compare

_MOST_CLASSES = 12
_ROW_PX = 30


def detail(sides: Sequence[Side]) -> None:
    """Everything below the differences; a part without data says so."""
    first, second = sides
    titles = charts.labels([side.record for side in sides])
    st.subheader("Where time and money went", anchor=False)
    grid = st.grid(2, min_column_width=320)
    phases = compare_detail.phases(sides, titles)
    if len(phases):
        grid.altair_chart(charts.dressed(_waterfall(phases), theme()), alt="Phases of both runs")
    bills = compare_detail.bill_lines(sides, titles)
    if len(bills):
        grid.altair_chart(charts.dressed(_stacked(bills), theme()), alt="Cost lines of both runs")
    st.subheader("On the test photos", anchor=False, help=terms.PHOTOS)
    st.markdown(compare(first, second).verdict.capitalize() + ".")
    if not first.answers or not second.answers:
        return
    _by_class(first, second, titles)
    _confusions(sides, titles)
    _disagreements(first, second, titles)


def _waterfall(data: pd.DataFrame) -> Any:
    legend = alt.Legend(title=None, orient="bottom", columns=1, labelLimit=320)
    return (
        alt.Chart(data, title="phases, seconds")
        .mark_bar()
        .encode(
            x=alt.X("start:Q", title=None),
            x2="end:Q",
            y=alt.Y("phase:N", title=None, sort=None),
            yOffset="run:N",
            color=alt.Color("run:N", legend=legend),
            tooltip=["run:N", "phase:N", alt.Tooltip("seconds:Q", format=".1f")],
        )
        .properties(height=max(300, 2 * _ROW_PX * data["phase"].nunique()))
    )


def _stacked(data: pd.DataFrame) -> Any:
    legend = alt.Legend(title=None, orient="bottom", columns=1, labelLimit=320)
    return (
        alt.Chart(data, title="cost lines, USD")
        .mark_bar(height=22)
        .encode(
            x=alt.X("sum(usd):Q", title=None),
            y=alt.Y("run:N", title=None),
            color=alt.Color("item:N", legend=legend),
            tooltip=["run:N", "item:N", "basis:N", alt.Tooltip("usd:Q", format=".6f")],
        )
        .properties(height=300)
    )


def _by_class(first: Side, second: Side, titles: Sequence[str]) -> None:
    frame = compare_detail.by_class(first, second, titles)
    share = {name: st.column_config.NumberColumn(format="percent") for name in frame.columns[2:]}
    st.dataframe(frame, hide_index=True, column_config=share, alt="Right answers by class")
    _download(frame, "classes.csv", "The classes as CSV")


def _confusions(sides: Sequence[Side], titles: Sequence[str]) -> None:
    grid = st.grid(2, min_column_width=320)
    for side, title in zip(sides, titles, strict=True):
        data = compare_detail.confusions(side.answers, _MOST_CLASSES)
        if len(data):
            base = alt.Chart(data, title=f"{title}: what is taken for what").encode(
                x=alt.X("said:N", title="said", axis=alt.Axis(labelAngle=-50)),
                y=alt.Y("is:N", title="is"),
            )
            cells = base.mark_rect().encode(
                color=alt.Color("photos:Q", scale=alt.Scale(scheme="blues"), legend=None)
            )
            figures = base.mark_text().encode(
                text="photos:Q",
                color=alt.condition("datum.photos > 0", alt.value("#14181c"), alt.value("gray")),
            )
            grid.altair_chart(
                charts.dressed((cells + figures).properties(height=340), theme()),
                alt=f"Confusion matrix of {title}",
            )


def _disagreements(first: Side, second: Side, titles: Sequence[str]) -> None:
    frame = compare_detail.disagreements(first, second, titles)
    st.subheader("Photos that only one gets right", anchor=False)
    if frame.empty:
        st.markdown("None.")
        return
    st.dataframe(frame, hide_index=True, alt="Photos that only one model gets right")
    _download(frame, "photos.csv", "The photos as CSV")


def _download(frame: pd.DataFrame, name: str, label: str) -> None:
    text = frame.to_csv(index=False)
    st.download_button(label, text, name, "text/csv", icon=":material/download:")
