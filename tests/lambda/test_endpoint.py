"""The function's client, against a server of the test's own on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from endpoint import Endpoint, refusal_of
from hypothesis import given
from hypothesis import strategies as st
from question import Passing, Question, Refusal

QUESTION = Question(b"\xff\xd8 a photo", "image/jpeg")
ANSWER = json.dumps({"predictions": []}).encode()
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "token",
    "AWS_REGION": "eu-west-1",
    "ENDPOINT_NAME": "dogs-prod",
}


@dataclass(kw_only=True)
class Server:
    """Answers with the next of `outcomes`: status, error type, body; None closes the connection."""

    url: str = ""
    outcomes: list[tuple[int, str, bytes] | None] = field(default_factory=list)
    seen: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    connections: int = 0
    endpoints: list[Endpoint] = field(default_factory=list)
    closes_after_answer: bool = False
    wait: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving(**how: Any) -> Iterator[Server]:
    server = Server(**how)

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            server.connections += 1
            super().setup()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.seen.append((self.path, headers, body))
            outcome = server.outcomes.pop(0) if server.outcomes else (200, "", ANSWER)
            if outcome is None:
                self.close_connection = True
                return
            if outcome[1] == "slow":
                server.wait.wait(5)
            self.send_response(outcome[0])
            if outcome[1]:
                self.send_header("x-amzn-errortype", outcome[1])
            self.send_header("content-length", str(len(outcome[2])))
            self.end_headers()
            self.wfile.write(outcome[2])
            self.close_connection = server.closes_after_answer

        def log_message(self, *_: object) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.url = f"http://127.0.0.1:{listener.server_address[1]}"
    try:
        yield server
    finally:
        server.wait.set()
        for endpoint in server.endpoints:
            endpoint._kept.close()
        listener.shutdown()
        thread.join()
        listener.server_close()


def ask(endpoint: Endpoint, question: Question = QUESTION) -> dict[str, Any]:
    return endpoint.ask(question, request_id="abc", deadline_ms=1500)


def at(server: Server, **environ: str) -> Endpoint:
    endpoint = Endpoint({**KEYS, "AWS_ENDPOINT_URL": server.url, **environ})
    server.endpoints.append(endpoint)
    return endpoint


def test_it_asks_as_invoke_endpoint_does_over_one_connection() -> None:
    with serving() as server:
        endpoint = at(server)
        assert ask(endpoint) == ask(endpoint) == {"predictions": []}
        assert server.connections == 1
        path, headers, body = server.seen[0]
    assert (path, body) == ("/endpoints/dogs-prod/invocations", QUESTION.body)
    assert headers["content-type"] == "image/jpeg" and headers["accept"] == "application/json"
    trace = headers["x-amzn-sagemaker-custom-attributes"]
    assert trace == "request-id=abc;timeout-ms=1500"
    assert headers["x-amzn-sagemaker-inference-id"] == "abc"


@given(
    body=st.binary(max_size=100),
    kind=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20),
    token=st.booleans(),
    now=st.integers(0, 2**31 - 1),
)
def test_its_signature_is_that_of_botocore(body: bytes, kind: str, token: bool, now: int) -> None:
    environ = KEYS if token else {k: v for k, v in KEYS.items() if "TOKEN" not in k}
    endpoint = Endpoint({**environ, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, now=lambda: now)
    path = "/endpoints/dogs-prod/invocations"
    question = Question(body, kind)
    ours = endpoint._sign(path, body, endpoint._headers(question, "abc", 10))
    signed = set(ours) - {"authorization", "x-amz-date", "x-amz-security-token"}
    theirs = AWSRequest(
        method="POST",
        url=f"http://127.0.0.1:9{path}",
        data=body,
        headers={name: ours[name] for name in signed},
    )
    theirs.context["timestamp"] = ours["x-amz-date"]
    signer = _At(Credentials("AKIDEXAMPLE", "secret", environ.get("AWS_SESSION_TOKEN")))
    signer.stamp = ours["x-amz-date"]
    signer.add_auth(theirs)
    assert ours["authorization"] == theirs.headers["Authorization"]


class _At(SigV4Auth):  # type: ignore[misc]
    """botocore's signer at a given moment."""

    stamp = ""

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(credentials, "sagemaker", "eu-west-1")

    def _modify_request_before_signing(self, request: Any) -> None:
        request.context["timestamp"] = self.stamp
        super()._modify_request_before_signing(request)


