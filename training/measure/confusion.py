"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from training.measure.basics import Floats, Labels


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
