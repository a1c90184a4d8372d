"""The lower part of Compare: what the two models say of the test photos."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard import formats, live, terms
from dashboard.compare import charts, tables
from dashboard.compare.downloads import download
from dashboard.pictures import picture_of
from dashboard.plots import draw
from experiments.comparison import Side, compare
from experiments.reliability import calibration_error, reliability

_MOST_CLASSES = 12
_MOST_PICTURES = 12
_PICTURE_PX = 120


def on_the_test_photos(sides: Sequence[Side], titles: Sequence[str]) -> None:
    """Verdict, classes, confusion matrices, reliability, and the photos that only one gets right."""
    first, second = sides
    st.header("On the test photos", anchor=False, help=terms.PHOTOS)
    verdict = compare(first, second).verdict
    st.markdown(formats.plain(f"{verdict[:1].upper()}{verdict[1:]}."))
    if not first.answers or not second.answers:
        return
    _by_class(first, second, titles)
    _confusions(sides, titles)
    _reliability(sides, titles)
    _disagreements(first, second, titles)


def _by_class(first: Side, second: Side, titles: Sequence[str]) -> None:
    st.subheader("By class", anchor=False)
    frame = tables.by_class(first, second, titles)
    column = st.column_config.NumberColumn
    share = {name: column(format="percent") for name in frame.columns[2:4]}
    share["difference"] = column(format="%+.1f points", help="The second run less the first.")
    shown = frame.assign(difference=100 * frame["difference"])
    st.dataframe(shown, hide_index=True, column_config=share, alt="Right answers by class")
    download(frame, "classes.csv", "The classes as CSV")


def _confusions(sides: Sequence[Side], titles: Sequence[str]) -> None:
    st.subheader("What is taken for what", anchor=False, help=terms.CONFUSION)
    grid = st.grid(2, min_column_width=320)
    for side, title in zip(sides, titles, strict=True):
        data = tables.confusions(side.answers, _MOST_CLASSES)
        if len(data):
            draw(charts.confusion(data, title), f"Confusion matrix of {title}", grid)
        else:
            grid.markdown(f"{formats.plain(title)} takes nothing for anything else.")


def _reliability(sides: Sequence[Side], titles: Sequence[str]) -> None:
    st.subheader("Do the probabilities hold?", anchor=False, help=terms.RELIABILITY)
    data = tables.reliability_bins(sides, titles)
    if data.empty:
        st.markdown("Neither run logged probabilities.")
        return
    grid = st.grid(2, min_column_width=320)
    for side, title in zip(sides, titles, strict=True):
        bins = data[data["run"] == title]
        if len(bins):
            error = formats.share(calibration_error(reliability(side.answers.values())))
            chart = charts.reliability(bins, f"{title}: ECE {error}")
            draw(chart, f"Reliability of {title}: calibration error {error}", grid)
    download(data, "reliability.csv", "The bins as CSV")


def _disagreements(first: Side, second: Side, titles: Sequence[str]) -> None:
    frame = tables.disagreements(first, second, titles)
    st.subheader("Photos that only one gets right", anchor=False)
    if frame.empty:
        st.markdown("None.")
        return
    _pictures(frame)
    st.dataframe(frame, hide_index=True, alt="Photos that only one model gets right")
    download(frame, "photos.csv", "The photos as CSV")


def _pictures(frame: pd.DataFrame) -> None:
    """The first of the photos themselves, where the test split is still on this machine."""
    there = {
        f"{label}/{path.name}": path
        for label, paths in live.test_photos().items()
        for path in paths
    }
    shown = [row for row in frame.to_dict("records") if row["photo"] in there][:_MOST_PICTURES]
    if not shown:
        return
    with st.container(horizontal=True, key="only_one_right"):
        for row in shown:
            says = f"{formats.spoken(str(row['class']))}: only {row['right is']} is right"
            picture = picture_of(there[row["photo"]])
            if picture is not None:
                st.image(picture, caption=formats.plain(says), width=_PICTURE_PX)
