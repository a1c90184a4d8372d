"""What the Compare page shows, as files to take along."""

from __future__ import annotations

import pandas as pd
import streamlit as st


def download(frame: pd.DataFrame, name: str, label: str) -> None:
    """A button that gives the table as CSV; none for an empty table."""
    if not frame.empty:
        text = frame.to_csv(index=False)
        st.download_button(label, text, name, "text/csv", icon=":material/download:")
