"""The runs as the page shows them, reckoned once for each filter and kept until the store changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import sources
from dashboard.charts import dressed
from dashboard.records import Tile
from dashboard.runs.view import ORDERS, Board, Filters, board, choices, table, tiles
from experiments.records import RunRecord

_KEPT = 32


Asked = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What the filters leave: the runs, their figures in boxes, and their table."""

    asked: Asked
    board: Board
    tiles: tuple[Tile, ...]
    table: pd.DataFrame


def ranked(records: Sequence[RunRecord], filters: Filters, order: str) -> Shown:
    """The runs that pass the filters, ranked, in this order; shared by all visitors: not to be changed."""
    asked = (filters.experiments, filters.statuses, filters.launchers)
    return _ranked(sources.runs_version(), asked, order, records)


def overall(records: Sequence[RunRecord]) -> Shown:
    """All runs, by quality: what the page's first sentence speaks of."""
    return ranked(records, Filters(), ORDERS[0])


def charted(shown: Shown, against: str, theme: str) -> Mapping[str, Mapping[str, Any]]:
    """The finished chart of each cost basis that has one, for a theme; see `runs.charts`."""
    return _charted(sources.runs_version(), shown.asked, against, theme, shown.board)


def there(records: Sequence[RunRecord]) -> Filters:
    """Everything there is to filter by."""
    return _there(sources.runs_version(), records)


@st.cache_resource(show_spinner=False, max_entries=_KEPT)
def _ranked(
    version: str,
    asked: Asked,
    order: str,
    _records: Sequence[RunRecord],
) -> Shown:
    experiments, statuses, launchers = asked
    filters = Filters(experiments=experiments, statuses=statuses, launchers=launchers)
    found = board(_records, filters, order)
    return Shown(asked=asked, board=found, tiles=tuple(tiles(found)), table=table(found))


@st.cache_resource(show_spinner=False, max_entries=_KEPT)
def _charted(
    version: str, asked: Asked, against: str, theme: str, _board: Board
) -> dict[str, dict[str, Any]]:
    from dashboard.runs.charts import quality_against

    charts = {basis: quality_against(_board, basis, against) for basis in _board.bases}
    return {
        basis: dressed(chart, theme).to_dict()
        for basis, chart in charts.items()
        if chart is not None
    }


@st.cache_resource(show_spinner=False, max_entries=2)
def _there(version: str, _records: Sequence[RunRecord]) -> Filters:
    return choices(_records)
