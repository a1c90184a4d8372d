"""The function's handler, with an endpoint handed in."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import handler
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from question import Passing, Question, Refusal

from deployment.artifact.function_code import pack_function

FOLDER = Path(__file__).resolve().parents[2] / "lambda"
EVENTS = Path(__file__).resolve().parent / "events"
PHOTO = b"\xff\xd8\xff a photo"
ANSWER = {"predictions": [{"label": "beagle", "probability": 0.9}], "model_version": "v"}
EVENT = {
    "body": base64.b64encode(PHOTO).decode(),
    "isBase64Encoded": True,
    "headers": {"Content-Type": "image/jpeg"},
}


class Client:
    """Answers each question with the next of `outcomes`: an error is raised."""

    def __init__(self, *outcomes: dict[str, Any] | Exception) -> None:
        self.outcomes = list(outcomes)
        self.questions: list[Question] = []
        self.deadlines_ms: list[int] = []

    def ask(self, question: Question, *, request_id: str, deadline_ms: int) -> dict[str, Any]:
        assert request_id == "abc"
        self.questions.append(question)
        self.deadlines_ms.append(deadline_ms)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class House:
    """A front with its client, its clock and what it wrote to the log."""

    def __init__(self, *outcomes: dict[str, Any] | Exception, **environ: str) -> None:
        self.client = Client(*(outcomes or (ANSWER,)))
        self.lines: list[dict[str, Any]] = []
        self.slept: list[float] = []
        self.made = 0
        self.front = handler.Front(
            make_client=self._make,  # type: ignore[arg-type]
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


def test_a_photo_is_passed_on_and_the_answer_comes_back() -> None:
    house = House()
    status, body, _ = house.ask(EVENT)
    assert status == 200 and body["predictions"] == ANSWER["predictions"]
    assert body["endpoint_ms"] == 10.0
    assert house.client.questions == [Question(PHOTO, "image/jpeg", "application/json")]
    assert house.client.deadlines_ms == [20_000]
    assert house.lines[0]["bytes_in"] == len(PHOTO) and house.lines[0]["cold_start"] is True
    house.ask(EVENT)
    assert house.made == 1 and house.lines[1]["cold_start"] is False


@pytest.mark.parametrize(
    ("event", "body", "content_type"),
    [
        ({"url": "https://dogs.example/a.jpg"}, b'{"url": "https://dogs.example/a.jpg"}', "json"),
        (
            {"url": "https://dogs.example/a.jpg", "output": "logits", "key": "x"},
            b'{"url": "https://dogs.example/a.jpg", "output": "logits"}',
            "json",
        ),
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
    assert asked.body == body and asked.content_type.endswith(content_type)


@pytest.mark.parametrize("kind", ["api_gateway_v1", "api_gateway_v2", "function_url"])
@pytest.mark.parametrize("as_json", [False, True])
def test_whole_events_of_each_front_door(kind: str, as_json: bool) -> None:
    """Every member that the service sends, as its documentation shows them."""
    event = json.loads((EVENTS / f"{kind}.json").read_text(encoding="utf-8"))
    expected = Question(PHOTO, "image/jpeg", "application/json")
    if as_json:
        name = next(name for name in event["headers"] if name.lower() == "content-type")
        event["headers"][name] = "application/json; charset=utf-8"
        event |= {"body": '{"image": "QQ==", "output": "logits"}', "isBase64Encoded": False}
        body = event["body"].encode()
        expected = Question(body, "application/json; charset=utf-8", "application/json")
    house = House()
    status, _, headers = house.ask(event)
    assert status == 200 and headers["X-Request-Id"] == "abc"
    assert house.client.questions == [expected]


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


BUSY = Passing(429, "busy", "no", "wait")
GONE = Passing(503, "unreachable", "no", "wait")
LATE = Refusal(504, "timeout", "no", "wait")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(BUSY, 429, "busy"), (GONE, 503, "unreachable"), (LATE, 504, "timeout")],
)
def test_a_refusal_is_the_answer(error: Refusal, status: int, code: str) -> None:
    house = House(error)
    found, body, headers = house.ask(EVENT)
    assert (found, body["error"]["code"]) == (status, code)
    assert ("Retry-After" in headers) == (status in (429, 503))


def test_what_nobody_foresaw_is_a_500_with_its_cause_in_the_log() -> None:
    house = House(RuntimeError("odd"))
    status, body, _ = house.ask(EVENT)
    assert (status, body["error"]["code"]) == (500, "internal")
    assert "odd" not in json.dumps(body) and "odd" in house.lines[0]["cause"]


@pytest.mark.parametrize("passing", [BUSY, GONE])
def test_a_passing_error_is_tried_once_more(passing: Exception) -> None:
    house = House(passing, ANSWER)
    assert house.ask(EVENT)[0] == 200
    assert len(house.client.questions) == 2 and 0.05 <= house.slept[0] <= 0.25
    assert house.lines[0]["attempts"] == 2


def test_other_errors_are_not_tried_again() -> None:
    house = House(LATE)
    house.ask(EVENT)
    assert len(house.client.questions) == 1 and house.slept == []


def test_there_is_no_second_try_without_time_for_it() -> None:
    house = House(BUSY)
    assert house.ask(EVENT, remaining_ms=20_000)[0] == 429
    assert len(house.client.questions) == 1


def test_two_passing_errors_are_the_answer() -> None:
    house = House(GONE)
    assert house.ask(EVENT)[0] == 503
    assert len(house.client.questions) == 2


def test_the_endpoint_is_told_how_long_the_function_still_lives() -> None:
    house = House()
    house.ask(EVENT, remaining_ms=700)
    assert house.client.deadlines_ms == [700]


PRICES = {
    "USD_PER_REQUEST": "0.0000002",
    "USD_PER_GB_SECOND": "0.0000166667",
    "USD_PER_GB_SECOND_PROVISIONED": "0.0000097222",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
}


@pytest.mark.parametrize(
    ("init_type", "usd"),
    [
        # 20 ms of half a GB: 0.01 GB-seconds at the rate, and one request
        ("on-demand", "0.000000366667"),
        ("provisioned-concurrency", "0.000000297222"),
    ],
)
def test_the_log_says_what_the_call_cost(init_type: str, usd: str) -> None:
    house = House(**PRICES, AWS_LAMBDA_INITIALIZATION_TYPE=init_type)
    house.ask(EVENT)
    line = house.lines[0]
    warm = init_type == "provisioned-concurrency"
    assert line["cost_usd"] == handler.invocation_usd(PRICES, line["total_ms"], warm=warm)
    assert Decimal(handler.invocation_usd(PRICES, 19.01, warm=warm) or 0) == Decimal(usd)


def test_without_prices_the_log_has_no_cost() -> None:
    house = House(**{**PRICES, "USD_PER_REQUEST": "much"})
    house.ask(EVENT)
    assert "cost_usd" not in house.lines[0]


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


@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine draws events slowly
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


def test_loading_it_imports_no_boto_and_makes_no_client() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import handler;"
        "print(sorted(m for m in sys.modules if m.startswith(('boto', 'urllib3', 'ssl_'))),"
        "handler.handler._client)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(FOLDER)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[] None"


def test_its_package_stays_small() -> None:
    assert len(pack_function().data) <= 20_000
