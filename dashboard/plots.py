"""A chart on a page: readable on either theme, and told in words to who cannot see it."""

from __future__ import annotations

from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.charts import dressed
from dashboard.style import theme


def draw(chart: Any, alt: str, where: DeltaGenerator | None = None) -> None:
    """Put a chart on the page or into `where`; `alt` says what it shows."""
    (where or st).altair_chart(dressed(chart, theme()), alt=alt)
