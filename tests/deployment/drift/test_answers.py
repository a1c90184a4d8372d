"""Captured lines: SageMaker's format, and what is no classifier's answer."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from deployment.drift.answers import Seen, read_answers

ONE = {
    "predictions": [{"label": "beagle", "probability": 0.9}, {"label": "pug", "probability": 0.1}]
}


def line(data: Any, encoding: str = "JSON") -> str:
    text = data if isinstance(data, str) else json.dumps(data)
    if encoding == "BASE64":
        text = base64.b64encode(text.encode()).decode()
    output = {
        "observedContentType": "application/json",
        "mode": "OUTPUT",
        "data": text,
        "encoding": encoding,
    }
    return json.dumps(
        {
            "captureData": {"endpointOutput": output},
            "eventMetadata": {"eventId": "e", "inferenceTime": "2026-11-22T10:00:00Z"},
            "eventVersion": "0",
        }
    )


@pytest.mark.parametrize("encoding", ["JSON", "BASE64"])
def test_an_answer_in_either_encoding(encoding: str) -> None:
    found = read_answers([line(ONE, encoding)])
    assert found.seen == (Seen(label="beagle", confidence=0.9),) and found.unreadable == 0


def test_a_batch_gives_one_for_each_photo_that_was_answered() -> None:
    batch = {"results": [ONE, {"error": {"code": "not_an_image"}}, ONE]}
    assert len(read_answers([line(batch)]).seen) == 2


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "no json",
        "7",
        "{}",
        line("[[0.1, 0.9]]"),
        line({"predictions": []}),
        line({"predictions": [{"label": "beagle", "probability": 90}]}),
        line({"predictions": [{"label": "beagle", "probability": "NaN"}]}),
        line({"predictions": "beagle"}),
        line(ONE).replace("JSON", "BASE64"),
    ],
)
def test_what_is_no_answer_is_counted(odd: str) -> None:
    found = read_answers([odd, line(ONE)])
    assert len(found.seen) == 1 and found.unreadable == 1
