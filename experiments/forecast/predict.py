"""How long a run will take, from the runs on record. Pure; deterministic.

Seconds are start-up (what AWS bills beyond the program: by launcher) plus the program itself (photos
through a backbone on hosts of a type, then epochs). Both are regressions of the logarithm with prior
knowledge: time grows with photos and multiply-adds and falls with processors and hosts, each type and
each backbone has its own factor, and the runs on record correct all of it. The interval is calibrated by
predicting every run on record without itself (split-conformal with normalised scores, Lei et al. 2018):
it holds at its rate as long as the new run is like those on record; where it is not, `extrapolates` says
so, and the model's own doubt widens the interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.forecast.regression import Features, Fit, fit
from experiments.forecast.work import GIGA_MACS, Seen, Work
from experiments.hardware import hardware
from experiments.records import Basis, Duration

RATE = 0.8
"""The share of runs whose time lies within the interval."""
_MOST_RUNS = 300
_FEWEST_CHECKED = 4
_WIDE = 2.5
"""Standard deviations of the interval while there are too few runs to check it on."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A predicted duration, where it comes from, and in which ways it goes beyond the record."""

    duration: Duration
    why: str
    extrapolates: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """What the runs on record teach. Made by `learn`."""

    seen: tuple[Seen, ...]
    start_up: Fit
    program: Fit | None
    width: float
    checked: bool
    basis: Basis

    def predict(self, work: Work, *, limit_s: float = math.inf) -> Prediction:
        """The duration of `work` on each host, cut off at `limit_s` where the run is ended."""
        expected, spread = self._combined(work)
        low = expected * math.exp(-self.width * spread)
        high = expected * math.exp(self.width * spread)
        duration = Duration(
            low_s=min(low, limit_s),
            expected_s=min(expected, limit_s),
            high_s=min(high, limit_s),
            rate=RATE,
        )
        return Prediction(duration=duration, why=self._why(), extrapolates=beyond(work, self.seen))

    def _combined(self, work: Work) -> tuple[float, float]:
        """Expected seconds and the standard deviation of their logarithm (delta method)."""
        parts = [self.start_up.predict(_start_up_features(work))]
        if self.program is not None:
            parts.append(self.program.predict(_program_features(work, self.basis)))
        return _sum(parts)

    def _why(self) -> str:
        held = "checked by leaving out each" if self.checked else "too few to check the interval on"
        return f"by {len(self.seen)} run(s) on record, {held}"


def learn(seen: Sequence[Seen], basis: Basis) -> Predictor | None:
    """A predictor from runs of one kind of money, the latest first; None if there is no run."""
    known = tuple(seen[:_MOST_RUNS])
    if not known:
        return None
    split = [run for run in known if run.program_s is not None]
    program = None
    if split:
        program = fit(
            [_program_features(run.work, basis) for run in split],
            [math.log(run.program_s or 1.0) for run in split],
            _SIMULATED_PRIOR if basis is Basis.SIMULATED else _PRIOR,
        )
        start_up = _fit_start_up(split, [run.billable_s - (run.program_s or 0.0) for run in split])
        scores = _scores(split, start_up, program)
    else:
        start_up = _fit_start_up(known, [run.billable_s for run in known])
        scores = _scores(known, start_up, None)
    width, checked = _width(scores)
    return Predictor(
        seen=tuple(split or known),
        start_up=start_up,
        program=program,
        width=width,
        checked=checked,
        basis=basis,
    )


def _fit_start_up(runs: Sequence[Seen], seconds: Sequence[float]) -> Fit:
    rows = [_start_up_features(run.work) for run in runs]
    return fit(rows, [math.log(max(value, 0.1)) for value in seconds], _PRIOR)