def test_a_kept_connection_that_was_closed_is_opened_again() -> None:
    with serving(closes_after_answer=True) as server:
        endpoint = at(server)
        assert ask(endpoint) == ask(endpoint) == {"predictions": []}
        assert server.connections == 2


def test_a_new_connection_that_is_closed_is_no_connection() -> None:
    with serving(outcomes=[None]) as server, pytest.raises(Passing) as caught:
        ask(at(server))
    assert (caught.value.status, caught.value.code) == (503, "unreachable")


def test_a_port_where_nobody_listens_is_no_connection() -> None:
    with serving() as server:
        pass
    with pytest.raises(Passing) as caught:
        ask(at(server))
    assert caught.value.code == "unreachable"


def test_an_endpoint_that_is_silent_is_a_time_out_and_the_next_answer_is_not_the_late_one() -> None:
    with serving(outcomes=[(200, "slow", b'{"late": 1}')]) as server:
        endpoint = at(server, ENDPOINT_READ_TIMEOUT_S="0.05")
        with pytest.raises(Refusal) as caught:
            ask(endpoint)
        assert (caught.value.status, caught.value.again) == (504, False)
        server.wait.set()
        assert ask(endpoint) == {"predictions": []}


@pytest.mark.parametrize("name", ["", "a b", "../x", "-a", "a" * 64])
def test_a_name_that_is_none_is_refused_before_anything_is_sent(name: str) -> None:
    with serving() as server, pytest.raises(Refusal) as caught:
        ask(at(server, ENDPOINT_NAME=name))
    assert caught.value.code == "no_endpoint_name" and server.seen == []


def test_a_header_of_the_caller_cannot_add_a_header() -> None:
    with serving() as server:
        endpoint = at(server)
        ask(endpoint, Question(b"x", "image/jpeg\r\nx-evil: 1"))
    assert "x-evil" not in server.seen[0][1]


@pytest.mark.parametrize("answer", [b"no json", b"7", b"[" * 10, b" " * (5 * 1024 * 1024 + 1)])
def test_an_answer_that_is_no_json_object_is_502(answer: bytes) -> None:
    with serving(outcomes=[(200, "", answer)]) as server, pytest.raises(Refusal) as caught:
        ask(at(server))
    assert (caught.value.status, caught.value.code) == (502, "bad_answer")


def test_a_list_from_the_endpoint_is_wrapped() -> None:
    with serving(outcomes=[(200, "", b"[[0.1, 0.9]]")]) as server:
        endpoint = at(server)
        assert ask(endpoint)["predictions"] == [[0.1, 0.9]]


MODEL_SAYS = '{"error": {"code": "not_an_image", "message": "no photo", "fix": "send one"}}'


def model_error(status: int, text: str = "") -> dict[str, Any]:
    return {"OriginalStatusCode": status, "OriginalMessage": text, "Message": "from primary"}


@pytest.mark.parametrize(
    ("kind", "body", "status", "says", "again"),
    [
        ("ModelError", model_error(415, MODEL_SAYS), 415, "not_an_image", False),
        ("ModelError", model_error(422, "odd"), 422, "model", False),
        ("ModelError", model_error(429, "full"), 429, "model", False),
        ("ModelError", model_error(500, "boom"), 502, "model_failed", False),
        ("ModelError", model_error(0, "Invocation timed out"), 504, "timeout", False),
        ("ModelError", {}, 502, "model_failed", False),
        ("ValidationError", {"Message": "Endpoint x not found."}, 503, "no_endpoint", False),
        ("ValidationError", {"message": "bad content type"}, 400, "bad_request", False),
        ("ThrottlingException", {}, 429, "busy", True),
        ("ServiceUnavailable:http://x", {}, 503, "busy", True),
        ("", {"__type": "com.amazon#ModelNotReadyException"}, 503, "busy", True),
        ("InternalFailure", {}, 502, "busy", True),
        ("AccessDeniedException", {}, 502, "endpoint", False),
        ("", {}, 502, "endpoint", False),
    ],
)
def test_errors_of_the_service_have_their_status(
    kind: str, body: dict[str, Any], status: int, says: str, again: bool
) -> None:
    refusal = refusal_of(500, kind, body)
    error = refusal.body["error"]
    assert (refusal.status, error["code"], refusal.again) == (status, says, again)
    assert error["fix"]


def test_an_error_of_the_service_comes_back_over_the_wire() -> None:
    body = json.dumps(model_error(415, MODEL_SAYS)).encode()
    with serving(outcomes=[(424, "ModelError", body)]) as server, pytest.raises(Refusal) as caught:
        ask(at(server))
    assert caught.value.body["error"]["code"] == "not_an_image"
