"""The dashboard: `streamlit run dashboard/app.py` from the repository's folder."""

from __future__ import annotations

import sys
from pathlib import Path

# Streamlit puts this file's folder on the path, not the repository's, where the rooms are.
_ROOT = str(Path(__file__).resolve().parent.parent)
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)

import streamlit as st  # noqa: E402

from dashboard.border import page_border  # noqa: E402
from dashboard.style import STYLE, logo, theme  # noqa: E402

_RUNS = ":material/leaderboard:"
_PLAYGROUND = ":material/pets:"


def main() -> None:
    """The frame around the pages: title, logo, navigation, and the border that catches errors."""
    st.set_page_config(
        page_title="Pedigree",
        page_icon=logo("light", word=False),
        layout="wide",
        menu_items={"About": "Pedigree: what each run cost, and what is live."},
    )
    st.html(STYLE)
    st.logo(logo(theme()), size="large")
    pages = [
        st.Page("runs_page.py", title="Runs", icon=_RUNS, url_path="runs", default=True),
        st.Page("playground_page.py", title="Playground", icon=_PLAYGROUND, url_path="playground"),
    ]
    page = st.navigation(pages, position="top")
    with st.container(horizontal=True, gap="xsmall", key="phone_pages"):
        for each in pages:
            st.page_link(each, width="content")
    with page_border():
        page.run()


main()
