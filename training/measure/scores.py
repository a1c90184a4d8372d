"""How good predictions are. Pure numpy: logits float32 [N, C], labels int64 [N]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.measure.basics import Floats, Labels, log_loss, probabilities, top_k
from training.measure.calibration import calibration_error
from training.measure.confusion import class_f1, confusion_matrix


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
