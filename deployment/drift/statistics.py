"""Two samples of answers compared: population stability index and a chi-square test. Pure."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import stats

from deployment.drift.answers import Seen

SHIFTED_PSI, DRIFTED_PSI = 0.1, 0.25
"""The usual reading of the index, from credit scoring (Siddiqi, Credit Risk Scorecards, 2006)."""
CONFIDENCE_BINS = 10
MIN_EXPECTED = 5.0
"""The least expected count of a cell for the chi-square test (Cochran, 1954)."""
MIN_ANSWERS = 100
REST = "(rare classes together)"


class Verdict(StrEnum):
    """What a comparison says. `SHIFTED` and `DRIFTED` also need the chi-square test to say so."""

    STABLE = "stable"
    SHIFTED = "shifted"
    DRIFTED = "drifted"
    TOO_FEW = "too few answers"


@dataclass(frozen=True, kw_only=True)
class Share:
    """One class or one range of confidence: its share (0 to 1) of each sample."""

    name: str
    reference: float
    live: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One property of the answers in both samples.

    `psi`: the sum over the shares of (live - reference) ln(live / reference), half a count added to
        each so that an empty one stays finite. `psi_noise`: what two samples of these sizes of the
        same thing show on average, (bins - 1)(1/n + 1/m).
    `p_value`: Pearson's chi-square test that both samples come from one distribution.
    """

    what: str
    shares: tuple[Share, ...]
    psi: float
    psi_noise: float
    p_value: float
    verdict: Verdict


def class_mix(reference: Sequence[Seen], live: Sequence[Seen], *, alpha: float) -> Comparison:
    """How often each class is seen. Classes too rare for the test are taken together."""
    before, now = (Counter(one.label for one in sample) for sample in (reference, live))
    total, rarer = len(reference) + len(live), min(len(reference), len(live))
    common, rest = [], [0, 0]
    for name in sorted(before.keys() | now.keys()):
        if (before[name] + now[name]) * rarer / max(total, 1) >= MIN_EXPECTED:
            common.append((name, before[name], now[name]))
        else:
            rest[0] += before[name]
            rest[1] += now[name]
    cells = [*common, *([(REST, rest[0], rest[1])] if any(rest) else [])]
    return _compare("classes", cells, alpha)


def confidence(reference: Sequence[Seen], live: Sequence[Seen], *, alpha: float) -> Comparison:
    """How sure the model is: shares of the reference's tenths."""
    sure = np.array([one.confidence for one in reference])
    edges = np.unique(np.quantile(sure, np.linspace(0, 1, CONFIDENCE_BINS + 1)[1:-1]))
    before, now = (
        np.bincount(
            np.searchsorted(edges, [one.confidence for one in sample], side="right"),
            minlength=len(edges) + 1,
        )
        for sample in (reference, live)
    )
    bounds = [0.0, *edges.tolist(), 1.0]
    names = [f"{low:.3f} to {high:.3f}" for low, high in itertools.pairwise(bounds)]
    cells = [(n, int(b), int(c)) for n, b, c in zip(names, before, now, strict=True)]
    return _compare("confidence", cells, alpha)


def _compare(what: str, cells: Sequence[tuple[str, int, int]], alpha: float) -> Comparison:
    counts = np.array([[b, n] for _, b, n in cells], dtype=float).reshape(-1, 2)
    counts_held = counts[counts.sum(axis=1) > 0]
    sizes = counts.sum(axis=0)
    smooth = (counts_held + 0.5) / (sizes + 0.5 * len(counts_held))
    psi = float(np.sum((smooth[:, 1] - smooth[:, 0]) * np.log(smooth[:, 1] / smooth[:, 0])))
    p_value = 1.0
    if len(counts_held) > 1:
        p_value = float(stats.chi2_contingency(counts_held, correction=False).pvalue)
    shares = counts / sizes
    return Comparison(
        what=what,
        shares=tuple(
            Share(name=name, reference=float(r), live=float(v))
            for (name, _, _), (r, v) in zip(cells, shares, strict=True)
        ),
        psi=psi,
        psi_noise=max(0, len(counts_held) - 1) * float(np.sum(1 / sizes)),
        p_value=p_value,
        verdict=_verdict(psi, p_value, alpha, int(sizes.min())),
    )


def _verdict(psi: float, p_value: float, alpha: float, fewest: int) -> Verdict:
    if fewest < MIN_ANSWERS:
        return Verdict.TOO_FEW
    if p_value >= alpha or psi < SHIFTED_PSI:
        return Verdict.STABLE
    return Verdict.DRIFTED if psi >= DRIFTED_PSI else Verdict.SHIFTED
