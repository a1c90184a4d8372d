"""How a simulation is shown: tables, JSON, CSV, charts."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import show

if TYPE_CHECKING:
    from simulator import Goal, Recommendation, Study

_CHARTS = (".html", ".png")


def check_chart(path: Path) -> None:
    """Raises DataError for a kind of file that is not drawn, before anything is simulated."""
    from experiments.errors import DataError

    if path.suffix not in _CHARTS:
        raise DataError(f"{path} is no chart's name", fix="end it with .html or .png")
    if not path.parent.is_dir():
        raise DataError(f"there is no folder {path.parent}", fix="make it first")


@contextmanager
def steps(what: str, *, quiet: bool) -> Iterator[Callable[[int, str], None]]:
    """A line on a terminal that says how far it is; nothing for programs."""
    from rich.console import Console

    out = Console(stderr=True)
    if quiet or not out.is_terminal:
        yield lambda done, unit: None
        return
    with out.status(what) as status:
        yield lambda done, unit: status.update(f"{what}: {done} {unit}")


def show_result(found: Study, goal: Goal | None, advice: Recommendation | None) -> None:
    """For a person: what happens, what it costs, whether it is good enough, what is not known."""
    from simulator.goal import misses
    from simulator.report import doubts, headline, money_rows

    show.table("What happens (in brackets: over the seeds)", ("", ""), headline(found))
    show.table(
        "What it costs (simulated)",
        ("", ">a month", ">USD a day", ">USD a month"),
        money_rows(found),
    )
    if goal is not None:
        missed = misses(found, goal)
        show.say("meets the goal in every seed" if not missed else "misses the goal:")
        for words in missed:
            show.say(f"  {words}")
    if advice is not None:
        show_advice(advice)
    show.say("what this does not know:")
    for words in doubts(found):
        show.say(f"  - {words}")


def show_advice(advice: Recommendation) -> None:
    """What is recommended, the choices that nothing beats, and what each setting does."""
    show.say("")
    for words in advice.words:
        show.say(words)
    rows = [
        (
            f"${one.month_usd:,.2f}",
            f"{one.p99_ms or 0:.0f} ms",
            f"{one.settings.min_instances} to {one.settings.max_instances}"
            f" x {one.settings.instance_type}",
            f"{one.settings.target_per_minute:g}",
            f"{one.settings.reserved_concurrency or 'none'}",
            f"{one.settings.provisioned_concurrency}",
            "" if not one.missed else "misses the goal",
        )
        for one in advice.front
    ]
    columns = (">a month", ">p99", "instances", ">target", ">reserved", ">provisioned", "")
    show.table("No other settings are both cheaper and faster than these", columns, rows)
    if advice.sensitivities:
        show.say("one setting changed at a time, from the recommended:")
        for one in advice.sensitivities:
            show.say(f"  {one.words}")


def print_result(found: Study, goal: Goal, advice: Recommendation | None) -> None:
    """For a program."""
    from simulator.goal import misses
    from simulator.report import doubts

    outcome = found.shown
    result: dict[str, Any] = {
        "traffic": found.question.traffic.text,
        "settings": found.question.settings,
        "photo_ms": found.question.photo_time.mean_s * 1000,
        "photo_source": found.question.service.source,
        "length_s": found.question.length_s,
        "bands": dict(found.bands),
        "sums": [{"seed": one.seed, **show.plain(one.sums)} for one in found.outcomes],
        "slots": outcome.slots,
        "day_usd": found.day.total_usd,
        "month_usd": found.month.total_usd,
        "month_error_usd": found.month_error_usd,
        "month": found.month,
        "day": found.day,
        "goal": goal,
        "missed": misses(found, goal),
        "basis": "simulated",
        "not_known": list(doubts(found)),
    }
    if advice is not None:
        result["recommendation"] = {
            "best": advice.best,
            "asked": advice.asked,
            "front": advice.front,
            "sensitivities": advice.sensitivities,
            "words": advice.words,
            "tried": len(advice.tried),
        }
    show.print_json(result)


def write_csv(path: Path, found: Study) -> None:
    """The timeline of every seed, one row a slot."""
    from simulator.report import SLOT_COLUMNS, slot_rows

    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(("seed", *SLOT_COLUMNS))
        writer.writerows(slot_rows(found))


def write_chart(path: Path, found: Study, advice: Recommendation | None) -> None:
    """A PNG, or an HTML page with the figures too."""
    from simulator.charts import page, picture
    from simulator.report import doubts, headline, money_rows

    if path.suffix == ".png":
        path.write_bytes(picture(found, advice, kind="png"))
        return
    lines = [f"{name}: {value}" for name, value in headline(found)]
    lines += [f"{name}: {month} a month" for name, _, _, month in money_rows(found)]
    if advice is not None:
        lines += ["", *advice.words, *(one.words for one in advice.sensitivities)]
    lines += ["", "What this does not know:", *doubts(found)]
    text = page(found, advice, title="Simulated serving", lines=lines)
    path.write_text(text, encoding="utf-8")
