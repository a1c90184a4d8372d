"""Two runs in detail, as tables: photos, classes, probabilities, phases, cost lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from experiments import names
from experiments.comparison import Side
from experiments.intervals import Answer
from experiments.reliability import reliability

_PHASES = ("setup", "scan", "features", "head", "deep", "export", "evaluate")
"""In the order in which the training program goes through them."""
_NOTICED_S = 0.05


def disagreements(first: Side, second: Side, titles: Sequence[str]) -> pd.DataFrame:
    """The test photos that only one of two models gets right: path, class, both answers."""
    rows = [
        [path, one.label, one.predicted, two.predicted, titles[0] if one.right else titles[1]]
        for path, one in sorted(first.answers.items())
        if (two := second.answers.get(path)) is not None
        and one.label == two.label
        and one.right != two.right
    ]
    return pd.DataFrame(rows, columns=["photo", "class", *titles, "right is"])


def by_class(first: Side, second: Side, titles: Sequence[str]) -> pd.DataFrame:
    """The share of each class's photos that each model gets right, the largest differences first.

    Only photos that both runs answered count.
    """
    common = [
        (first.answers[path], second.answers[path])
        for path in sorted(first.answers.keys() & second.answers.keys())
    ]
    rows: list[tuple[str, int, float, float, float]] = []
    for label in sorted({one.label for one, _ in common}):
        of_class = [pair for pair in common if pair[0].label == label]
        left = sum(one.right for one, _ in of_class) / len(of_class)
        right = sum(two.right for _, two in of_class) / len(of_class)
        rows.append((label, len(of_class), left, right, right - left))
    rows.sort(key=lambda row: (-abs(row[4]), row[0]))
    return pd.DataFrame(rows, columns=["class", "photos", *titles, "difference"])


def confusions(answers: Mapping[str, Answer], most: int) -> pd.DataFrame:
    """The confusion matrix in long form, of the `most` classes that are mixed up the most."""
    wrong: dict[str, int] = {}
    for one in answers.values():
        for label in (one.label, one.predicted) if not one.right else ():
            wrong[label] = wrong.get(label, 0) + 1
    kept = sorted(sorted(wrong), key=lambda label: -wrong[label])[:most]
    counts = {(a, b): 0 for a in kept for b in kept}
    for one in answers.values():
        if (one.label, one.predicted) in counts:
            counts[one.label, one.predicted] += 1
    rows = [[a, b, count] for (a, b), count in counts.items()]
    return pd.DataFrame(rows, columns=["is", "said", "photos"])


def phases(sides: Sequence[Side], titles: Sequence[str]) -> pd.DataFrame:
    """The phases of both runs one after the other, as a waterfall: run, phase, start, end in seconds.

    `start-up` is what is billed before and after the program; `other` is what no phase of it names.
    """
    rows = []
    for side, title in zip(sides, titles, strict=True):
        at = 0.0
        for phase, value in _spent(side.record.metrics):
            rows.append([title, phase, at, at + value, value])
            at += value
    return pd.DataFrame(rows, columns=["run", "phase", "start", "end", "seconds"])


def _spent(metrics: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    known = {phase: metrics.get(f"time/{phase}_s") for phase in _PHASES}
    total, billable = metrics.get("time/total_s"), metrics.get(names.BILLABLE_METRIC)
    if total is not None and billable is not None and billable > total:
        yield "start-up", billable - total
    yield from ((phase, value) for phase, value in known.items() if value is not None)
    other = (total or 0.0) - sum(value or 0.0 for value in known.values())
    if other > _NOTICED_S:
        yield "other", other


def reliability_bins(sides: Sequence[Side], titles: Sequence[str]) -> pd.DataFrame:
    """Probability against truth in bins, of each run that has probabilities: run, probability, right,
    photos."""
    rows = [
        [title, one.probability, one.right, one.photos]
        for side, title in zip(sides, titles, strict=True)
        for one in reliability(side.answers.values())
    ]
    return pd.DataFrame(rows, columns=["run", "probability", "right", "photos"])


def bill_lines(sides: Sequence[Side], titles: Sequence[str]) -> pd.DataFrame:
    """Every cost line of both runs: run, item, USD."""
    rows = [
        [title, line.item, float(line.usd), line.basis]
        for side, title in zip(sides, titles, strict=True)
        for line in side.bill
    ]
    return pd.DataFrame(rows, columns=["run", "item", "usd", "basis"])