def _sum(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    seconds = [math.exp(mean) for mean, _ in parts]
    total = sum(seconds)
    variance = sum(
        (s / total) ** 2 * variance for s, (_, variance) in zip(seconds, parts, strict=True)
    )
    return total, math.sqrt(variance)


def _scores(runs: Sequence[Seen], start_up: Fit, program: Fit | None) -> list[float]:
    """For each run: how many of its own standard deviations the prediction without it was off."""
    found = []
    for at, run in enumerate(runs):
        parts = [start_up.left_out[at]]
        if program is not None:
            parts.append(program.left_out[at])
        expected, spread = _sum(parts)
        found.append(abs(math.log(run.billable_s / expected)) / spread)
    return found


def _width(scores: Sequence[float]) -> tuple[float, bool]:
    """The conformal quantile of the scores: rank ceil((n + 1) rate) of n."""
    rank = math.ceil((len(scores) + 1) * RATE)
    if len(scores) < _FEWEST_CHECKED or rank > len(scores):
        return _WIDE, False
    return sorted(scores)[rank - 1], True


_PRIORS = {
    "start-up": (4.0, 2.0),
    "program": (0.0, 3.0),
    "photos": (1.0, 0.15),
    "multiply-adds": (0.8, 0.3),
    "epochs": (0.05, 0.15),
    "deep": (1.0, 0.5),
    "trials": (0.2, 0.1),
    "processors": (-0.85, 0.2),
    "hosts": (-0.8, 0.25),
    "accelerator": (-1.5, 0.8),
    "launcher": (0.0, 0.7),
    "several": (0.3, 0.4),
    "spot": (0.3, 0.5),
    "type": (0.0, 0.25),
    "backbone": (0.0, 0.4),
}


def _PRIOR(name: str) -> tuple[float, float]:
    return _PRIORS[name.partition(":")[0]]


def _SIMULATED_PRIOR(name: str) -> tuple[float, float]:
    """One machine plays every type: its name says little about its speed."""
    if name in ("processors", "hosts"):
        return -0.2, 0.3
    return _PRIOR(name)


def _start_up_features(work: Work) -> Features:
    return {
        "start-up": 1.0,
        f"launcher:{work.launcher}": 1.0,
        "several": 1.0 if work.hosts > 1 else 0.0,
        "spot": 1.0 if work.spot else 0.0,
    }


def _program_features(work: Work, basis: Basis) -> Features:
    inside = hardware(work.instance_type)
    macs = GIGA_MACS.get(work.backbone, 1.0) * (work.crop / 224) ** 2
    return {
        "program": 1.0,
        "photos": math.log(work.images),
        "multiply-adds": math.log(macs),
        "epochs": math.log(work.epochs),
        "deep": math.log1p(work.deep_epochs),
        "trials": math.log1p(work.trials),
        "processors": math.log(inside.vcpu) if inside else math.log(4),
        "hosts": math.log(work.hosts),
        "accelerator": 1.0 if work.on_gpu and basis is not Basis.SIMULATED else 0.0,
        f"type:{work.base_type}": 1.0,
        f"backbone:{work.backbone} {work.engine}": 1.0,
    }


def beyond(work: Work, seen: Sequence[Seen]) -> tuple[str, ...]:
    """In which ways `work` is unlike every run on record, in words."""
    known = [run.work for run in seen]
    found = []
    if work.base_type not in {w.base_type for w in known}:
        inside = hardware(work.instance_type)
        by = f"reckoned from its {inside.vcpu} processors" if inside else "its hardware is unknown"
        found.append(f"no run on {work.instance_type} yet: {by}")
    if work.launcher not in {w.launcher for w in known}:
        found.append(f"no run on {work.launcher} yet: its start-up time is a guess")
    if (work.backbone, work.engine) not in {(w.backbone, w.engine) for w in known}:
        found.append(f"no run of {work.backbone} with engine {work.engine} yet")
    for name, value, values, factor in (
        ("hosts", work.hosts, [w.hosts for w in known], 1.0),
        ("photos", work.images, [w.images for w in known], 2.0),
        ("epochs", work.epochs, [w.epochs for w in known], 3.0),
        ("fine-tuning epochs", work.deep_epochs, [w.deep_epochs for w in known], 2.0),
        ("trials", work.trials, [w.trials for w in known], 3.0),
    ):
        if not min(values) / factor <= value <= max(values) * factor:
            span = f"{min(values)} to {max(values)}" if min(values) != max(values) else values[0]
            found.append(f"{value} {name}, where the runs on record had {span}")
    return tuple(found)
