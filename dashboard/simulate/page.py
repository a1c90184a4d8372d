"""Simulate: what serving settings would cost and how they would feel, before anybody pays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from dashboard import charts, sources, terms
from dashboard.parts import page_title, problem
from dashboard.style import theme
from experiments.errors import PedigreeError
from experiments.prices import latest_book
from simulator import (
    Goal,
    Market,
    Question,
    Recommendation,
    Settings,
    Study,
    parse_goal,
    recommend,
    study,
)
from simulator.goal import misses
from simulator.profile_text import parse_traffic
from simulator.report import SLOT_COLUMNS, doubts, headline, money_rows, slot_rows
from simulator.service import constant_ms
from simulator.settings import vcpus

_HOUR_S = 3600.0
_PROFILES = "little, constant:10/s, daily:mean=20/h,peak=40/h, bursts:base=1/min,burst=3/s,for=2min,every=6h"


def show() -> None:
    """The whole page. Nothing is simulated before the button is pressed."""
    page_title("Simulate")
    st.markdown(
        "What settings would cost a month, and what a visitor would feel. No cloud is asked."
    )
    asked = _form()
    if asked is not None:
        question, goal, searched = asked
        st.session_state["simulated"] = _simulated(question, goal, search=searched)
    done = st.session_state.get("simulated")
    if done is None:
        st.info(
            "Choose the traffic and the settings, then press Simulate.", icon=":material/timeline:"
        )
        return
    _result(*done)


def _form() -> tuple[Question, Goal, bool] | None:
    """What was asked for, if a button was pressed; a wrong value becomes a card."""
    usual = Settings()
    with st.form("settings"):
        traffic = st.text_input("Traffic", "little", help=f"As {_PROFILES}; several joined by +.")
        grid = st.grid(4, min_column_width=150)
        given: dict[str, Any] = {
            "instance_type": grid.text_input("Instance type", usual.instance_type),
            "min_instances": grid.number_input("Instances at least", 1, 100, usual.min_instances),
            "max_instances": grid.number_input("At most", 1, 100, usual.max_instances),
            "target_per_minute": grid.number_input(
                "Target a minute", 1.0, 1e6, usual.target_per_minute, help=terms.TARGET
            ),
            "reserved_concurrency": grid.number_input(
                "Reserved", 1, 1000, usual.reserved_concurrency, help=terms.RESERVED
            ),
            "provisioned_concurrency": grid.number_input(
                "Provisioned", 0, 1000, usual.provisioned_concurrency, help=terms.PROVISIONED
            ),
        }
        photo_ms = grid.number_input("A photo takes, ms", 1.0, 60_000.0, 59.0, help=terms.PHOTO_MS)
        slo = grid.text_input("Goal", "p99=800ms", help="As p99=800ms or p95=0.5s.")
        with st.container(horizontal=True):
            once = st.form_submit_button("Simulate", type="primary")
            search = st.form_submit_button("Find the cheapest that meets the goal")
    if not once and not search:
        return None
    try:
        settings = Settings(**given)
        service = constant_ms(photo_ms, spread=0.2, vcpus=vcpus(settings.instance_type))
        question = Question(
            settings=settings, traffic=parse_traffic(traffic), service=service,
            length_s=24 * _HOUR_S, warm_up_s=_HOUR_S,
        )  # fmt: skip
        return question, parse_goal((slo,) if slo else (), max_refused="0.1%"), search
    except PedigreeError as error:
        problem(error.message, error.fix)
        return None


def _simulated(
    question: Question, goal: Goal, *, search: bool
) -> tuple[Study, Goal, Recommendation | None]:
    market = Market(book=latest_book(), region=sources.REGION)
    with st.spinner("Simulating", show_time=True):
        advice = recommend(question, goal, market) if search else None
        return study(question, market, seeds=3), goal, advice


def _result(found: Study, goal: Goal, advice: Recommendation | None) -> None:
    missed = misses(found, goal)
    if missed:
        st.warning("Misses the goal: " + "; ".join(missed), icon=":material/warning:")
    else:
        st.success("Meets the goal in every seed.", icon=":material/check:")
    if advice is not None:
        _advice(advice)
    felt, paid = st.columns(2, gap="medium")
    with felt:
        st.header("What happens", anchor=False)
        st.dataframe(
            pd.DataFrame(headline(found), columns=["figure", "value"]), hide_index=True,
            alt="What happens", height="content",
        )  # fmt: skip
    with paid:
        st.header("What it costs, simulated", anchor=False)
        columns = ["component", "quantity a month", "a day", "a month"]
        st.dataframe(
            pd.DataFrame(money_rows(found), columns=columns), hide_index=True,
            alt="What it costs", height="content",
        )  # fmt: skip
    _timeline(found)
    with st.expander("What this does not know"):
        for words in doubts(found):
            st.markdown("- " + words.replace("$", "\\$"))


def _advice(advice: Recommendation) -> None:
    st.header("Recommended", anchor=False)
    for words in advice.words:
        st.markdown(words.replace("$", "\\$"))
    rows = [
        {
            "USD a month": round(one.month_usd, 2),
            "p99, ms": round(one.p99_ms or 0),
            "instances": f"{one.settings.min_instances} to {one.settings.max_instances}"
            f" x {one.settings.instance_type}",
            "provisioned": one.settings.provisioned_concurrency,
            "goal": "misses" if one.missed else "meets",
        }
        for one in advice.front
    ]
    if rows:
        st.dataframe(rows, hide_index=True, alt="Settings that no other beats in price and p99")
    for one in advice.sensitivities:
        st.caption(one.words.replace("$", "\\$"))


def _timeline(found: Study) -> None:
    st.header("Over the day", anchor=False)
    rows = list(slot_rows(found))
    data = pd.DataFrame(rows, columns=["seed", *SLOT_COLUMNS])
    first = data[data["seed"] == found.shown.seed].assign(hour=lambda d: d["start_s"] / 3600)
    grid = st.grid(2, min_column_width=300)
    for title, names in (
        ("Arrivals in each stretch", ["arrivals"]),
        ("Instances, and requests that wait", ["instances", "queue"]),
        ("Answered within, ms", ["p50_ms", "p99_ms"]),
        ("Refused and failed", ["refused", "failed"]),
    ):
        chart = charts.dressed(_lines(first, title, names), theme())
        grid.altair_chart(chart, alt=f"{title}, over the day")
    st.download_button(
        "Download as CSV", data.to_csv(index=False), "simulation.csv", "text/csv",
        icon=":material/download:",
    )  # fmt: skip


def _lines(data: pd.DataFrame, title: str, names: Sequence[str]) -> Any:
    long = data.melt("hour", list(names), "figure", "value").dropna()
    legend = alt.Legend(title=None, orient="bottom") if len(names) > 1 else None
    return (
        alt.Chart(long, title=title)
        .mark_line(interpolate="step-after", strokeWidth=1.8)
        .encode(
            x=alt.X("hour:Q", title="hour", axis=alt.Axis(grid=False)),
            y=alt.Y("value:Q", title=None),
            color=alt.Color("figure:N", legend=legend),
            strokeDash=alt.StrokeDash("figure:N", legend=legend),
        )
        .properties(height=220)
    )


if __name__ == "__main__":
    show()
