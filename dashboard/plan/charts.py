"""The what-if as a chart: expected cost against expected time, with the front drawn. Pure."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from dashboard.plan.view import KINDS

_SHAPES = ("circle", "triangle-up", "diamond")
_PHONE_PX = 480
_USD_AXIS = "'$' + format(datum.value, '.2~r')"
_SECONDS_AXIS = (
    "datum.value < 180 ? datum.value + ' s' : datum.value < 3600 ? format(datum.value / 60, '.3~r')"
    " + ' min' : format(datum.value / 3600, '.3~r') + ' h'"
)


def cost_against_time(data: pd.DataFrame) -> Any:
    """Every option as a point on two logarithmic axes; filled and joined are those of the front.

    What was asked for has a ring. Named are that and the two ends of the front. At each time the line
    stands at the least cost of that or quicker.
    """
    base = alt.Chart(data).encode(x=_time(), y=_cost())
    front = base.transform_filter("datum.front")
    line = front.mark_line(interpolate="step-after", strokeWidth=2, color="gray", opacity=1)
    scale = alt.Scale(domain=KINDS, range=_SHAPES)
    dots = base.mark_point(size=80, strokeWidth=1.8, opacity=1).encode(
        color=_kind(),
        shape=alt.Shape("kind:N", scale=scale),
        fill=alt.condition("datum.front", _kind(), alt.value("transparent")),
        tooltip=_tooltip(),
    )
    rings = base.transform_filter("datum.asked").mark_point(
        size=340, strokeWidth=2, opacity=1, shape="circle", color="gray"
    )
    names = base.transform_filter("datum.named").mark_text(
        align="left", baseline="bottom", dx=9, dy=-6, fontSize=12,
        opacity=alt.ExprRef(f"width > {_PHONE_PX} ? 1 : 0"),
    ).encode(text="name:N", color=_kind())  # fmt: skip
    return (line + dots + rings + names).properties(height=420)


def _time() -> Any:
    axis = alt.Axis(labelExpr=_SECONDS_AXIS, tickCount=6, grid=True)
    scale = alt.Scale(type="log", padding=40, nice=False)
    return alt.X("time:Q", title="expected time", axis=axis, scale=scale)


def _cost() -> Any:
    axis = alt.Axis(labelExpr=_USD_AXIS, tickCount=6)
    scale = alt.Scale(type="log", padding=24, nice=False)
    return alt.Y("cost:Q", title="expected cost, USD", axis=axis, scale=scale)


def _kind() -> Any:
    legend = alt.Legend(title=None, orient="top", symbolSize=110)
    return alt.Color("kind:N", scale=alt.Scale(domain=KINDS), legend=legend)


def _tooltip() -> list[Any]:
    titles = {
        "where": "where", "time_text": "expected time", "cost_text": "expected cost",
        "hour_text": "price", "note": "note",
    }  # fmt: skip
    return [alt.Tooltip(f"{name}:N", title=title) for name, title in titles.items()]
