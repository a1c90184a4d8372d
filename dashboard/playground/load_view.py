"""A load test as data for the page: its command, its lines, its figures. Pure but for one read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from dashboard import formats, terms
from dashboard.records import LiveRelease, Tile
from dashboard.under_way import LINES
from deployment.load.plan import Load
from experiments.records import Basis

_MOST_BYTES = 512 * 1024


@dataclass(frozen=True, kw_only=True)
class Course:
    """What a load test has written so far: a row a second, and its summary once it ended."""

    rows: tuple[dict[str, Any], ...]
    summary: dict[str, Any] | None


def command(live: LiveRelease, photos: Path, load: Load) -> tuple[str, ...]:
    """The words after `pedigree` that start it."""
    return (
        "load", str(photos), "--rate", f"{load.rate_per_s:g}", "--seconds", str(load.seconds),
        "--way", load.way.value, "--app", live.settings.app, "--stage", live.settings.stage,
        "--log", LINES, "--yes",
    )  # fmt: skip


def asked_for(words: Sequence[str]) -> tuple[str, int]:
    """What a started command asks for, in words, and its seconds."""
    given = dict(pairwise(words))
    where = "through Lambda" if given.get("--way") == "lambda" else "straight to the endpoint"
    seconds = int(given.get("--seconds", "0"))
    name = f"{given.get('--app', '')}-{given.get('--stage', '')}"
    return f"{name}, {given.get('--rate', '?')} a second for {seconds} s, {where}", seconds


def read_course(path: Path) -> Course:
    """The lines that are whole so far; a line that is still being written is left for next time."""
    try:
        with path.open("rb") as stream:
            text = stream.read(_MOST_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return Course(rows=(), summary=None)
    rows: list[dict[str, Any]] = []
    summary = None
    for line in text.split("\n")[:-1]:
        found = json.loads(line)
        if "summary" in found:
            summary = found["summary"]
        else:
            rows.append(found)
    return Course(rows=tuple(rows), summary=summary)


def course_tiles(course: Course, basis: Basis) -> list[Tile]:
    """The figures so far, or of the whole once it ended."""

    def total(name: str) -> int:
        return sum(int(row[name]) for row in course.rows)

    whole = course.summary or {
        name: total(name) for name in ("sent", "answered", "refused", "failed")
    }
    last = course.rows[-1] if course.rows else {}
    p50, p99 = (
        (whole["p50_ms"], whole["p99_ms"])
        if course.summary
        else (last.get("p50_ms"), last.get("p99_ms"))
    )
    cost = formats.usd(Decimal(whole["usd"])) if course.summary else formats.NOTHING
    about = basis.value if course.summary else "told at the end"
    return [
        Tile(label="Answered", value=f"{whole['answered']:,}",
             detail=f"of {whole['sent']:,} sent", help=terms.OPEN_LOOP),
        Tile(label="Refused", value=f"{whole['refused']:,}",
             detail=f"{whole['failed']:,} failed", help=terms.REFUSED),
        Tile(label="p50" if course.summary else "p50 now", value=formats.milliseconds(p50),
             detail=f"p99 {formats.milliseconds(p99)}", help=terms.OPEN_LOOP),
        Tile(label="Cost of the calls", value=cost, detail=about, help=terms.CALL_COST),
        Tile(label="Instances", value=_instances(course), detail="of the endpoint, now",
             help=terms.ENDPOINT),
    ]  # fmt: skip


def _instances(course: Course) -> str:
    seen = [row["instances"] for row in course.rows if row.get("instances") is not None]
    return str(seen[-1]) if seen else formats.NOTHING
