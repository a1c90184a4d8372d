"""The charts. Colours come from the theme, shapes and dashes say the same without colour. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from dashboard import formats
from deployment.invoke import Prediction

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
