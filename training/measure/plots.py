"""The run in pictures: learning curves, confusion, reliability; PNG, drawn with Pillow alone.

A training host then needs no plotting library, whose import alone takes longer than these drawings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from training.fit.progress import Epoch
from training.measure.basics import Floats, Labels
from training.measure.calibration import Bin, calibration_error, reliability
from training.measure.canvas import BLUE, GREY, INK, ORANGE, Canvas, Frame

LEARNING: Final = "learning_curves.png"
CONFUSION: Final = "confusion.png"
RELIABILITY: Final = "reliability.png"
PLOTS: Final = (LEARNING, CONFUSION, RELIABILITY)


def draw_learning(path: Path, history: Sequence[Epoch], best: Epoch) -> None:
    """Losses and top-1 over the epochs; a line marks the epoch that was kept."""
    canvas = Canvas(960, 400)
    epochs = [epoch.number for epoch in history]
    span = (min(epochs), max(*epochs, min(epochs) + 1))
    losses = [value for epoch in history for value in (epoch.train_loss, epoch.valid_loss)]
    top = max([*losses, 1e-6])
    left = Frame(box=(70, 50, 440, 340), x=span, y=(0.0, top * 1.05))
    canvas.axes(left, "Loss (nats)", "epoch")
    canvas.line(left, epochs, [epoch.train_loss for epoch in history], BLUE)
    canvas.line(left, epochs, [epoch.valid_loss for epoch in history], ORANGE)
    canvas.legend(left, [("train, smoothed labels", BLUE), ("valid", ORANGE)])
    right = Frame(box=(540, 50, 910, 340), x=span, y=(0.0, 1.0))
    canvas.axes(right, "Top-1 on valid", "epoch")
    canvas.line(right, epochs, [epoch.valid_top1 for epoch in history], ORANGE)
    for frame in (left, right):
        canvas.line(frame, [best.number] * 2, [frame.y[0], frame.y[1]], GREY)
    canvas.legend(right, [(f"kept: epoch {best.number}", GREY)])
    canvas.save(path)


def draw_confusion(
    path: Path, confusion: npt.NDArray[np.int64], classes: Sequence[str], *, named: int = 40
) -> None:
    """Shares of each true class (row) by predicted class (column); names up to `named` classes."""
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    count = len(classes)
    side = max(420, min(count * 24, 1200))
    has_names = count <= named
    margin = 190 if has_names else 70
    canvas = Canvas(side + margin + 40, side + margin + 60)
    frame = Frame(
        box=(margin, 50, margin + side, 50 + side), x=(0.0, float(count)), y=(float(count), 0.0)
    )
    canvas.cells(frame, shares)
    canvas.text((margin, 16), "Test photos: true class (row), predicted class (column)", INK)
    if has_names:
        for place, name in enumerate(classes):
            canvas.text(frame.at(0, place + 0.5), f"{name[:24]} ", INK, anchor="rm")
            canvas.tall_text(frame.at(place + 0.5, count), f"{name[:24]} ", INK)
    canvas.save(path)


def draw_reliability(path: Path, shares: Floats, labels: Labels) -> None:
    """How often the model is right, by how sure it says it is; `shares` after temperature."""
    canvas = Canvas(480, 460)
    frame = Frame(box=(70, 60, 440, 390), x=(0.0, 1.0), y=(0.0, 1.0))
    bins = reliability(shares, labels)
    error = calibration_error(shares, labels)
    canvas.axes(frame, f"Reliability on test, expected error {error:.3f}", "probability given")
    canvas.line(frame, [0, 1], [0, 1], GREY)
    canvas.line(frame, [b.confidence for b in bins], [b.accuracy for b in bins], BLUE)
    for found in bins:
        _mark(canvas, frame, found, max(b.photos for b in bins))
    canvas.legend(frame, [("share that is right", BLUE), ("ideal", GREY)])
    canvas.save(path)


def _mark(canvas: Canvas, frame: Frame, found: Bin, most: int) -> None:
    """A disc whose area is the bin's share of the photos."""
    canvas.disc(
        frame.at(found.confidence, found.accuracy), 3 + 7 * (found.photos / most) ** 0.5, BLUE
    )
