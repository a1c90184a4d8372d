"""The charts of the playground: where a call's time went, and a load test as it goes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import altair as alt
import pandas as pd

from dashboard import formats
from dashboard.playground.view import Part

_KINDS = ("answered", "refused", "failed")
_DASHES = {"p50": [1, 0], "p99": [6, 4]}


def split_bars(parts: Sequence[Part]) -> Any:
    """The parts one below the other, each from where the one before ended, with its figure behind it."""
    ends = list(accumulate(part.ms for part in parts))
    data = pd.DataFrame(
        {
            "part": [part.name for part in parts],
            "begin": [0.0, *ends[:-1]],
            "end": ends,
            "text": [formats.milliseconds(part.ms) for part in parts],
        }
    )
    names = list(data["part"])
    axis = alt.Axis(title=None, labelLimit=200, ticks=False, domain=False, grid=False)
    scale = alt.Scale(domain=[0, max(ends[-1], 0.1) * 1.15], nice=False)
    base = alt.Chart(data).encode(y=alt.Y("part:N", sort=names, axis=axis))
    bars = base.mark_bar(height=18, cornerRadius=2).encode(
        x=alt.X("begin:Q", scale=scale, axis=None), x2="end:Q", tooltip=["part:N", "text:N"]
    )
    figures = base.mark_text(align="left", dx=6, fontSize=13).encode(
        x=alt.X("end:Q", scale=scale, axis=None), text="text:N"
    )
    return (bars + figures).properties(height=36 * len(names))


def by_second(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """A load test's lines as a table, one row a second."""
    columns = ["second", "sent", *_KINDS, "p50_ms", "p99_ms", "instances"]
    return pd.DataFrame(
        [{name: row.get(name) for name in columns} for row in rows], columns=columns
    )


def load_latency(data: pd.DataFrame, seconds: int) -> Any:
    """p50 and p99 of what was answered in each second, told apart by colour and dash."""
    long = data.rename(columns={"p50_ms": "p50", "p99_ms": "p99"}).melt(
        id_vars="second", value_vars=["p50", "p99"], var_name="latency", value_name="ms"
    )
    long["ms"] = pd.to_numeric(long["ms"])
    legend = alt.Legend(title=None, orient="top", symbolType="stroke", symbolSize=400)
    names = list(_DASHES)
    return (
        alt.Chart(long.dropna())
        .mark_line(strokeWidth=2.2, point=True)
        .encode(
            x=_seconds(seconds, ""),
            y=alt.Y("ms:Q", title="latency, ms", scale=alt.Scale(domainMin=0)),
            color=alt.Color("latency:N", scale=alt.Scale(domain=names), legend=legend),
            strokeDash=alt.StrokeDash(
                "latency:N",
                scale=alt.Scale(domain=names, range=list(_DASHES.values())),
                legend=legend,
            ),
            tooltip=["second:Q", "latency:N", alt.Tooltip("ms:Q", format=".1f")],
        )
        .properties(height=260)
    )


def load_answers(data: pd.DataFrame, seconds: int) -> Any:
    """What came back in each second: answered, refused, failed, one on the other."""
    long = data.melt(id_vars="second", value_vars=list(_KINDS), var_name="what", value_name="calls")
    long["begin"] = long["second"] - 0.85
    long["order"] = long["what"].map({name: place for place, name in enumerate(_KINDS)})
    legend = alt.Legend(title=None, orient="top", symbolType="square")
    return (
        alt.Chart(long)
        .mark_bar()
        .encode(
            x=_seconds(seconds, "", field="begin"),
            x2="second:Q",
            y=alt.Y("calls:Q", title="calls a second", axis=alt.Axis(tickCount=4)),
            color=alt.Color("what:N", scale=alt.Scale(domain=list(_KINDS)), legend=legend),
            order="order:O",
            tooltip=["second:Q", "what:N", "calls:Q"],
        )
        .properties(height=230)
    )


def load_instances(data: pd.DataFrame, seconds: int) -> Any:
    """How many instances there were, as steps; None where the endpoint says none."""
    known = data.dropna(subset=["instances"])
    if known.empty:
        return None
    most = max(2, int(known["instances"].max()) + 1)
    return (
        alt.Chart(known)
        .mark_line(interpolate="step-after", strokeWidth=2.2)
        .encode(
            x=_seconds(seconds, "second"),
            y=alt.Y(
                "instances:Q",
                axis=alt.Axis(tickMinStep=1, format="d"),
                scale=alt.Scale(domain=[0, most]),
            ),
            tooltip=["second:Q", "instances:Q"],
        )
        .properties(height=150)
    )


def _seconds(seconds: int, title: str, *, field: str = "second") -> Any:
    return alt.X(
        f"{field}:Q", title=title or None, scale=alt.Scale(domain=[0, seconds], nice=False),
        axis=alt.Axis(grid=False, tickMinStep=1, format="d"),
    )  # fmt: skip
