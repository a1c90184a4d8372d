"""The function in front of the endpoint: takes a photo, asks the model, answers in JSON.

Handler string: `handler.handler`. Settings come from the environment:

    ENDPOINT_NAME            the SageMaker endpoint to ask (required)
    ENDPOINT_READ_TIMEOUT_S  how long one question may take, default 20; below the function's own
    ALLOWED_ORIGINS          origins a browser may call from, comma-separated, or *; default none

Events: `{"body": ..., "isBase64Encoded": ..., "headers": {"content-type": ...}}` as API Gateway and
function URLs send them, or `{"url": ...}`, which the endpoint gets as JSON. The answer is
`{"statusCode", "headers", "body"}`; the body is always a JSON object with `request_id`, and with
`error: {code, message, fix}` when the status is not 200.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

MAX_BODY_BYTES = 6 * 1024 * 1024  # what Lambda takes in one synchronous call
MAX_ANSWER_BYTES = 5 * 1024 * 1024  # leaves room for the envelope within Lambda's 6 MB
MAX_URL_CHARACTERS = 2048
CONNECT_TIMEOUT_S = 2.0
_SPARE_S = 1.0  # kept for writing the answer when a second attempt is considered
_AGAIN_FIX = "try again in a moment"
_LOG_FIX = "see the logs of the function and of the endpoint"
_BODY_FIX = 'send {"body": "<base64>", "isBase64Encoded": true, "headers": {"content-type": ...}}'
# The status that the service's own errors become.
_SERVICE_ERRORS = dict.fromkeys(("ServiceUnavailable", "ModelNotReadyException"), 503)
_SERVICE_ERRORS |= {"ThrottlingException": 429}
_SERVICE_ERRORS |= dict.fromkeys(("InternalFailure", "InternalDependencyException"), 502)
_CORS = {
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Allow-Headers": "content-type",
    "Vary": "Origin",
}
Json = Mapping[str, Any]
Reply = tuple[dict[str, Any], float, int]


class Refusal(Exception):
    """A request that ends in a status other than 200."""

    again = False

    def __init__(self, status: int, code: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.body: Json = {"error": {"code": code, "message": message, "fix": fix}}


class Passing(Refusal):
    """A refusal that a second attempt may not meet; the model has not seen the photo yet."""

    again = True


def new_client(environ: Mapping[str, str]) -> Any:
    """The SageMaker runtime client: bounded time-outs, and no retries but our own."""
    import botocore.session
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=read_timeout_s(environ),
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=1,
    )
    return botocore.session.get_session().create_client("sagemaker-runtime", config=config)


def read_timeout_s(environ: Mapping[str, str]) -> float:
    """How long to wait for the endpoint, in seconds."""
    return float(environ.get("ENDPOINT_READ_TIMEOUT_S", "20"))


def read_question(event: Json) -> tuple[bytes, str]:
    """The body and content type to ask the endpoint with. Raises Refusal 400, 405 or 413."""
    method = _method(event)
    if method not in ("", "POST"):
        raise Refusal(405, "method_not_allowed", f"{method} is not answered here", "use POST")
    body, url = event.get("body"), event.get("url")
    if not body and url is not None:
        return _read_url(url), "application/json"
    content_type = _header(event, "content-type")
    if not body:
        data = b""
    elif event.get("isBase64Encoded"):
        data = _decode(body)
    else:
        text = body if isinstance(body, str) else json.dumps(body)
        data, content_type = text.encode(errors="replace"), content_type or "application/json"
    if not data:
        raise Refusal(400, "no_body", "the request has no body", _BODY_FIX)
    _refuse_larger(len(data))
    return data, content_type or "application/octet-stream"


def _read_url(url: Any) -> bytes:
    if not isinstance(url, str) or not 0 < len(url) <= MAX_URL_CHARACTERS:
        raise Refusal(400, "bad_url", "url is not a text of usable length", "send one address")
    return json.dumps({"url": url}).encode()


def _refuse_larger(size: int) -> None:
    if size > MAX_BODY_BYTES:
        fix = f"send at most {MAX_BODY_BYTES} bytes: make the photo smaller"
        raise Refusal(413, "too_large", f"the body has about {size} bytes", fix)


def _decode(body: Any) -> bytes:
    _refuse_larger((len(body) - 4) * 3 // 4 if isinstance(body, str) else 0)
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise Refusal(400, "bad_base64", "the body is not base64", _BODY_FIX) from error


def _header(event: Json, name: str) -> str:
    return next((str(v) for k, v in _part(event, "headers").items() if k.lower() == name), "")


def _method(event: Json) -> str:
    http = _part(_part(event, "requestContext"), "http")
    return str(http.get("method") or event.get("httpMethod") or "").upper()


def _part(event: Json, name: str) -> Json:
    """An object inside an event; empty when there is none or it is something else."""
    part = event.get(name)
    return part if isinstance(part, Mapping) else {}


def translate(error: Exception) -> Refusal:
    """The refusal that an error of the client stands for."""
    from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
    from botocore.exceptions import ConnectionError as NotConnected

    if isinstance(error, ReadTimeoutError):
        return Refusal(504, "timeout", "the model did not answer in time", _AGAIN_FIX)
    # A kept connection that was closed while the function slept looks like ConnectionClosedError.
    if isinstance(error, (NotConnected, ConnectionClosedError)):
        return Passing(503, "unreachable", "the endpoint cannot be reached", _AGAIN_FIX)
    if isinstance(error, ClientError):
        return _translate_code(error.response)
    return Refusal(500, "internal", f"unforeseen: {type(error).__name__}", _LOG_FIX)


def _translate_code(response: Json) -> Refusal:
    code = response.get("Error", {}).get("Code", "Unknown")
    message = response.get("Error", {}).get("Message", "")
    if code == "ModelError":
        return _translate_model(response, message)
    if code in _SERVICE_ERRORS:
        return Passing(_SERVICE_ERRORS[code], "busy", f"the endpoint says {code}", _AGAIN_FIX)
    if code in ("ValidationError", "ValidationException"):
        if "not found" in message:
            fix = "promote a model, or set ENDPOINT_NAME to an endpoint that exists"
            return Refusal(503, "no_endpoint", "the endpoint does not exist", fix)
        return Refusal(400, "bad_request", message, "send a photo as JPEG, PNG or WebP")
    return Refusal(502, "endpoint", f"the endpoint says {code}", _LOG_FIX)


def _translate_model(response: Json, message: str) -> Refusal:
    """The container's own 4xx goes to the caller as it is; anything else of it is a bad gateway."""
    status = int(response.get("OriginalStatusCode") or 0)
    text = str(response.get("OriginalMessage") or "")
    if 400 <= status < 500:
        refusal = Refusal(status, "model", text[:500], "see the message")
        refusal.body = _object(text) or refusal.body
        return refusal
    if status == 0 and "timed out" in text + message:
        return Refusal(504, "timeout", "the model did not answer in time", _AGAIN_FIX)
    return Refusal(502, "model_failed", "the model failed on this photo", _LOG_FIX)


