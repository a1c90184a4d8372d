"""The runs as rows, tiles and table. Pure: records in, data for the page out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd

from dashboard import formats, terms
from dashboard.records import Tile
from experiments.leaderboard import Row, leaderboard
from experiments.records import RunRecord, RunStatus

ORDERS = ("quality", "cost", "time", "newest")
AGAINST = ("cost", "time")
MOST_MARKS = 1000
_LAST = float("inf")


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which runs are shown. An empty choice shows all."""

    experiments: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    launchers: tuple[str, ...] = ()

    def keep(self, record: RunRecord) -> bool:
        """Whether a run passes every filter that has a choice."""
        pairs = (
            (self.experiments, record.experiment),
            (self.statuses, record.status.value),
            (self.launchers, record.launcher),
        )
        return all(not chosen or value in chosen for chosen, value in pairs)


@dataclass(frozen=True, kw_only=True)
class Board:
    """The runs shown, best first as in `pedigree runs`, each with its record."""

    rows: tuple[Row, ...]
    records: tuple[RunRecord, ...]

    @property
    def ids(self) -> list[str]:
        return [row.run_id for row in self.rows]

    @property
    def bases(self) -> tuple[str, ...]:
        """The cost bases among the runs shown."""
        return tuple(sorted({row.cost_basis for row in self.rows if row.cost_basis}))


def choices(records: Sequence[RunRecord]) -> Filters:
    """Everything there is to filter by, in a fixed order."""
    return Filters(
        experiments=tuple(sorted({record.experiment for record in records})),
        statuses=tuple(s.value for s in RunStatus if any(r.status is s for r in records)),
        launchers=tuple(sorted({record.launcher for record in records if record.launcher})),
    )


def board(records: Sequence[RunRecord], filters: Filters, order: str = "quality") -> Board:
    """The runs that pass the filters, ranked among themselves, then put into `order`."""
    kept = [record for record in records if filters.keep(record)]
    by_id = {record.run_id: record for record in kept}
    pairs = [(row, by_id[row.run_id]) for row in leaderboard(kept)]
    keys: dict[str, Callable[[tuple[Row, RunRecord]], float]] = {
        "cost": lambda pair: _or_last(pair[0].cost_usd),
        "time": lambda pair: _or_last(pair[0].billable_s),
        "newest": lambda pair: -pair[1].started_at.timestamp() if pair[1].started_at else _LAST,
    }
    if order in keys:
        pairs.sort(key=keys[order])
    return Board(rows=tuple(row for row, _ in pairs), records=tuple(record for _, record in pairs))


def _or_last(value: Decimal | float | None) -> float:
    """Unknown and nothing go last: a run that never started is not the cheapest."""
    return float(value) if value else _LAST


def table(shown: Board) -> pd.DataFrame:
    """One line a run. Figures stay numbers, so that a click on a heading sorts them rightly.

    `reason` is there only if some run has one.
    """
    lines = [_line(row, record) for row, record in zip(shown.rows, shown.records, strict=True)]
    told = any(row.reason for row in shown.rows)
    columns = [name for name in _COLUMNS if told or name != "reason"]
    return pd.DataFrame(lines, columns=columns)


_COLUMNS = (
    "rank", "star", "run", "quality", "cost", "basis", "billable", "where", "status", "reason",
    "started", "experiment", "id",
)  # fmt: skip


def _line(row: Row, record: RunRecord) -> dict[str, object]:
    return {
        "rank": row.rank,
        "star": "★" if row.best_value else "",
        "run": row.name,
        "where": row.where,
        "status": row.status,
        "quality": row.quality,
        "cost": None if row.cost_usd is None else float(row.cost_usd),
        "basis": row.cost_basis or formats.NOTHING,
        "billable": row.billable_s,
        "started": formats.moment(record.started_at),
        "experiment": row.experiment,
        "reason": row.reason,
        "id": row.run_id,
    }


def written(frame: pd.DataFrame) -> Any:
    """The table with its figures as people read them; the numbers below stay as they are."""

    def cost(value: float | None) -> str:
        return formats.usd(None if _missing(value) else Decimal(str(value)))

    def quality(value: float | None) -> str:
        return formats.share(None if _missing(value) else value)

    def billable(value: float | None) -> str:
        return formats.seconds(None if _missing(value) else value)

    return frame.style.format({"cost": cost, "quality": quality, "billable": billable})


def _missing(value: float | None) -> bool:
    return value is None or bool(pd.isna(value))


def tiles(shown: Board) -> list[Tile]:
    """The best, the cheapest of the front, the shortest, and what all of them cost together."""
    scored = [row for row in shown.rows if row.quality is not None]
    found = []
    if scored:
        best = min(scored, key=lambda row: row.rank)
        found.append(_tile("Best quality", formats.share(best.quality), best.name, terms.QUALITY))
    for basis in shown.bases:
        front = [row for row in scored if row.best_value and row.cost_basis == basis]
        if front:
            cheap = min(front, key=lambda row: row.cost_usd or Decimal(0))
            detail = f"{basis} · {cheap.name}, {formats.share(cheap.quality)}"
            cost = formats.usd(cheap.cost_usd)
            found.append(_tile("Cheapest with a ★", cost, detail, terms.FRONT))
    timed = [row for row in scored if row.billable_s]
    if timed:
        fast = min(timed, key=lambda row: row.billable_s or 0.0)
        detail = f"{fast.name}, {formats.share(fast.quality)}"
        found.append(_tile("Shortest", formats.seconds(fast.billable_s), detail, terms.BILLABLE))
    return [*found, *(_together(shown, basis) for basis in shown.bases)]


def _together(shown: Board, basis: str) -> Tile:
    costs = [row.cost_usd or Decimal(0) for row in shown.rows if row.cost_basis == basis]
    detail = f"{basis} · {formats.count(len(costs), 'run')}"
    return _tile("All together", formats.usd(sum(costs, Decimal(0))), detail, terms.SPENT)


def _tile(label: str, value: str, detail: str, text: str) -> Tile:
    return Tile(label=label, value=value, detail=detail, help=text)


def answer(shown: Board) -> str:
    """Which run was worth its money, in a sentence of Markdown; nothing while none is scored."""
    scored = [row for row in shown.rows if row.quality is not None]
    if not scored:
        return ""
    best = min(scored, key=lambda row: row.rank)
    said = f"**{formats.plain(best.name)}** is the best, {_worth(best)}"
    front = [row for row in scored if row.best_value and row.cost_basis == best.cost_basis]
    cheap = min(front, key=lambda row: row.cost_usd or Decimal(0), default=best)
    if cheap is best:
        return f"{said}."
    name = formats.plain(cheap.name)
    return f"{said}; **{name}** the cheapest that no other beats, {_worth(cheap)}."


def _worth(row: Row) -> str:
    price = "" if row.cost_usd is None else f" for {formats.usd(row.cost_usd)} {row.cost_basis}"
    return formats.plain(f"{formats.share(row.quality)}{price}")


def drawn_of(shown: Board) -> str:
    """A sentence where the chart does not draw every run; else nothing."""
    if len(shown.rows) <= MOST_MARKS:
        return ""
    return (
        f" Of {len(shown.rows):,} runs the whole front is drawn, and every so many of the others."
    )
