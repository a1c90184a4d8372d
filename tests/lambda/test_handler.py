"""The function's handler: loaded from its file as Lambda loads it, with a client handed in."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)
from hypothesis import given
from hypothesis import strategies as st

FILE = Path(__file__).resolve().parents[2] / "lambda" / "handler.py"
PHOTO = b"\xff\xd8\xff a photo"
ANSWER = {"predictions": [{"label": "beagle", "probability": 0.9}], "model_version": "v"}
EVENT = {
    "body": base64.b64encode(PHOTO).decode(),
    "isBase64Encoded": True,
    "headers": {"Content-Type": "image/jpeg"},
}
URL = "https://127.0.0.1"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("handler_under_test", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


handler = load()


class Client:
    """Answers each question with the next of `outcomes`: an error is raised, bytes are the body."""

    def __init__(self, *outcomes: bytes | Exception) -> None:
        self.outcomes = list(outcomes)
        self.questions: list[dict[str, Any]] = []

    def invoke_endpoint(self, **question: Any) -> dict[str, Any]:
        self.questions.append(question)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return {"Body": io.BytesIO(outcome)}


class House:
    """A front with its client, its clock and what it wrote to the log."""

    def __init__(self, *outcomes: bytes | Exception, **environ: str) -> None:
        self.client = Client(*(outcomes or (json.dumps(ANSWER).encode(),)))
        self.lines: list[dict[str, Any]] = []
        self.slept: list[float] = []
        self.made = 0
        self.front = handler.Front(
            make_client=self._make,
            environ={"ENDPOINT_NAME": "dogs-prod", **environ},
            sleep=self.slept.append,
            clock=_ticks(),
            write=lambda text: self.lines.append(json.loads(text)),
        )

    def _make(self, environ: object) -> Client:
        del environ
        self.made += 1
        return self.client

    def ask(self, event: Any, remaining_ms: int = 30_000) -> tuple[int, dict[str, Any], Any]:
        context = SimpleNamespace(
            aws_request_id="abc", get_remaining_time_in_millis=lambda: remaining_ms
        )
        answer = self.front(event, context)
        assert answer["headers"]["Content-Type"] == "application/json"
        body = json.loads(answer["body"])
        assert body["request_id"] == "abc"
        assert len(self.lines) >= 1 and self.lines[-1]["status"] == answer["statusCode"]
        return answer["statusCode"], body, answer["headers"]


def _ticks() -> Callable[[], float]:
    now = [0.0]

    def clock() -> float:
        now[0] += 0.01
        return now[0]

    return clock


def refusal(code: str, message: str = "no", **more: Any) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, **more}
    return ClientError(response, "InvokeEndpoint")


def test_a_photo_is_passed_on_and_the_answer_comes_back() -> None:
    house = House()
    status, body, _ = house.ask(EVENT)
    assert status == 200 and body["predictions"] == ANSWER["predictions"]
    assert body["endpoint_ms"] == 10.0
    assert house.client.questions == [
        {
            "EndpointName": "dogs-prod",
            "Body": PHOTO,
            "ContentType": "image/jpeg",
            "Accept": "application/json",
        }
    ]
    assert house.lines[0]["bytes_in"] == len(PHOTO) and house.lines[0]["cold_start"] is True
    house.ask(EVENT)
    assert house.made == 1 and house.lines[1]["cold_start"] is False


@pytest.mark.parametrize(
    ("event", "body", "content_type"),
    [
        ({"url": "https://dogs.example/a.jpg"}, b'{"url": "https://dogs.example/a.jpg"}', "json"),
        ({"body": '{"image": "QQ=="}'}, b'{"image": "QQ=="}', "json"),
        ({"body": "\ud800"}, b"?", "json"),
        ({"body": {"image": "QQ=="}}, b'{"image": "QQ=="}', "json"),
        ({"body": "QQ==", "isBase64Encoded": True}, b"A", "octet-stream"),
        ({**EVENT, "requestContext": {"http": {"method": "POST"}}}, PHOTO, "image/jpeg"),
        ({**EVENT, "httpMethod": "POST", "headers": {"content-type": "image/png"}}, PHOTO, "png"),
    ],
)
def test_every_kind_of_event(event: dict[str, Any], body: bytes, content_type: str) -> None:
    house = House()
    assert house.ask(event)[0] == 200
    asked = house.client.questions[0]
    assert asked["Body"] == body and asked["ContentType"].endswith(content_type)


@pytest.mark.parametrize(
    ("event", "status", "code"),
    [
        ({}, 400, "no_body"),
        ({"body": "", "isBase64Encoded": True}, 400, "no_body"),
        ({"body": "not base64!", "isBase64Encoded": True}, 400, "bad_base64"),
        ({"body": 7, "isBase64Encoded": True}, 400, "bad_base64"),
        ({"url": ""}, 400, "bad_url"),
        ({"url": ["x"]}, 400, "bad_url"),
        ({"url": "https://x/" + "a" * 3000}, 400, "bad_url"),
        ({"body": "x" * (6 * 1024 * 1024 + 1)}, 413, "too_large"),
        ({"body": "A" * (9 * 1024 * 1024), "isBase64Encoded": True}, 413, "too_large"),
        ({**EVENT, "httpMethod": "GET"}, 405, "method_not_allowed"),
        ("no object", 400, "no_body"),
        (None, 400, "no_body"),
    ],
)
def test_bad_events_never_reach_the_endpoint(event: Any, status: int, code: str) -> None:
    house = House()
    found, body, _ = house.ask(event)
    assert (found, body["error"]["code"]) == (status, code) and body["error"]["fix"]
    assert house.client.questions == []


MODEL_SAYS = '{"error": {"code": "not_an_image", "message": "no photo", "fix": "send one"}}'


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (
            refusal("ModelError", OriginalStatusCode=415, OriginalMessage=MODEL_SAYS),
            415,
            "not_an_image",
        ),
        (refusal("ModelError", OriginalStatusCode=422, OriginalMessage="odd"), 422, "model"),
        (
            refusal("ModelError", OriginalStatusCode=500, OriginalMessage="boom"),
            502,
            "model_failed",
        ),
        (refusal("ModelError", "Invocation timed out", OriginalStatusCode=0), 504, "timeout"),
        (refusal("ModelError"), 502, "model_failed"),
        (
            refusal("ValidationError", "Endpoint dogs-prod of account 1 not found."),
            503,
            "no_endpoint",
        ),
        (refusal("ValidationError", "bad content type"), 400, "bad_request"),
        (refusal("ThrottlingException"), 429, "busy"),
        (refusal("ServiceUnavailable"), 503, "busy"),
        (refusal("InternalFailure"), 502, "busy"),
        (refusal("AccessDeniedException"), 502, "endpoint"),
        (ReadTimeoutError(endpoint_url=URL), 504, "timeout"),
        (ConnectTimeoutError(endpoint_url=URL), 503, "unreachable"),
        (EndpointConnectionError(endpoint_url=URL), 503, "unreachable"),
        (ConnectionClosedError(endpoint_url=URL), 503, "unreachable"),
        (RuntimeError("odd"), 500, "internal"),
    ],
)
def test_errors_of_the_endpoint_have_their_status(error: Exception, status: int, code: str) -> None:
    house = House(error)
    found, body, headers = house.ask(EVENT)
    assert (found, body["error"]["code"]) == (status, code)
    assert ("Retry-After" in headers) == (status in (429, 503))
    assert "cause" in house.lines[0]


@pytest.mark.parametrize(
    "passing",
    [
        refusal("ThrottlingException"),
        refusal("ServiceUnavailable"),
        ConnectTimeoutError(endpoint_url=URL),
        ConnectionClosedError(endpoint_url=URL),
    ],
)
def test_a_passing_error_is_tried_once_more(passing: Exception) -> None:
    house = House(passing, json.dumps(ANSWER).encode())
    assert house.ask(EVENT)[0] == 200
    assert len(house.client.questions) == 2 and 0.05 <= house.slept[0] <= 0.25
    assert house.lines[0]["attempts"] == 2


@pytest.mark.parametrize(
    "error",
    [
        refusal("ModelError", OriginalStatusCode=500, OriginalMessage="boom"),
        refusal("AccessDeniedException"),
        ReadTimeoutError(endpoint_url=URL),
    ],
)
def test_other_errors_are_not_tried_again(error: Exception) -> None:
    house = House(error)
    house.ask(EVENT)
    assert len(house.client.questions) == 1 and house.slept == []


def test_there_is_no_second_try_without_time_for_it() -> None:
    house = House(refusal("ThrottlingException"))
    assert house.ask(EVENT, remaining_ms=20_000)[0] == 429
    assert len(house.client.questions) == 1


def test_two_passing_errors_are_the_answer() -> None:
    house = House(refusal("ServiceUnavailable"))
    assert house.ask(EVENT)[0] == 503
    assert len(house.client.questions) == 2


@pytest.mark.parametrize("answer", [b"no json", b"7", b"[" * 10, b" " * (5 * 1024 * 1024 + 1)])
def test_an_answer_that_is_no_json_object_is_502(answer: bytes) -> None:
    status, body, _ = House(answer).ask(EVENT)
    assert (status, body["error"]["code"]) == (502, "bad_answer")


def test_a_list_from_the_endpoint_is_wrapped() -> None:
    assert House(b"[[0.1, 0.9]]").ask(EVENT)[1]["predictions"] == [[0.1, 0.9]]


def test_without_an_endpoint_it_says_what_to_set() -> None:
    status, body, _ = House(ENDPOINT_NAME="").ask(EVENT)
    assert (status, body["error"]["code"]) == (500, "no_endpoint_name")


def test_a_browser_may_call_from_the_origins_that_are_set() -> None:
    origin = {"headers": {"origin": "https://dogs.example", "content-type": "image/jpeg"}}
    assert "Access-Control-Allow-Origin" not in House().ask({**EVENT, **origin})[2]
    house = House(ALLOWED_ORIGINS="https://cats.example, https://dogs.example")
    headers = house.ask({**EVENT, **origin})[2]
    assert headers["Access-Control-Allow-Origin"] == "https://dogs.example"
    assert headers["Vary"] == "Origin"
    preflight = {**origin, "requestContext": {"http": {"method": "OPTIONS"}}}
    status, _, headers = house.ask(preflight)
    assert status == 200 and "POST" in headers["Access-Control-Allow-Methods"]
    other = {"headers": {"origin": "https://evil.example"}}
    assert "Access-Control-Allow-Origin" not in house.ask({**EVENT, **other})[2]
    assert House(ALLOWED_ORIGINS="*").ask({**EVENT, **other})[2]["Access-Control-Allow-Origin"] == (
        "*"
    )


@given(
    event=st.dictionaries(
        st.sampled_from(
            ["body", "url", "headers", "isBase64Encoded", "requestContext", "httpMethod"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=8), inner, max_size=3)
            ),
            max_leaves=6,
        ),
    )
)
def test_no_event_whatever_breaks_it(event: dict[str, Any]) -> None:
    status, _, _ = House().ask(event)
    assert status in (200, 400, 405, 413)


def test_the_client_has_bounded_time_outs_and_no_retries_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    config = handler.new_client({"ENDPOINT_READ_TIMEOUT_S": "7"}).meta.config
    assert (config.connect_timeout, config.read_timeout) == (2.0, 7.0)
    assert config.retries["total_max_attempts"] == 1


def test_loading_it_imports_no_botocore_and_makes_no_client() -> None:
    code = (
        "import sys, runpy; runpy.run_path(sys.argv[1]);"
        "print(sorted(m for m in sys.modules if m.startswith(('boto', 'urllib3'))))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(FILE)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_its_package_stays_small() -> None:
    assert FILE.stat().st_size < 20_000
