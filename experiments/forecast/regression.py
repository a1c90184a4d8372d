"""Linear regression with prior knowledge, for few runs: exact, closed form, no chance.

y = X b + noise, b ~ N(m, diag(s^2)), noise ~ N(0, v^2); v is the one of a grid with the greatest marginal
likelihood (Rasmussen and Williams, Gaussian Processes for Machine Learning, eq. 2.30). What a run would
have been predicted without itself is exact too (eq. 5.12), so an interval can be checked on every run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Features = Mapping[str, float]
Prior = Callable[[str], tuple[float, float]]
"""Mean and standard deviation of the coefficient of a named feature."""
_NOISE = (0.01, 0.02, 0.04, 0.08, 0.12, 0.18, 0.26, 0.4, 0.6, 0.9)
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted model; `left_out` holds for each row its (mean, variance) as predicted without it."""

    rows: tuple[Features, ...]
    prior: Prior
    noise: float
    weights: _Floats
    inverse: _Floats
    left_out: tuple[tuple[float, float], ...]

    def predict(self, row: Features) -> tuple[float, float]:
        """Mean and variance of y for a new row, noise included; unseen features add their own doubt."""
        mean = sum(value * self.prior(name)[0] for name, value in row.items())
        cross = np.array([_covariance(row, known, self.prior) for known in self.rows])
        own = _covariance(row, row, self.prior) + self.noise**2
        variance = own - cross @ self.inverse @ cross
        return float(mean + cross @ self.weights), float(max(variance, self.noise**2))


def fit(rows: Sequence[Features], values: Sequence[float], prior: Prior) -> Fit:
    """Fit `values` to `rows`. At least one row is needed."""
    names = sorted({name for row in rows for name in row})
    design = np.array([[row.get(name, 0.0) for name in names] for row in rows])
    means = np.array([prior(name)[0] for name in names])
    spreads = np.array([prior(name)[1] for name in names])
    rest = np.array(values, dtype=np.float64) - design @ means
    kernel = (design * spreads**2) @ design.T
    noise = max(_NOISE, key=lambda sd: _evidence(kernel, rest, sd))
    inverse = np.linalg.inv(kernel + noise**2 * np.eye(len(rows)))
    weights = inverse @ rest
    diagonal = np.diag(inverse)
    left_out = tuple(
        (float(y - w / d), float(1 / d)) for y, w, d in zip(values, weights, diagonal, strict=True)
    )
    return Fit(
        rows=tuple(rows),
        prior=prior,
        noise=noise,
        weights=weights,
        inverse=inverse,
        left_out=left_out,
    )


def _evidence(kernel: _Floats, rest: _Floats, noise: float) -> float:
    """Log marginal likelihood, with a mild pull to 12% noise while runs are few."""
    covariance = kernel + noise**2 * np.eye(len(rest))
    _, size = np.linalg.slogdet(covariance)
    fit_term = rest @ np.linalg.solve(covariance, rest)
    pull: Any = np.log(noise / 0.12) ** 2
    return float(-0.5 * (size + fit_term) - 0.5 * pull)


def _covariance(one: Features, two: Features, prior: Prior) -> float:
    return sum(
        value * two[name] * prior(name)[1] ** 2 for name, value in one.items() if name in two
    )
