"""Charts of a study and of a recommendation: PNG, or one HTML page that needs nothing else."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from simulator.recommend import Recommendation
from simulator.study import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _RED, _GREY, _ORANGE = "#1f5fa8", "#b3261e", "#777777", "#a85d00"


def picture(found: Study, advice: Recommendation | None = None, *, kind: str) -> bytes:
    """The chart as `png` or `svg`: four rows over time, and two more of a recommendation."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = 4 + (2 if advice is not None else 0)
    figure = Figure(figsize=(10, 2.3 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    _timeline(figure, found, rows)
    if advice is not None:
        _front(figure.add_subplot(rows, 1, 5), advice)
        _sensitivity(figure.add_subplot(rows, 1, 6), advice)
    out = io.BytesIO()
    figure.savefig(out, format=kind, dpi=120, metadata={"Date": None} if kind == "svg" else None)
    return out.getvalue()


def page(found: Study, advice: Recommendation | None, *, title: str, lines: Sequence[str]) -> str:
    """One HTML page: the chart, and `lines` of text under it."""
    drawing = picture(found, advice, kind="svg").decode()
    drawing = drawing[drawing.index("<svg") :]
    text = "\n".join(html.escape(line) for line in lines)
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        f"<title>{html.escape(title)}</title>"
        "<style>body{font:16px sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "svg{width:100%;height:auto}pre{white-space:pre-wrap}</style></head>"
        f"<body><h1>{html.escape(title)}</h1>"
        f"<div role='img' aria-label='Arrivals, instances, times and refusals over time'>{drawing}"
        f"</div><pre>{text}</pre></body></html>\n"
    )


def _timeline(figure: Figure, found: Study, rows: int) -> None:
    slots = found.shown.slots
    hours = [slot.start_s / 3600 for slot in slots]
    first: Axes = figure.add_subplot(rows, 1, 1)
    first.step(hours, [60 * s.arrivals / s.length_s for s in slots], where="post", color=_BLUE)
    first.set_ylabel("arrivals\na minute")
    first.set_title(f"{found.question.traffic.text} (seed {found.shown.seed})", loc="left")
    second: Axes = figure.add_subplot(rows, 1, 2, sharex=first)
    second.step(hours, [s.instances for s in slots], where="post", color=_BLUE, label="answering")
    asked = [s.instances + s.starting for s in slots]
    second.step(hours, asked, where="post", color=_GREY, ls="--", label="with those starting")
    second.plot(hours, [s.queue for s in slots], color=_ORANGE, lw=0.8, label="queue (requests)")
    second.set_ylabel("instances")
    second.legend(loc="upper right")
    third: Axes = figure.add_subplot(rows, 1, 3, sharex=first)
    for name, color in (("p50_ms", _GREY), ("p95_ms", _ORANGE), ("p99_ms", _BLUE)):
        values = [getattr(s, name) if getattr(s, name) is not None else float("nan") for s in slots]
        third.plot(hours, values, color=color, lw=0.9, label=name.removesuffix("_ms"))
    third.set_ylabel("answered\nwithin, ms")
    third.legend(loc="upper right")
    last: Axes = figure.add_subplot(rows, 1, 4, sharex=first)
    for name, color, label in (
        ("refused", _RED, "refused (429)"),
        ("failed", _ORANGE, "failed (5xx)"),
        ("cold_starts", _GREY, "cold starts"),
    ):
        last.step(hours, [getattr(s, name) for s in slots], where="post", color=color, label=label)
    last.set_ylabel("requests")
    last.set_xlabel("hours")
    last.legend(loc="upper right")


def _front(axes: Axes, advice: Recommendation) -> None:
    tried = [one for one in advice.tried if one.p99_ms is not None]
    met = [one for one in tried if not one.missed]
    missed = [one for one in tried if one.missed]
    for group, color, label in ((missed, _GREY, "misses the goal"), (met, _BLUE, "meets the goal")):
        prices, times = [c.month_usd for c in group], [c.p99_ms or 0.0 for c in group]
        axes.scatter(prices, times, s=14, color=color, label=label)
    prices = [one.month_usd for one in advice.front]
    axes.step(prices, [one.p99_ms or 0.0 for one in advice.front], where="post", color=_ORANGE)
    if advice.goal.p99_ms is not None:
        axes.axhline(advice.goal.p99_ms, color=_RED, lw=0.8, ls="--")
    axes.set_xlabel("USD a month")
    axes.set_ylabel("p99, ms")
    axes.set_title("Price against p99 (line: no other is better in both)", loc="left")
    axes.legend(loc="upper right")


def _sensitivity(axes: Axes, advice: Recommendation) -> None:
    if advice.best is None or not advice.sensitivities:
        axes.set_axis_off()
        axes.text(0, 0.5, "no settings met the goal")
        return
    base = next(one for one in advice.tried if one.settings == advice.best.settings)
    names = [f"{one.setting} {one.before} to {one.after}" for one in advice.sensitivities]
    moved = [one.month_usd - base.month_usd for one in advice.sensitivities]
    colors = [_RED if one.missed else _BLUE for one in advice.sensitivities]
    axes.barh(names, moved, color=colors)
    axes.tick_params(axis="y", labelsize=6)
    axes.set_xlabel("USD a month more (red: misses the goal)")
