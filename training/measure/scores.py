"""How good predictions are. Pure numpy: logits float32 [N, C], labels int64 [N]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Labels: TypeAlias = npt.NDArray[np.int64]

_ECE_BINS: Final = 15
_TEMPERATURES: Final = (0.2, 5.0)
_GOLDEN: Final = (5**0.5 - 1) / 2


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Fractions 0 to 1; `loss` is the mean negative log-likelihood in nats."""

    loss: float
    top1: float
    top5: float
    macro_f1: float
    ece: float
    confusion: npt.NDArray[np.int64]
    """[C, C]: rows are true classes, columns predicted ones."""


def probabilities(logits: Floats, temperature: float = 1.0) -> Floats:
    """Softmax of logits / temperature, in float64."""
    scaled = logits.astype(np.float64) / temperature
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    result: Floats = weights / weights.sum(axis=1, keepdims=True)
    return result


def log_loss(logits: Floats, labels: Labels, temperature: float = 1.0) -> float:
    """Mean negative log-likelihood, computed from logits so that no probability underflows."""
    scaled = logits.astype(np.float64) / temperature
    top = scaled.max(axis=1)
    total = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
    return float((total - scaled[np.arange(len(labels)), labels]).mean())


def top_k(logits: Floats, labels: Labels, k: int) -> float:
    """Share of rows whose label is among the k largest logits (all of them if C <= k)."""
    best = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    return float((best == labels[:, None]).any(axis=1).mean())


def confusion_matrix(predicted: Labels, labels: Labels, classes: int) -> npt.NDArray[np.int64]:
    """Counts [C, C]: rows are true classes, columns predicted ones."""
    flat = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.int64)


def class_f1(confusion: npt.NDArray[np.int64]) -> Floats:
    """F1 of each class; 0 for a class never predicted rightly, NaN for one that never occurs."""
    hits = np.diag(confusion).astype(np.float64)
    occurs, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    score = 2 * hits / np.maximum(occurs + predicted, 1)
    result: Floats = np.where(occurs > 0, score, np.nan)
    return result


def calibration_error(shares: Floats, labels: Labels, bins: int = _ECE_BINS) -> float:
    """Expected calibration error over equal-width bins of the top probability (Guo et al. 2017)."""
    confidence = shares.max(axis=1)
    right = shares.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = (
        abs(right[place == b].mean() - confidence[place == b].mean()) * (place == b).mean()
        for b in np.unique(place)
    )
    return float(sum(gaps))


def score(logits: Floats, labels: Labels, *, temperature: float) -> Scores:
    """All scores of one split. Macro-F1 is over the classes that occur in `labels`."""
    shares = probabilities(logits, temperature)
    confusion = confusion_matrix(shares.argmax(axis=1), labels, logits.shape[1])
    return Scores(
        loss=log_loss(logits, labels, temperature),
        top1=top_k(logits, labels, 1),
        top5=top_k(logits, labels, 5),
        macro_f1=float(np.nanmean(class_f1(confusion))),
        ece=calibration_error(shares, labels),
        confusion=confusion,
    )


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """The temperature in 0.2 to 5 with the least log loss, by golden-section search.

    The loss is convex in 1 / temperature, so there is one minimum.
    """
    low, high = (1 / t for t in reversed(_TEMPERATURES))
    for _ in range(40):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if log_loss(logits, labels, 1 / left) <= log_loss(logits, labels, 1 / right):
            high = right
        else:
            low = left
    return 2 / (low + high)


def prediction_rows(
    paths: Sequence[str],
    labels: Labels,
    logits: Floats,
    *,
    classes: Sequence[str],
    temperature: float,
) -> list[dict[str, Any]]:
    """One row for each photo: path, label, predicted, probability (of the predicted class)."""
    shares = probabilities(logits, temperature)
    return [
        {
            "path": path,
            "label": classes[label],
            "predicted": classes[int(row.argmax())],
            "probability": float(row.max()),
        }
        for path, label, row in zip(paths, labels, shares, strict=True)
    ]


def class_rows(confusion: npt.NDArray[np.int64], classes: Sequence[str]) -> list[dict[str, Any]]:
    """The per-class report: photos, right, precision, recall and F1 (None where undefined)."""
    hits, occurs, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    scores = class_f1(confusion)
    return [
        {
            "class": name,
            "photos": int(occurs[i]),
            "right": int(hits[i]),
            "precision": float(hits[i] / predicted[i]) if predicted[i] else None,
            "recall": float(hits[i] / occurs[i]) if occurs[i] else None,
            "f1": float(scores[i]) if occurs[i] else None,
        }
        for i, name in enumerate(classes)
    ]
