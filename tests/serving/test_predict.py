"""Request bodies to answers, and each fault to its status."""

import base64
import json

import pytest

from serving.predict import Predictor, RequestError
from tests.serving.builders import FakeEngine, archive, drawn, encoded

JSON = "application/json"


def predictor() -> Predictor:
    ticks = iter([1.0, 1.004, 1.010])
    return Predictor(archive=archive(), engine=FakeEngine(), clock=lambda: next(ticks))


def fault(body: bytes, kind: str) -> RequestError:
    with pytest.raises(RequestError) as caught:
        predictor().answer(body, kind)
    return caught.value


def test_an_answer_is_ranked_versioned_and_timed() -> None:
    assert predictor().answer(encoded(drawn()), "image/jpeg; q=1") == {
        "predictions": [
            {"label": "red", "probability": 0.7},
            {"label": "blue", "probability": 0.2},
            {"label": "green", "probability": 0.1},
        ],
        "model_version": "run-7@abc",
        "timing_ms": {"decode": 4.0, "model": 6.0},
    }


def test_only_the_five_likeliest_are_answered() -> None:
    names = tuple("abcdefg")
    many = Predictor(
        archive=archive(names), engine=FakeEngine(row=(0.1, 0.3, 0.0, 0.2, 0.1, 0.2, 0.1))
    )
    found = many.answer(encoded(drawn()), "image/jpeg")["predictions"]
    assert len(found) == 5 and found[0] == {"label": "b", "probability": 0.3}


def test_base64_in_json_gives_the_same_answer() -> None:
    photo = encoded(drawn(), "PNG")
    body = json.dumps({"image": base64.b64encode(photo).decode()}).encode()
    assert predictor().answer(body, JSON) == predictor().answer(photo, "image/png")


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"x", "text/plain", 415, "unsupported_content_type"),
        (b"x", "", 415, "unsupported_content_type"),
        (b"", "image/jpeg", 400, "empty"),
        (b"GIF89a", "image/jpeg", 415, "unsupported_format"),
        (b"\xff\xd8\xff\x00", "image/jpeg", 422, "undecodable"),
        (b"{", JSON, 400, "bad_json"),
        (b"[" * 100_000, JSON, 400, "bad_json"),
        (b"\xff\xfe", JSON, 400, "bad_json"),
        (b"[]", JSON, 400, "no_image"),
        (b'{"image": 3}', JSON, 400, "no_image"),
        (b'{"image": "%%"}', JSON, 400, "bad_base64"),
        (b'{"image": "\xc3\xa9"}', JSON, 400, "bad_base64"),
        (b'{"image": ""}', JSON, 400, "empty"),
        (b'{"url": "https://example.com/dog.jpg"}', JSON, 400, "url_not_enabled"),
    ],
)
def test_every_fault_has_its_status_and_a_fix(
    body: bytes, kind: str, status: int, code: str
) -> None:
    error = fault(body, kind)
    assert (error.status, error.code) == (status, code)
    assert error.message and error.fix


def test_the_refusal_of_a_url_names_the_setting() -> None:
    assert "PEDIGREE_URL_HOSTS" in fault(b'{"url": "https://example.com/a.jpg"}', JSON).fix