def _object(text: str | bytes) -> dict[str, Any] | None:
    """The JSON object in a text; a JSON list is wrapped as `predictions`; None if it is neither."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    value = {"predictions": value} if isinstance(value, list) else value
    return value if isinstance(value, dict) else None


def read_answer(answer: Json) -> dict[str, Any]:
    """The endpoint's JSON. Raises Refusal 502 when it is too long or no JSON."""
    data = answer["Body"].read(MAX_ANSWER_BYTES + 1)
    body = _object(data) if len(data) <= MAX_ANSWER_BYTES else None
    if body is None:
        raise Refusal(502, "bad_answer", "the endpoint's answer is not a JSON object", _LOG_FIX)
    return body


class Front:
    """The handler. The client is made once, before the first event when Lambda starts it."""

    def __init__(
        self,
        *,
        make_client: Callable[[Mapping[str, str]], Any] = new_client,
        environ: Mapping[str, str] = os.environ,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        write: Callable[[str], object] = print,
    ) -> None:
        self._make_client, self._environ = make_client, environ
        self._sleep, self._clock, self._write = sleep, clock, write
        self._client: Any = None
        self._cold = True

    def warm(self) -> None:
        """Make the client now."""
        if self._client is None:
            self._client = self._make_client(self._environ)

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        """Answer one event; never raises."""
        started = self._clock()
        event = event if isinstance(event, Mapping) else {}
        request_id = str(getattr(context, "aws_request_id", "") or "local")
        init = self._environ.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        line: dict[str, Any] = {"event": "invocation", "request_id": request_id}
        line |= {"cold_start": self._cold, "init_type": init}
        self._cold = False
        status, body = self._answer(event, context, line)
        line |= {"status": status, "total_ms": round((self._clock() - started) * 1000, 2)}
        self._write(json.dumps(line, separators=(",", ":")))
        headers = {"Content-Type": "application/json", "X-Request-Id": request_id}
        headers |= {"Retry-After": "1"} if status in (429, 503) else {}
        return {
            "statusCode": status,
            "headers": {**headers, **self._cors(event)},
            "body": json.dumps({**body, "request_id": request_id}, separators=(",", ":")),
        }

    def _answer(self, event: Json, context: Any, line: dict[str, Any]) -> tuple[int, Json]:
        """Status and body; `line` is told what the log should say."""
        if _method(event) == "OPTIONS":
            return 200, {}
        try:
            data, content_type = read_question(event)
            line |= {"bytes_in": len(data), "content_type": content_type[:100]}
            body, line["endpoint_ms"], line["attempts"] = self._ask(data, content_type, context)
        except Refusal as refusal:
            line["code"] = refusal.code
            line |= {"cause": repr(refusal.__cause__)[:300]} if refusal.__cause__ else {}
            return refusal.status, refusal.body
        return 200, {**body, "endpoint_ms": line["endpoint_ms"]}

    def _ask(self, data: bytes, content_type: str, context: Any) -> Reply:
        """The answer, the milliseconds of the attempt that gave it, and how many there were."""
        name = self._environ.get("ENDPOINT_NAME", "")
        if not name:
            raise Refusal(500, "no_endpoint_name", "ENDPOINT_NAME is not set", "set it")
        question = {"EndpointName": name, "Body": data, "ContentType": content_type}
        attempt = 0
        while True:
            attempt += 1
            started = self._clock()
            try:
                self.warm()
                answer = self._client.invoke_endpoint(**question, Accept="application/json")
                body = read_answer(answer)
            except Refusal:
                raise
            except Exception as error:
                refusal = translate(error)
                if attempt > 1 or not refusal.again or not self._has_time_for_another(context):
                    raise refusal from error
                self._sleep(random.uniform(0.05, 0.25))  # noqa: S311  (jitter, no secret)
            else:
                return body, round((self._clock() - started) * 1000, 2), attempt

    def _has_time_for_another(self, context: Any) -> bool:
        remaining_ms = getattr(context, "get_remaining_time_in_millis", None)
        need_s = CONNECT_TIMEOUT_S + read_timeout_s(self._environ) + _SPARE_S
        return remaining_ms is None or float(remaining_ms()) / 1000 > need_s

    def _cors(self, event: Json) -> dict[str, str]:
        allowed = [part.strip() for part in self._environ.get("ALLOWED_ORIGINS", "").split(",")]
        origin = _header(event, "origin")
        if not origin or not (origin in allowed or "*" in allowed):
            return {}
        answer = "*" if "*" in allowed else origin
        return {"Access-Control-Allow-Origin": answer, **_CORS}


handler = Front()
if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    handler.warm()
