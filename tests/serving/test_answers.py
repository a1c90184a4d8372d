"""Request bodies to answers, what may be asked for, and each fault to its status."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from tests.serving.builders import (
    FakeNetwork,
    FakeStore,
    Got,
    classifier,
    drawn,
    encoded,
    make_app,
    one,
)

JSON = "application/json"
PHOTO = encoded(drawn())
BASE64 = base64.b64encode(PHOTO).decode()


def ask(body: bytes | object, kind: str = JSON, path: str = "/invocations", **headers: str) -> Got:
    """The answer to one body; what is not bytes is sent as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    store = FakeStore(photos={"https://photos.example/dog.jpg": PHOTO})
    app, _ = make_app(web=store)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return one(app, path, parts=[data], kind=kind, headers=given)


def test_an_answer_is_ranked_versioned_and_timed() -> None:
    body = ask(PHOTO, "image/jpeg; q=1").body
    timing = body.pop("timing_ms")
    shares = np.exp([0.7, 0.2, 0.1]) / np.exp([0.7, 0.2, 0.1]).sum()
    assert [row["label"] for row in body["predictions"]] == ["red", "blue", "green"]
    np.testing.assert_allclose([row["probability"] for row in body["predictions"]], shares)
    assert body["model_version"] == "run-7@abc"
    assert timing.keys() == {"decode", "queue", "model"} and min(timing.values()) >= 0


def test_the_five_likeliest_are_answered_unless_more_are_asked_for() -> None:
    names, row = tuple("abcdefg"), (0.1, 0.3, 0.0, 0.2, 0.1, 0.2, 0.1)
    ranked = classifier(FakeNetwork(), classes=names).ranked(np.array([row]), 5)[0]
    assert [place["label"] for place in ranked] == ["b", "d", "f", "a", "e"]
    assert len(ask(PHOTO, "image/jpeg").body["predictions"]) == 3


@pytest.mark.parametrize(
    ("path", "attributes", "said"),
    [
        ("/invocations?top_k=2", "", {}),
        ("/invocations", "trace=9; top_k=2", {}),
        ("/invocations?top_k=1", "top_k=2", {}),
        ("/invocations?top_k=1", "top_k=3", {"top_k": 2}),
    ],
)
def test_top_k_is_taken_from_the_nearest_place(
    path: str, attributes: str, said: dict[str, Any]
) -> None:
    headers = {"x_amzn_sagemaker_custom_attributes": attributes}
    got = ask({"image": BASE64, **said}, path=path, **headers)
    assert len(got.body["predictions"]) == 2


@pytest.mark.parametrize(
    ("path", "headers", "said"),
    [
        ("/invocations", {"accept": "application/vnd.pedigree.logits+json"}, {}),
        ("/invocations", {"x_amzn_sagemaker_custom_attributes": "output=logits"}, {}),
        ("/invocations?output=logits", {}, {}),
        ("/invocations", {}, {"output": "logits"}),
    ],
)
def test_raw_logits_are_a_list_of_lists(
    path: str, headers: dict[str, str], said: dict[str, str]
) -> None:
    got = ask({"image": BASE64, **said}, path=path, **headers)
    assert got.body == [[0.2, 0.1, 0.7]]
    assert got.headers["content-type"] == JSON


def test_a_list_of_photos_gives_a_list_of_results() -> None:
    url = {"url": "https://photos.example/dog.jpg"}
    for body in ({"images": [BASE64] * 3}, {"instances": [{"image": BASE64}, url, BASE64]}):
        results = ask(body).body["results"]
        assert [result["predictions"][0]["label"] for result in results] == ["red"] * 3


def test_ways_to_the_same_photo_give_the_same_answer() -> None:
    ways = (
        {"image": BASE64},
        {"image": "\n".join(BASE64[at : at + 76] for at in range(0, len(BASE64), 76))},
        {"url": "https://photos.example/dog.jpg"},
    )
    plain = ask(PHOTO, "image/jpeg").body["predictions"]
    for way in ways:
        assert ask(way).body["predictions"] == plain


def test_every_fault_of_a_batch_names_its_photo() -> None:
    got = ask({"images": [BASE64, base64.b64encode(b"GIF89a").decode()]})
    assert got.status == 415 and got.body["error"]["message"].startswith("photo 1: ")


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
        ({"image": 3}, JSON, 400, "no_image"),
        ({"image": "%%"}, JSON, 400, "bad_base64"),
        ({"image": "é"}, JSON, 400, "bad_base64"),
        ({"image": ""}, JSON, 400, "empty"),
        ({"image": BASE64, "url": "https://a.example/"}, JSON, 400, "no_image"),
        ({"images": []}, JSON, 400, "no_image"),
        ({"images": BASE64}, JSON, 400, "no_image"),
        ({"images": [BASE64] * 17}, JSON, 413, "too_many_photos"),
        ({"instances": [{"image": BASE64, "s3": "s3://b/k"}]}, JSON, 400, "no_image"),
        ({"s3": "s3://bucket/dog.jpg"}, JSON, 400, "s3_not_enabled"),
        ({"image": BASE64, "top_k": 0}, JSON, 400, "bad_option"),
        ({"image": BASE64, "top_k": True}, JSON, 400, "bad_option"),
        ({"image": BASE64, "top_k": 1.5}, JSON, 400, "bad_option"),
        ({"image": BASE64, "output": "picture"}, JSON, 400, "bad_option"),
    ],
)
def test_every_fault_has_its_status_and_a_fix(
    body: bytes | object, kind: str, status: int, code: str
) -> None:
    got = ask(body, kind)
    assert (got.status, got.body["error"]["code"]) == (status, code)
    assert got.body["error"]["message"] and got.body["error"]["fix"]


def test_an_answer_that_nobody_accepts_is_not_made() -> None:
    assert ask(PHOTO, "image/jpeg", accept="text/html").status == 406
    assert ask(PHOTO, "image/jpeg", accept="text/html, */*;q=0.1").status == 200


def test_the_refusal_of_a_url_names_the_setting() -> None:
    app, _ = make_app()
    got = one(app, parts=[b'{"url": "https://example.com/a.jpg"}'], kind=JSON)
    assert (got.status, got.body["error"]["code"]) == (400, "url_not_enabled")
    assert "PEDIGREE_URL_HOSTS" in got.body["error"]["fix"]
