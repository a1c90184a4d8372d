"""Two runs beside each other, differences first. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from dashboard import formats, terms
from dashboard.records import Tile
from experiments import names
from experiments.leaderboard import Difference, differences
from experiments.records import RunRecord

_COST = "cost_usd"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What came out differently, what was set differently, and how much is the same."""

    outcome: pd.DataFrame
    settings: pd.DataFrame
    same: int


def compare(first: RunRecord, second: RunRecord) -> Comparison:
    """The differences that `pedigree compare` shows, as two tables with a column for each run."""
    different, same = differences(first, second)
    titles = labels((first, second))
    single = [d for d in different if d.name not in _SAID_BY_FACTS]
    settings = [d for d in single if d.kind == "param" or d.name in _SETTING_FACTS]
    outcome = sorted((d for d in single if d not in settings), key=_weight)
    return Comparison(
        outcome=_outcome_frame(outcome, first, second, titles),
        settings=pd.DataFrame(
            [[_plain_name(d), _short(d.first), _short(d.second)] for d in settings],
            columns=["setting", *titles],
        ),
        same=same,
    )


def labels(pair: Sequence[RunRecord]) -> list[str]:
    """A name for each run that tells it from the other: its own, and the id where names repeat."""
    names_of = [record.name for record in pair]
    return [r.name if names_of.count(r.name) == 1 else f"{r.name} {r.run_id}" for r in pair]


def figures(first: RunRecord, second: RunRecord) -> list[Tile]:
    """Quality, cost and time of both runs beside each other, each with its change."""
    rows = (
        ("metric", names.QUALITY_METRIC, "Quality", terms.QUALITY),
        ("fact", _COST, "Cost", terms.COST),
        ("metric", names.BILLABLE_METRIC, "Billable time", terms.BILLABLE),
    )
    title = labels((first, second))[1]
    tiles = []
    for kind, name, label, text in rows:
        asked = Difference(kind=kind, name=name, first="", second="")
        one, two = _figures(asked, first, second)
        change = _change(asked, first, second)
        told = "no difference can be told" if change == formats.NOTHING else f"{title}: {change}"
        if name == _COST and change != formats.NOTHING:
            one, two = formats.usd(first.cost_usd), formats.usd(second.cost_usd)
            told = f"{first.cost_basis} · {told}"
        tiles.append(Tile(label=label, value=f"{one} · {two}", detail=told, help=text))
    return tiles


_SETTING_FACTS = ("launcher", "instance_type", "hosts")
_SAID_BY_FACTS = (names.COST_METRIC, "launch/on", "launch/instance_type", "launch/hosts")
_FIRST = ("status", names.QUALITY_METRIC, _COST, names.BILLABLE_METRIC)


def _weight(difference: Difference) -> tuple[int, str]:
    """What a person asks for first: how it ended, quality, cost, time; then by name."""
    name = difference.name
    return _FIRST.index(name) if name in _FIRST else len(_FIRST), name


def _outcome_frame(
    found: Sequence[Difference], first: RunRecord, second: RunRecord, titles: Sequence[str]
) -> pd.DataFrame:
    rows = [[_plain_name(d), *_figures(d, first, second), _change(d, first, second)] for d in found]
    return pd.DataFrame(rows, columns=["figure", *titles, "change"])


def _plain_name(difference: Difference) -> str:
    if difference.name == _COST:
        return "cost"
    return difference.name.replace("_", " ") if difference.kind == "fact" else difference.name


def _figures(difference: Difference, first: RunRecord, second: RunRecord) -> tuple[str, str]:
    if difference.name == _COST:
        one, two = (formats.usd(run.cost_usd, run.cost_basis) for run in (first, second))
        return one, two
    if difference.kind != "metric":
        return difference.first, difference.second
    write = _writer(difference.name)
    one, two = (write(run.metrics.get(difference.name)) for run in (first, second))
    return one, two


_SHARES = ("top1", "top5", "macro_f1", "ece")


def _writer(metric: str) -> Callable[[float | None], str]:
    """How the values of a metric are written, by its name."""
    if metric.endswith(_SHARES):
        return formats.share
    if metric.startswith("time/"):
        return formats.seconds
    return lambda value: formats.NOTHING if value is None else f"{value:.4g}"


def _change(difference: Difference, first: RunRecord, second: RunRecord) -> str:
    """From the first run to the second; costs of different basis have no difference."""
    if difference.name == _COST:
        one, two = first.cost_usd, second.cost_usd
        if one is None or two is None or first.cost_basis != second.cost_basis:
            return formats.NOTHING
        return f"{'+' if two > one else '−'}{formats.usd(abs(two - one))}"
    before, after = (run.metrics.get(difference.name) for run in (first, second))
    if difference.kind != "metric" or before is None or after is None:
        return formats.NOTHING
    sign, size = "+" if after > before else "−", abs(after - before)
    if difference.name.endswith(_SHARES):
        return f"{sign}{size * 100:.1f} points"
    return f"{sign}{_writer(difference.name)(size)}"


def _short(text: str) -> str:
    return formats.short_digest(text)
