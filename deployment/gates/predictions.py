"""What a run said of each test photo, read from the output that it left beside its model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from experiments.aws import Cloud
from experiments.errors import PedigreeError, ReleaseError
from experiments.following.output import output_texts

FILE = "predictions.jsonl"
_MODEL = "model.tar.gz"


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One test photo: its path in the data set, its true label, and the exported model's answer."""

    path: str
    label: str
    predicted: str
    probability: float

    @property
    def is_right(self) -> bool:
        return self.label == self.predicted


def read_predictions(cloud: Cloud, model_uri: str) -> tuple[Prediction, ...]:
    """The predictions of the run whose model is at `model_uri`; empty if it left none.

    Raises CloudError, and ReleaseError for a file that cannot be read.
    """
    if not model_uri.endswith(_MODEL):
        return ()
    texts = output_texts(cloud, model_uri.removesuffix(_MODEL))
    lines = texts.get(FILE, "").splitlines()
    try:
        return tuple(_prediction(json.loads(line)) for line in lines if line)
    except (ValueError, KeyError, TypeError) as error:
        raise ReleaseError(
            f"{FILE} of the run cannot be read: {error!r}", fix="train the run anew"
        ) from error


def _prediction(row: dict[str, Any]) -> Prediction:
    return Prediction(
        path=str(row["path"]),
        label=str(row["label"]),
        predicted=str(row["predicted"]),
        probability=float(row["probability"]),
    )


def right(predictions: tuple[Prediction, ...]) -> dict[str, bool]:
    """Whether the model was right, by photo and label: a relabelled photo is another one."""
    return {f"{p.path}={p.label}": p.is_right for p in predictions}


def optional_predictions(cloud: Cloud, model_uri: str) -> tuple[tuple[Prediction, ...], str]:
    """The predictions, or none and why there are none."""
    try:
        found = read_predictions(cloud, model_uri)
    except PedigreeError as error:
        return (), error.message
    return found, "" if found else f"its output has no {FILE}"
