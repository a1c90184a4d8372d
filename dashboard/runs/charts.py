"""The chart of the runs: quality against cost or time, the other as the marks' size. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from dashboard import formats
from dashboard.runs.view import MOST_MARKS, Board
from experiments.leaderboard import Row, pareto_front

LAUNCHERS = ("sagemaker", "ec2")
_SHAPES = ("circle", "triangle-up")
_PHONE_PX = 480
_MOST_NAMED = 12
_USD_AXIS = "'$' + format(datum.value, '.2~r')"


def points(rows: Sequence[Row], basis: str, front: set[str]) -> pd.DataFrame:
    """The runs of one cost basis that have quality, cost and time: all of the front, and of the others
    at most a thousand, evenly taken from best to worst."""
    known = [
        row
        for row in rows
        if row.cost_basis == basis
        and row.quality is not None
        and row.cost_usd is not None
        and row.billable_s
    ]
    every = max(1, -(-len(known) // MOST_MARKS))
    kept = [row for at, row in enumerate(known) if at % every == 0 or row.run_id in front]
    return pd.DataFrame([_point(row, row.run_id in front) for row in kept])


def _point(row: Row, front: bool) -> dict[str, object]:
    return {
        "run": row.name,
        "where": row.where,
        "launcher": row.where.partition(" ")[0],
        "quality": row.quality,
        "cost": float(row.cost_usd or 0),
        "time": row.billable_s,
        "front": front,
        "quality_text": formats.share(row.quality),
        "cost_text": formats.usd(row.cost_usd, row.cost_basis),
        "time_text": formats.seconds(row.billable_s),
        "id": row.run_id,
    }


def quality_against(shown: Board, basis: str, against: str) -> Any:
    """Every run as a point, the Pareto front drawn as a line of steps; None if there is no point.

    At each cost (or time) the line stands at the best quality that was had for that much or less.
    """
    front = pareto_front(shown.records, in_time=against == "time")
    data = points(shown.rows, basis, front)
    if data.empty:
        return None
    base = alt.Chart(data).encode(x=_spent_axis(basis, against), y=_quality_axis())
    of_front = base.transform_filter("datum.front")
    line = of_front.mark_line(interpolate="step-after", strokeWidth=2, color="gray", opacity=1)
    size = alt.Size(
        "time:Q" if against == "cost" else "cost:Q",
        scale=alt.Scale(range=[60, 420], zero=False),
        legend=None,
    )
    dots = base.mark_point(strokeWidth=2, opacity=1).encode(
        color=_launcher(),
        shape=alt.Shape("launcher:N", scale=alt.Scale(domain=LAUNCHERS, range=_SHAPES)),
        fill=alt.condition("datum.front", _launcher(), alt.value("transparent")),
        size=size,
        tooltip=_tooltip(),
    )
    layers = line + dots
    if data["front"].sum() <= _MOST_NAMED:
        layers += _names(of_front)
    return layers.properties(height=440)


def _names(of_front: Any) -> Any:
    """Above and left of a point of the front there is never another point nor the line."""
    return of_front.mark_text(
        align="right", baseline="bottom", dx=-9, dy=-7, fontSize=13,
        opacity=alt.ExprRef(f"width > {_PHONE_PX} ? 1 : 0"),
    ).encode(text="run:N", color=_launcher())  # fmt: skip


def _spent_axis(basis: str, against: str) -> Any:
    if against == "time":
        axis = alt.Axis(tickCount=5, grid=True)
        return alt.X("time:Q", title="billable seconds on each host", axis=axis, scale=_roomy(70))
    axis = alt.Axis(labelExpr=_USD_AXIS, tickCount=5, grid=True)
    return alt.X("cost:Q", title=f"cost, USD, {basis}", axis=axis, scale=_roomy(70))


def _quality_axis() -> Any:
    return alt.Y("quality:Q", title="test top-1", axis=alt.Axis(format=".0%"), scale=_roomy(24))


def _roomy(padding_px: int) -> Any:
    return alt.Scale(zero=False, padding=padding_px, nice=False)


def _launcher() -> Any:
    legend = alt.Legend(title=None, orient="top", symbolSize=130)
    return alt.Color("launcher:N", scale=alt.Scale(domain=LAUNCHERS), legend=legend)


def _tooltip() -> list[Any]:
    titles = {
        "run": "run",
        "where": "where",
        "quality_text": "test top-1",
        "cost_text": "cost",
        "time_text": "billable",
        "id": "id",
    }
    return [alt.Tooltip(f"{name}:N", title=title) for name, title in titles.items()]
