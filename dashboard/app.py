"""The dashboard's pages in their frame; `serve.py` beside it serves them."""

from __future__ import annotations

import sys
from pathlib import Path

# Streamlit puts this file's folder on the path, not the repository's, where the rooms are.
_ROOT = str(Path(__file__).resolve().parent.parent)
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)

import streamlit as st  # noqa: E402

from dashboard.access import admit, show_who  # noqa: E402
from dashboard.border import page_border  # noqa: E402
from dashboard.pages import PAGES  # noqa: E402
from dashboard.style import logo, style, theme  # noqa: E402


def main() -> None:
    """The frame around the pages: title, logo, navigation, and the border that catches errors."""
    st.set_page_config(
        page_title="Pedigree",
        page_icon=logo("light", word=False),
        layout="wide",
        menu_items={"About": "Pedigree: what each run cost, and what is live."},
    )
    st.html(style(theme()))
    st.logo(logo(theme()), size="large")
    with page_border():
        if admit():
            _pages()


def _pages() -> None:
    pages = [
        st.Page(path, title=title, icon=icon, url_path=title.lower(), default=title == "Overview")
        for path, title, icon in PAGES
    ]
    page = st.navigation(pages, position="top")
    with st.container(horizontal=True, gap="xsmall", key="phone_pages"):
        for each in pages:
            st.page_link(each, width="content")
    page.run()
    show_who()


main()
