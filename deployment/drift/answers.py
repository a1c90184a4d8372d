"""The model's answers in captured requests: which class it saw, and how sure it was. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One photo as the model saw it. `confidence` is the probability of `label`, 0 to 1."""

    label: str
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What was read: the answers, and how many lines were no answer of a classifier."""

    seen: tuple[Seen, ...]
    unreadable: int


def read_answers(lines: Iterable[str]) -> Answers:
    """The best class of each captured answer; a batch gives one for each of its photos.

    A line is an object of SageMaker's data capture format. `endpointOutput.data` is JSON, as text or
    base64, with `predictions`, a list of `{label, probability}`; that of a batch has `results`, a list
    of such objects. Photos of a batch that were refused are left out.
    """
    seen: list[Seen] = []
    unreadable = 0
    for line in lines:
        try:
            seen += _of(json.loads(line)["captureData"]["endpointOutput"])
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            unreadable += 1
    return Answers(seen=tuple(seen), unreadable=unreadable)


def _of(output: dict[str, Any]) -> list[Seen]:
    data = output["data"]
    text = base64.b64decode(data, validate=True) if output["encoding"] == "BASE64" else data
    answer = json.loads(text)
    photos = answer.get("results", [answer])
    return [_best(photo["predictions"]) for photo in photos if "error" not in photo]


def _best(photo: list[dict[str, Any]]) -> Seen:
    best = max(photo, key=lambda one: float(one["probability"]))
    confidence = float(best["probability"])
    if not 0 <= confidence <= 1:
        raise ValueError("a probability is 0 to 1")
    return Seen(label=str(best["label"]), confidence=confidence)
