"""Which two runs are compared: kept in the session under one name, and in the address of the page."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from experiments.records import RunRecord

KEY = "compare"
IN_ADDRESS = "run"


def remembered(records: Sequence[RunRecord]) -> list[str]:
    """The runs chosen in this session, else those that the address names; at most two that exist.

    They are put into the session before any widget needs them.
    """
    there = {record.run_id for record in records}
    named = st.session_state.get(KEY, st.query_params.get_all(IN_ADDRESS))
    chosen = [run_id for run_id in dict.fromkeys(named) if run_id in there][:2]
    st.session_state[KEY] = chosen
    return chosen


def keep_in_address(chosen: Sequence[str]) -> None:
    """Write the choice into the address, so that a reload or a shared link keeps it."""
    if st.query_params.get_all(IN_ADDRESS) != list(chosen):
        st.query_params[IN_ADDRESS] = list(chosen)


def next_pair(chosen: Sequence[str], ticked: Sequence[str]) -> list[str]:
    """The two runs to compare after rows were ticked: those still ticked, then the newly ticked."""
    kept = [run_id for run_id in chosen if run_id in ticked]
    return [*kept, *(run_id for run_id in ticked if run_id not in kept)][-2:]
