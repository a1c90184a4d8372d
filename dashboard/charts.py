"""The charts. Colours come from the theme, shapes and dashes say the same without colour. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from dashboard import formats
from dashboard.runs_view import Board
from deployment.invoke import Prediction
from experiments.leaderboard import Row
from experiments.records import RunRecord

LAUNCHERS = ("sagemaker", "ec2")
_SHAPES = ("circle", "triangle-up")
_PHONE_PX = 480
_DASHES = ([1, 0], [6, 4])
_USD_AXIS = "'$' + format(datum.value, '.2~r')"
# Streamlit's own axis text is too pale on a light page: these have 7:1 on either.
_AXIS_INK = {"light": "#4a4f55", "dark": "#b9bcbb"}


def dressed(chart: Any, theme: str) -> Any:
    """The chart with axis and legend text that can be read on the theme `light` or `dark`."""
    ink = _AXIS_INK.get(theme, _AXIS_INK["light"])
    return (
        chart.configure_axis(labelColor=ink, titleColor=ink, labelFontSize=12, titleFontSize=12)
        .configure_legend(labelColor=ink, labelFontSize=13)
        .configure_title(color=ink, fontSize=13, fontWeight=600, anchor="start")
        .configure_text(color=ink)
        .configure_view(strokeOpacity=0)
    )


def points(rows: Sequence[Row], basis: str) -> pd.DataFrame:
    """The runs of one cost basis that have both a quality and a cost."""
    return pd.DataFrame(
        [
            {
                "run": row.name,
                "where": row.where,
                "launcher": row.where.partition(" ")[0],
                "quality": row.quality,
                "cost": float(row.cost_usd),
                "front": row.best_value,
                "quality_text": formats.share(row.quality),
                "cost_text": formats.usd(row.cost_usd, row.cost_basis),
                "time_text": formats.seconds(row.billable_s),
                "id": row.run_id,
            }
            for row in rows
            if row.cost_basis == basis and row.quality is not None and row.cost_usd is not None
        ]
    )


def quality_against_cost(shown: Board, basis: str) -> Any:
    """Every run as a point, the Pareto front drawn as a line of steps; None if there is no point.

    At each cost the line stands at the best quality that was had for that much or less.
    """
    data = points(shown.rows, basis)
    if data.empty:
        return None
    base = alt.Chart(data).encode(x=_cost_axis(basis), y=_quality_axis())
    front = base.transform_filter("datum.front")
    line = front.mark_line(interpolate="step-after", strokeWidth=2, color="gray", opacity=1)
    dots = base.mark_point(size=130, strokeWidth=2, opacity=1).encode(
        color=_launcher(),
        shape=alt.Shape("launcher:N", scale=alt.Scale(domain=LAUNCHERS, range=_SHAPES)),
        fill=alt.condition("datum.front", _launcher(), alt.value("transparent")),
        tooltip=_tooltip(),
    )
    # Above and left of a point of the front there is never another point nor the line.
    names = front.mark_text(
        align="right", baseline="bottom", dx=-7, dy=-5, fontSize=13,
        opacity=alt.ExprRef(f"width > {_PHONE_PX} ? 1 : 0"),
    ).encode(text="run:N", color=_launcher())  # fmt: skip
    return (line + dots + names).properties(height=440)


def _cost_axis(basis: str) -> Any:
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


def curve_points(
    pair: Sequence[RunRecord], curves: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]]
) -> pd.DataFrame:
    """The values of both runs by metric and epoch; `curves` is keyed by run id, then metric."""
    rows = [
        {"run": label, "metric": metric, "epoch": step, "value": value}
        for record, label in zip(pair, labels(pair), strict=True)
        for metric, values in curves.get(record.run_id, {}).items()
        for step, value in values
    ]
    return pd.DataFrame(rows, columns=["run", "metric", "epoch", "value"])


def labels(pair: Sequence[RunRecord]) -> list[str]:
    """A name for each run that tells it from the others: its own, and the id where names repeat."""
    names = [record.name for record in pair]
    return [r.name if names.count(r.name) == 1 else f"{r.name} {r.run_id}" for r in pair]


def learning_curve(data: pd.DataFrame, metric: str, runs: Sequence[str]) -> Any:
    """One metric by epoch, one line a run: told apart by colour and by dash."""
    axis = alt.Axis(format=".0%") if metric.endswith("top1") else alt.Axis()
    scale = alt.Scale(domain=list(runs))
    legend = alt.Legend(title=None, orient="bottom", symbolType="stroke", symbolSize=400)
    dashes = alt.Scale(domain=list(runs), range=list(_DASHES))
    return (
        alt.Chart(data[data["metric"] == metric], title=metric)
        .mark_line(strokeWidth=2.2)
        .encode(
            x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, grid=False)),
            y=alt.Y("value:Q", title=None, axis=axis, scale=alt.Scale(zero=False)),
            color=alt.Color("run:N", scale=scale, legend=legend),
            strokeDash=alt.StrokeDash("run:N", scale=dashes, legend=legend),
            tooltip=["run:N", "epoch:Q", alt.Tooltip("value:Q", format=".4f")],
        )
        .properties(height=320)
    )


def probabilities(predictions: Sequence[Prediction]) -> Any:
    """The most probable classes as bars, each with its figure; the first one stronger."""
    data = pd.DataFrame(
        [
            {
                "label": formats.spoken(prediction.label),
                "probability": prediction.probability,
                "text": formats.share(prediction.probability),
                "first": number == 0,
            }
            for number, prediction in enumerate(predictions)
        ]
    )
    axis = alt.Axis(title=None, labelLimit=170, ticks=False, domain=False, grid=False)
    label = alt.Y("label:N", sort=list(data["label"]), axis=axis)
    length = alt.X("probability:Q", scale=alt.Scale(domain=[0, 1.15]), axis=None)
    base = alt.Chart(data).encode(x=length, y=label)
    bars = base.mark_bar(cornerRadiusEnd=3, height=20).encode(
        opacity=alt.condition("datum.first", alt.value(1), alt.value(0.55))
    )
    figures = base.mark_text(align="left", dx=6, fontSize=13).encode(text="text:N")
    return (bars + figures).properties(height=40 * len(data))
