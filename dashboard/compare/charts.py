"""The charts of two runs. Each run has its colour, and a dash, a place or a label beside it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from experiments.records import RunRecord

_DASHES = ([1, 0], [6, 4])
_ROW_PX = 34
_USD_AXIS = "'$' + format(datum.value, '.2~r')"
_CELL_INK = "#14181c"


def curve_points(
    pair: Sequence[RunRecord],
    titles: Sequence[str],
    curves: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]],
) -> pd.DataFrame:
    """The values of both runs by metric and epoch; `curves` is keyed by run id, then metric."""
    rows = [
        {"run": title, "metric": metric, "epoch": step, "value": value}
        for record, title in zip(pair, titles, strict=True)
        for metric, values in curves.get(record.run_id, {}).items()
        for step, value in values
    ]
    return pd.DataFrame(rows, columns=["run", "metric", "epoch", "value"])


def _legend(**other: Any) -> Any:
    return alt.Legend(title=None, orient="bottom", columns=1, labelLimit=320, **other)


def learning_curve(data: pd.DataFrame, metric: str, runs: Sequence[str]) -> Any:
    """One metric by epoch, one line a run: told apart by colour and by dash."""
    axis = alt.Axis(format=".0%") if metric.endswith("top1") else alt.Axis()
    legend = _legend(symbolType="stroke", symbolSize=400)
    dashes = alt.Scale(domain=list(runs), range=list(_DASHES))
    return (
        alt.Chart(data[data["metric"] == metric], title=metric)
        .mark_line(strokeWidth=2.2)
        .encode(
            x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, grid=False)),
            y=alt.Y("value:Q", title=None, axis=axis, scale=alt.Scale(zero=False)),
            color=alt.Color("run:N", scale=alt.Scale(domain=list(runs)), legend=legend),
            strokeDash=alt.StrokeDash("run:N", scale=dashes, legend=legend),
            tooltip=["run:N", "epoch:Q", alt.Tooltip("value:Q", format=".4f")],
        )
        .properties(height=320)
    )


def waterfall(data: pd.DataFrame, runs: Sequence[str]) -> Any:
    """Each phase begins where the one before it ended; the two runs in rows beside each other."""
    order = list(dict.fromkeys(data["phase"]))
    if "other" in order:
        order = [*(phase for phase in order if phase != "other"), "other"]
    return (
        alt.Chart(data, title="phases, one after the other, in seconds on each host")
        .mark_bar()
        .encode(
            x=alt.X("start:Q", title=None, axis=alt.Axis(tickCount=6)),
            x2="end:Q",
            y=alt.Y("phase:N", title=None, sort=order),
            yOffset=alt.YOffset("run:N", sort=list(runs)),
            color=alt.Color("run:N", scale=alt.Scale(domain=list(runs)), legend=_legend()),
            tooltip=["run:N", "phase:N", alt.Tooltip("seconds:Q", format=".1f")],
        )
        .properties(height=max(300, _ROW_PX * len(order) + 90))
    )


def stacked(data: pd.DataFrame, runs: Sequence[str]) -> Any:
    """What each run cost, its lines stacked on each other; a bar holds one kind of money."""
    return (
        alt.Chart(data, title="cost lines, in USD")
        .mark_bar(stroke="white", strokeWidth=0.7)
        .encode(
            x=alt.X("sum(usd):Q", title=None, axis=alt.Axis(labelExpr=_USD_AXIS, tickCount=5)),
            y=alt.Y("run:N", title=None, sort=list(runs), axis=alt.Axis(labelLimit=110)),
            color=alt.Color("item:N", sort=None, legend=_legend()),
            tooltip=["run:N", "item:N", "basis:N", alt.Tooltip("usd:Q", format="$.6f")],
        )
        .properties(height=300)
    )


def confusion(data: pd.DataFrame, title: str) -> Any:
    """A confusion matrix with its figures written in the cells."""
    most = max(1, int(data["photos"].max()))
    base = alt.Chart(data, title=title).encode(
        x=alt.X("said:N", title="said", axis=alt.Axis(labelAngle=-50, labelLimit=110)),
        y=alt.Y("is:N", title="is", axis=alt.Axis(labelLimit=110)),
        tooltip=["is:N", "said:N", "photos:Q"],
    )
    cells = base.mark_rect().encode(
        color=alt.Color(
            "photos:Q", scale=alt.Scale(range=["#f4f6f8", "#5f9fd0"], domain=[0, most]), legend=None
        )
    )
    figures = base.mark_text(fontSize=12).encode(text="photos:Q", color=alt.value(_CELL_INK))
    return (cells + figures).properties(height=340)


def reliability(bins: pd.DataFrame, title: str) -> Any:
    """The share that is right against the probability said, and how far each bin is from the diagonal."""
    whole = alt.Scale(domain=[0, 1])
    axis = alt.Axis(format=".0%", tickCount=5)
    diagonal = (
        alt.Chart(pd.DataFrame({"probability": [0.0, 1.0], "right": [0.0, 1.0]}))
        .mark_line(color="gray", strokeDash=[4, 4], strokeWidth=1.5)
        .encode(x=alt.X("probability:Q", scale=whole), y=alt.Y("right:Q", scale=whole))
    )
    base = alt.Chart(bins, title=title).encode(
        x=alt.X("probability:Q", title="probability said", scale=whole, axis=axis),
        tooltip=[
            alt.Tooltip("probability:Q", format=".1%"),
            alt.Tooltip("right:Q", format=".1%"),
            "photos:Q",
        ],
    )
    gaps = base.mark_rule(strokeWidth=2, opacity=0.6).encode(
        y=alt.Y("right:Q", title="share that is right", scale=whole, axis=axis),
        y2="probability",
    )
    points = base.mark_circle(opacity=1).encode(
        y="right:Q", size=alt.Size("photos:Q", scale=alt.Scale(range=[40, 400]), legend=None)
    )
    return (diagonal + gaps + points).properties(height=320)
