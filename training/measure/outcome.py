"""The run's result on the test photos: metrics, tables and pictures in the output folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from training.files import write_json, write_rows
from training.fit.head import Head
from training.measure.basics import Floats, Labels, probabilities
from training.measure.calibration import calibration_error
from training.measure.confusion import class_rows
from training.measure.plots import (
    CONFUSION,
    LEARNING,
    RELIABILITY,
    draw_confusion,
    draw_learning,
    draw_reliability,
)
from training.measure.scores import Scores, prediction_rows, score
from training.report import Reporter

PREDICTIONS: Final = "predictions.jsonl"
CONFUSION_TABLE: Final = "confusion.json"
CLASSES: Final = "classes.jsonl"
_SCORES: Final = ("loss", "top1", "top5", "macro_f1", "ece")


def report_outcome(
    folder: Path,
    report: Reporter,
    *,
    paths: Sequence[str],
    labels: Labels,
    logits: Floats,
    classes: Sequence[str],
    head: Head,
    float_logits: Floats | None = None,
) -> None:
    """Score what the exported files answered on test, and leave it in `folder`.

    `float_logits` are those of the network before quantization, scored beside under `float/`.
    """
    scores = score(logits, labels, temperature=head.temperature)
    _tell(report, "test", scores)
    raw = calibration_error(probabilities(logits), labels)
    report.metric("test/ece_uncalibrated", raw)
    report.metric("calibration/temperature", head.temperature)
    if float_logits is not None:
        _tell(report, "float", score(float_logits, labels, temperature=head.temperature))
    rows = prediction_rows(paths, labels, logits, classes=classes, temperature=head.temperature)
    write_rows(folder / PREDICTIONS, rows)
    counts = {"classes": list(classes), "rows_are": "true", "counts": scores.confusion.tolist()}
    write_json(folder / CONFUSION_TABLE, counts)
    write_rows(folder / CLASSES, class_rows(scores.confusion, classes))
    draw_learning(folder / LEARNING, head.history, head.epoch)
    draw_confusion(folder / CONFUSION, scores.confusion, classes)
    draw_reliability(folder / RELIABILITY, probabilities(logits, head.temperature), labels)
    for name in (PREDICTIONS, CONFUSION_TABLE, CLASSES, LEARNING, CONFUSION, RELIABILITY):
        report.artifact(name)


def _tell(report: Reporter, split: str, scores: Scores) -> None:
    for name in _SCORES:
        report.metric(f"{split}/{name}", getattr(scores, name))
