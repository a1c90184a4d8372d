"""Plan: what a run would take and cost, the same work elsewhere, and the command that launches it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import formats, sources, terms
from dashboard.parts import page_title, tile_row
from dashboard.plan import charts
from dashboard.plan.form import Asked, ask
from dashboard.plan.view import (
    USES,
    chart_points,
    options_table,
    price_table,
    regions,
    tiles,
)
from dashboard.plots import draw
from experiments.budgets import read_month_budget
from experiments.prices import PriceBook, latest_book
from experiments.records import Estimate
from experiments.sketch import Outlook, month_sum, outlook, text_of

_SAVED_AS = "my-plan.yaml"
_ROW_PX = 36
_MOST_ROWS = 12


def _same_question(asked: Asked) -> tuple[str, int, str]:
    return asked.sketch.run.name, asked.sketch.photos, asked.cloud


def show() -> None:
    """The whole page."""
    page_title("Plan")
    st.markdown(
        "What a run would take and cost before it is launched, here or on another machine. "
        "Nothing is sent and no cloud is asked."
    )
    book = latest_book()
    asked = ask(book)
    if asked is not None:
        with st.skeleton(height=300):
            seen = _outlook(text_of(asked.sketch.spec), sources.runs_version(), asked)
        _expected(asked, seen.estimate)
        for words in seen.warnings:
            st.warning(formats.plain(_sentence(words)), icon=":material/warning:")
        _launch(asked)
        _what_if(seen)
    _prices(book)


@st.cache_resource(show_spinner=False, max_entries=16, hash_funcs={Asked: _same_question})
def _outlook(text: str, version: str, asked: Asked) -> Outlook:
    """Kept until the settings or the runs on record change."""
    return outlook(asked.sketch, sources.history(asked.basis), latest_book())


def _expected(asked: Asked, estimate: Estimate) -> None:
    limit = read_month_budget(sources.home() / ".pedigree" / "budget.json")
    month = None
    if limit is not None:
        now = datetime.now(tz=UTC)
        month = month_sum(estimate, limit, sources.runs(), now=now, basis=asked.basis)
    tile_row(tiles(estimate, month, asked.basis), columns=4)
    beyond = "; ".join(estimate.extrapolates)
    st.caption(formats.plain(estimate.why + (f". It extrapolates: {beyond}" if beyond else "")))
    if month is not None and month.broken:
        st.error(
            f"**A launch would be refused.** {formats.plain(str(month))}", icon=":material/block:"
        )


def _launch(asked: Asked) -> None:
    """The exact command; settings that no file holds are offered as a file first."""
    st.header("Launch it", anchor=False)
    cloud = " --cloud aws" if asked.cloud == "aws" else ""
    if asked.as_in_file and asked.path is not None:
        st.code(f"pedigree run {_shown(asked.path)}{cloud}", language="bash")
        return
    st.markdown("These settings are in no file yet. Save them, check `data:` and launch:")
    text = text_of(asked.sketch.spec)
    st.code(text, language="yaml")
    st.code(f"pedigree run {_SAVED_AS}{cloud}", language="bash")
    st.download_button(
        "Download the file", text, _SAVED_AS, "application/yaml", icon=":material/download:"
    )


def _shown(path: Path) -> str:
    """The file as a person in the home folder would type it."""
    home = sources.home()
    root = Path(__file__).parents[2]
    for folder in (home, root):
        if path.is_relative_to(folder):
            return str(path.relative_to(folder))
    return path.name


def _what_if(seen: Outlook) -> None:
    st.header("The same work elsewhere", anchor=False, help=terms.WHAT_IF)
    data = chart_points(seen.table.options)
    if data.empty:
        st.info(
            "No run on record tells how long this takes, so there are prices here and no times. "
            "One run of the same kind is enough to begin with.",
            icon=":material/query_stats:",
        )
    else:
        draw(charts.cost_against_time(data), "Expected cost of each option against its time")
        st.caption(
            "The line and the filled marks are the front; a ring is what the file asks for. "
            "Point at a mark for more."
        )
    _options(seen)
    for words in seen.table.answers:
        st.markdown(f"- {formats.plain(_sentence(words))}")
    _notebook(seen)


def _options(seen: Outlook) -> None:
    frame = options_table(seen.table.options)
    known = [name for name in frame.columns if frame[name].notna().any()]
    st.dataframe(
        frame[known], hide_index=True, row_height=_ROW_PX, column_config=_columns(),
        height=_ROW_PX * (min(len(frame), _MOST_ROWS) + 1) + 2, placeholder=formats.NOTHING,
        alt="The same work on every machine type with a price",
    )  # fmt: skip
    st.download_button(
        "Download as CSV", frame.to_csv(index=False), "what-if.csv", "text/csv",
        icon=":material/download:",
    )  # fmt: skip


def _columns() -> dict[str, Any]:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    return {
        "mark": text("★ ●", width=46, help="★ on the front; ● asked for in the file"),
        "where": text("where", width=220, help=terms.WHERE),
        "hour_usd": number("USD an hour", format="$%.4f", help="All hosts together."),
        "expected_s": number("expected, s", format="%.0f", help=terms.INTERVAL),
        "low_s": number("from, s", format="%.0f"),
        "high_s": number("to, s", format="%.0f"),
        "expected_usd": number("expected USD", format="$%.4f", help=terms.INTERVAL),
        "low_usd": number("from", format="$%.4f"),
        "high_usd": number("to", format="$%.4f"),
        "note": text("note", width=260),
        "price_read": text("price read", width=96),
    }


def _notebook(seen: Outlook) -> None:
    if seen.table.notebook is None:
        return
    kind, usd = seen.table.notebook
    st.markdown(
        f"Smallest notebook that will do: **{kind}** at {formats.plain(formats.usd(usd))} an hour "
        f"({formats.plain(seen.table.need.why)})."
    )


def _prices(book: PriceBook) -> None:
    st.header("Prices", anchor=False, help=terms.GRADE)
    known = regions(book)
    with st.container(horizontal=True, key="price_choice"):
        use = st.segmented_control(
            "Used for", list(USES), default="Training", required=True, key="use",
            bind="query-params",
        )  # fmt: skip
        region = st.selectbox("Region", known, key="region", bind="query-params", width=200)
    frame = price_table(book, use, region)
    if frame.empty:
        st.markdown(f"The book of {book.date} has no price for this in {region}.")
        return
    st.dataframe(
        frame, hide_index=True, row_height=_ROW_PX, column_config=_price_columns(),
        height=_ROW_PX * (min(len(frame), _MOST_ROWS) + 1) + 2, placeholder=formats.NOTHING,
        alt=f"Prices for {use} in {region}",
    )  # fmt: skip
    st.caption(
        f"Price book of {book.date}. A price that is not here is never guessed; "
        "pedigree prices refresh reads AWS's own list."
    )


def _price_columns() -> dict[str, Any]:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    return {
        "type": text("type", width=140),
        "usd": number("USD", format="$%.5f", width=90),
        "unit": text("for a", width=70),
        "processors": number("processors", width=90, help="Virtual CPUs."),
        "memory_gib": number("memory, GiB", format="%.1f", width=100),
        "accelerator": text("accelerator", width=130),
        "read": text("read on", width=96),
        "grade": text("grade", width=130, help=terms.GRADE),
        "source": text("source", width=320),
    }


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")


if __name__ == "__main__":
    show()
