"""The parts that pages are made of: boxes of figures, the empty state, the error card."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.records import Tile


def page_title(title: str) -> DeltaGenerator:
    """The heading of a page. Returns its row, for buttons at the right end."""
    row = st.container(horizontal=True, vertical_alignment="bottom", key="heading")
    row.title(title, anchor=False)
    return row


def problem(message: str, fix: str) -> None:
    """A card for an error: what is wrong, and what to do about it."""
    st.error(f"**{_sentence(message)}**\n\n{_sentence(fix)}", icon=":material/error:")


def nothing_yet(title: str, text: str, command: str) -> None:
    """The state before there is anything to show: what is missing, and the command that makes it."""
    with st.container(border=True, key="nothing_yet"):
        st.subheader(title, anchor=False)
        st.markdown(text)
        st.code(command, language="bash")


def tile_row(tiles: Sequence[Tile], *, columns: int) -> None:
    """Figures in boxes, side by side as far as the page is wide."""
    grid = st.grid(columns, min_column_width=150)
    for tile in tiles:
        grid.metric(
            tile.label, tile.value, delta=tile.detail, delta_color="off", delta_arrow="off",
            help=tile.help, border=True, height="stretch",
        )  # fmt: skip


def _sentence(text: str) -> str:
    """The text with a capital letter and a full stop, as Markdown that shows its signs as they are."""
    clean = text.strip().replace("$", "\\$").replace("[", "\\[")
    start = clean[:1].upper() + clean[1:]
    return start if start.endswith((".", "!", "?", "`")) else f"{start}."
